// What the modes of the load generator share: the options, the clock of a run, its errors and its report.
#pragma once
#include "histogram.h"
#include "tape.h"
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum { MOST_SERVERS = 32 };

typedef struct {
    const char *mode;
    int port;
    uint32_t connections, payload, pipeline;
    double seconds, warmup, patience;
    uint64_t count;              // 0: for `seconds`
    double rate;                 // exchanges per second over all connections; 0: closed loop
    uint64_t expected_interval;  // in nanoseconds; 0: not corrected
    bool keep;                   // accept storm: connections stay open until the last one is served
    int server_count;
    int servers[MOST_SERVERS];   // processes whose processor time is told
} Options;

// Everything that can be wrong with a server has a name, and is counted.
typedef enum {
    CONNECT_FAILED, SEND_FAILED, CLOSED_EARLY, RESET, BYTES_CHANGED, BYTES_OUT_OF_PLACE, SURPLUS, STALLED, NOT_CLOSED,
    DATAGRAM_LOST, DATAGRAM_DOUBLED, KINDS_OF_ERRORS,
} Error;

// One measurement. The window is the part of the run that counts: what is between warm-up and end, or all `count`
// exchanges.
typedef struct {
    Options options;
    Histogram latencies;
    uint64_t window_begin, window_end;    // when it shall begin and end
    uint64_t began, ended;                // when it did
    bool measures, stopped;
    uint64_t issued, answered;            // exchanges, in all
    uint64_t answered_in_window, unfinished;
    int64_t server_cpu, own_cpu;
    uint64_t errors[KINDS_OF_ERRORS];
    uint64_t error_count, last_progress;
} Run;

static inline uint64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

// options.c
Options options_parse(int count, char **arguments);

// run.c
void run_start(Run *run);                                  // connected: from now on, exchanges are made
void run_begin_window(Run *run, uint64_t now);
void run_end_window(Run *run, uint64_t now);
void run_error(Run *run, Error error, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool run_is_stalled(const Run *run, uint64_t now);         // nothing has been answered for the whole patience
int run_report(const Run *run);                            // prints the line of JSON; the exit code

// Where the run stands at a time. Called before each exchange, so it is two comparisons most times.
static inline void run_tick(Run *run, uint64_t now) {
    if (run->options.count || run->stopped) return;
    if (!run->measures && now >= run->window_begin) run_begin_window(run, now);
    if (run->measures && now >= run->window_end) run_end_window(run, now);
}

// Whether another exchange may begin.
static inline bool run_may_issue(const Run *run) {
    return !run->stopped && (!run->options.count || run->issued < run->options.count);
}

// An exchange that began at `since` is complete.
static inline void run_answered(Run *run, uint64_t since, uint64_t now) {
    run->answered++;
    run->last_progress = now;
    if (run->measures && !run->stopped) run->answered_in_window++;
    // In an open loop, what counts is when it was meant to begin, even if it ends after the window.
    bool counts = run->options.rate > 0 ? since >= run->began && run->measures : run->measures && !run->stopped;
    if (counts) histogram_record_corrected(&run->latencies, now - since, run->options.expected_interval);
    if (run->options.count && run->answered == run->options.count) run_end_window(run, now);
}

// sockets.c
int socket_connect(Run *run, uint64_t index, bool waits);  // -1 after an error, which is told; else a TCP socket
int socket_listen(int port);
void socket_give_time(int socket, double seconds);         // for blocking calls
void files_allow(uint32_t count);                          // as many descriptors as the machine lets us
bool bytes_check(Run *run, uint64_t connection, const unsigned char *bytes, size_t count, uint32_t start,
                 uint64_t position);
bool greet(Run *run, uint64_t connection, int socket, uint32_t start, uint32_t count);  // one blocking exchange

// The modes: each runs to its end, and returns the exit code.
int mode_echo(Run *run);
int mode_churn(Run *run);
int mode_udp(Run *run);
int mode_idle(Run *run);
int mode_sink(int port);
