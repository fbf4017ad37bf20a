// The load generator: one thread over epoll that asks a server on this machine, checks every byte of its answers, and
// tells its latencies and the processor time that it took. See `load --help`, and ../House/README.md for the method.
#include "load.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int count, char **arguments) {
    signal(SIGPIPE, SIG_IGN);
    Run *run = calloc(1, sizeof *run);
    run->options = options_parse(count, arguments);
    tape_record();
    const char *mode = run->options.mode;
    if (!strcmp(mode, "echo") || !strcmp(mode, "proxy")) return mode_echo(run);
    if (!strcmp(mode, "churn") || !strcmp(mode, "storm")) return mode_churn(run);
    if (!strcmp(mode, "udp")) return mode_udp(run);
    if (!strcmp(mode, "idle")) return mode_idle(run);
    if (!strcmp(mode, "sink")) return mode_sink(run->options.port);
    fprintf(stderr, "load: there is no mode %s\n", mode);
    return 2;
}
