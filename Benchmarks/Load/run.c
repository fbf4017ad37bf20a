#include "load.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const error_names[KINDS_OF_ERRORS] = {
    "connect_failed", "send_failed", "closed_early", "reset", "bytes_changed", "bytes_out_of_place", "surplus",
    "stalled", "not_closed", "datagram_lost", "datagram_doubled",
};

static int64_t read_clock(clockid_t clock) {
    struct timespec time;
    if (clock_gettime(clock, &time) != 0) return -1;
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

// The processor time of all threads that the servers have or had, also of those that the kernel made for them
// (io_uring's workers are threads of the process). A process's clock has nanoseconds where /proc/PID/stat has ticks of
// ten milliseconds; its number is made of the process's as clock_getcpuclockid(3) makes it.
static int64_t servers_clock(const Options *options) {
    int64_t sum = 0;
    for (int index = 0; index < options->server_count; index++) {
        int64_t time = read_clock((clockid_t)((~(unsigned)options->servers[index] << 3) | 2));
        if (time < 0) return -1;
        sum += time;
    }
    return sum;
}

void run_start(Run *run) {
    uint64_t now = nanoseconds();
    run->last_progress = now;
    run->window_begin = now + (uint64_t)(run->options.warmup * 1e9);
    run->window_end = run->window_begin + (uint64_t)(run->options.seconds * 1e9);
    if (run->options.count) run_begin_window(run, now);
}

void run_begin_window(Run *run, uint64_t now) {
    run->measures = true;
    run->began = now;
    run->window_end = now + (uint64_t)(run->options.seconds * 1e9);
    run->server_cpu = servers_clock(&run->options);
    run->own_cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

void run_end_window(Run *run, uint64_t now) {
    if (run->stopped) return;
    run->stopped = true;
    run->ended = now;
    if (!run->measures) return;
    int64_t servers = servers_clock(&run->options);
    run->server_cpu = servers < 0 || run->server_cpu < 0 ? -1 : servers - run->server_cpu;
    run->own_cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID) - run->own_cpu;
}

void run_error(Run *run, Error error, const char *format, ...) {
    run->errors[error]++;
    if (run->error_count++ >= 10) return;
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "load: %s: ", error_names[error]);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

bool run_is_stalled(const Run *run, uint64_t now) {
    return now > run->last_progress + (uint64_t)(run->options.patience * 1e9);
}

static void print_latencies(const Histogram *latencies) {
    static const struct { const char *name; double quantile; } quantiles[] = {
        {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999},
    };
    printf("\"latency_ns\":{");
    for (size_t index = 0; index < sizeof quantiles / sizeof *quantiles; index++) {
        uint64_t value = histogram_quantile(latencies, quantiles[index].quantile);
        printf("\"%s\":%llu,", quantiles[index].name, (unsigned long long)value);
    }
    double mean = latencies->total ? latencies->sum / (double)latencies->total : 0;
    printf("\"max\":%llu,\"mean\":%.0f,\"count\":%llu},", (unsigned long long)latencies->maximum, mean,
           (unsigned long long)latencies->total);
}

int run_report(const Run *run) {
    const Options *options = &run->options;
    uint64_t wall = run->ended > run->began ? run->ended - run->began : 0;
    const char *correction = options->rate > 0           ? "intended start"
                             : options->expected_interval ? "expected interval"
                                                          : "none";
    printf("{\"mode\":\"%s\",\"connections\":%u,\"payload\":%u,\"pipeline\":%u,", options->mode, options->connections,
           options->payload, options->pipeline);
    printf("\"loop\":\"%s\",\"rate\":%.1f,\"correction\":\"%s\",", options->rate > 0 ? "open" : "closed", options->rate,
           correction);
    printf("\"exchanges\":%llu,\"wall_ns\":%llu,\"per_second\":%.1f,", (unsigned long long)run->answered_in_window,
           (unsigned long long)wall, wall ? (double)run->answered_in_window * 1e9 / (double)wall : 0);
    if (options->server_count && run->server_cpu >= 0) printf("\"server_cpu_ns\":%lld,", (long long)run->server_cpu);
    printf("\"load_cpu_ns\":%lld,", (long long)run->own_cpu);
    print_latencies(&run->latencies);
    printf("\"unfinished\":%llu,\"errors\":{", (unsigned long long)run->unfinished);
    const char *separator = "";
    for (int error = 0; error < KINDS_OF_ERRORS; error++) {
        if (!run->errors[error]) continue;
        printf("%s\"%s\":%llu", separator, error_names[error], (unsigned long long)run->errors[error]);
        separator = ",";
    }
    printf("}}\n");
    fflush(stdout);
    return run->error_count ? 1 : 0;
}
