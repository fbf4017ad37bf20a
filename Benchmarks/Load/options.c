#include "load.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "load MODE PORT [options]: exchanges with a server on 127.0.0.1, each byte checked; one line of JSON\n"
    "  echo   connections that send a payload and await it back (proxy: the same, with `sink` behind the proxy)\n"
    "  churn  a connection for each exchange\n"
    "  storm  --count connections as fast as they are accepted, a byte on each; --keep holds them open meanwhile\n"
    "  udp    datagrams there and back\n"
    "  idle   opens --connections, exchanges a payload on each, prints a line, holds them until its input ends\n"
    "  sink   is an echo server itself, to stand behind a proxy\n"
    "options\n"
    "  --connections N   1 to 10000 (64); churn and storm: so many at once\n"
    "  --payload N       bytes, 1 to 1048576 (64)\n"
    "  --pipeline N      exchanges under way on a connection (1)\n"
    "  --seconds S       measured time (5), after --warmup S (1)\n"
    "  --count N         instead: exactly so many exchanges, none of them for warming up\n"
    "  --rate R          open loop, echo and proxy: R exchanges per second in all, begun on time; latency counts from\n"
    "                    the time at which an exchange should have begun (corrected for coordinated omission)\n"
    "  --expected-interval US  closed loop: corrects latencies for a client that asks each US microseconds\n"
    "  --patience S      a server that answers nothing for so long has stalled (5)\n"
    "  --keep            see storm\n"
    "  --server PID      its processor time in the window is told; may be repeated\n";

static void fail(const char *why, const char *what) {
    fprintf(stderr, "load: %s%s\n%s", why, what, usage);
    exit(2);
}

static double number(const char *text, double least, double most, const char *name) {
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= least && value <= most)) fail("not a value for --", name);
    return value;
}

static const struct option names[] = {
    {"connections", required_argument, 0, 'c'}, {"payload", required_argument, 0, 'p'},
    {"pipeline", required_argument, 0, 'd'},    {"seconds", required_argument, 0, 's'},
    {"warmup", required_argument, 0, 'w'},      {"count", required_argument, 0, 'n'},
    {"rate", required_argument, 0, 'r'},        {"expected-interval", required_argument, 0, 'e'},
    {"patience", required_argument, 0, 't'},    {"keep", no_argument, 0, 'k'},
    {"server", required_argument, 0, 'i'},      {"help", no_argument, 0, 'h'},
    {0, 0, 0, 0},
};

static void apply(Options *options, int option, const char *text, const char *name) {
    switch (option) {
    case 'c': options->connections = (uint32_t)number(text, 1, 60000, name); break;
    case 'p': options->payload = (uint32_t)number(text, 1, LARGEST_PIECE, name); break;
    case 'd': options->pipeline = (uint32_t)number(text, 1, 65536, name); break;
    case 's': options->seconds = number(text, 0.01, 1e6, name); break;
    case 'w': options->warmup = number(text, 0, 1e6, name); break;
    case 'n': options->count = (uint64_t)number(text, 1, 1e12, name); break;
    case 'r': options->rate = number(text, 0.1, 1e9, name); break;
    case 'e': options->expected_interval = (uint64_t)(1000 * number(text, 1, 1e9, name)); break;
    case 't': options->patience = number(text, 0.01, 1e6, name); break;
    case 'k': options->keep = true; break;
    case 'i':
        if (options->server_count == MOST_SERVERS) fail("too many of --", name);
        options->servers[options->server_count++] = (int)number(text, 1, 1 << 30, name);
        break;
    case 'h': printf("%s", usage); exit(0);
    default: fail("an option that there is not", "");
    }
}

Options options_parse(int count, char **arguments) {
    Options options = {
        .connections = 64, .payload = 64, .pipeline = 1, .seconds = 5, .warmup = 1, .patience = 5,
    };
    int option, index = 0;
    while ((option = getopt_long(count, arguments, "", names, &index)) != -1) {
        apply(&options, option, optarg, option == '?' ? "" : names[index].name);
    }
    if (count - optind != 2) fail("a mode and a port are missing", "");
    options.mode = arguments[optind];
    options.port = (int)number(arguments[optind + 1], 1, 65535, "port");
    bool is_stream = !strcmp(options.mode, "echo") || !strcmp(options.mode, "proxy");
    if (options.rate > 0 && !is_stream) fail("--rate is for echo and proxy, not for ", options.mode);
    if (options.rate > 0 && options.expected_interval) fail("an open loop is corrected already", "");
    if (!strcmp(options.mode, "storm")) {
        options.payload = 1;
        if (!options.count) options.count = 10000;
    }
    return options;
}
