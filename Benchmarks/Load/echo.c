// Exchanges on connections that stay: each sends a payload and awaits it back, up to `pipeline` of them at a time.
//
// Closed loop: the next exchange begins when one is answered, so a slow server is asked less, and its latencies are not
// corrected for that (unless by --expected-interval). Open loop: exchange k begins at k/rate, on connection k mod N,
// whether the server keeps up or not; what cannot be sent yet is owed, and its latency counts from when it was due.
#define _GNU_SOURCE
#include "load.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    int socket;               // -1: it failed
    uint32_t start;           // where its tape begins
    bool wants_writable;
    uint64_t issued, answered, owed;      // exchanges
    uint64_t sent, received, boundary;    // bytes; the boundary is where the next answer ends
    uint64_t *begins;         // closed loop: when the exchanges under way began, a ring of `pipeline`
} Connection;

typedef struct {
    Run *run;
    Connection *connections;
    uint64_t origin, cursor;  // open loop: when exchange 0 was due, and the next one to fall due
    double interval;
    uint64_t under_way;
    uint32_t alive;
    int poller;
    unsigned char *buffer;
} Echo;

enum { BUFFER = 256 << 10, EVENTS = 512 };

static uint64_t due(const Echo *echo, uint64_t exchange) {
    return echo->origin + (uint64_t)((double)exchange * echo->interval);
}

static void drop(Echo *echo, Connection *connection) {
    close(connection->socket);
    connection->socket = -1;
    echo->under_way -= connection->issued - connection->answered;
    echo->alive--;
}

static uint64_t number_of(const Echo *echo, const Connection *connection) {
    return (uint64_t)(connection - echo->connections);
}

static void want_writable(Echo *echo, Connection *connection, bool wants) {
    if (connection->wants_writable == wants) return;
    connection->wants_writable = wants;
    struct epoll_event event = {.events = wants ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = connection};
    epoll_ctl(echo->poller, EPOLL_CTL_MOD, connection->socket, &event);
}

// Sends what has been issued and not been sent.
static void push(Echo *echo, Connection *connection) {
    uint64_t target = connection->issued * echo->run->options.payload;
    while (connection->sent < target) {
        uint64_t rest = target - connection->sent;
        size_t piece = rest < LARGEST_PIECE ? rest : LARGEST_PIECE;
        const unsigned char *bytes = tape_at(connection->start, connection->sent);
        ssize_t size = send(connection->socket, bytes, piece, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (size < 0 && errno == EAGAIN) break;
        if (size < 0) {
            run_error(echo->run, SEND_FAILED, "connection %llu: %s", (unsigned long long)number_of(echo, connection),
                      strerror(errno));
            return drop(echo, connection);
        }
        connection->sent += (uint64_t)size;
        if ((size_t)size < piece) break;
    }
    want_writable(echo, connection, connection->sent < target);
}

// Begins as many exchanges as there may be under way.
static void issue(Echo *echo, Connection *connection, uint64_t now) {
    Run *run = echo->run;
    uint64_t room = run->options.pipeline - (connection->issued - connection->answered);
    uint64_t before = connection->issued;
    for (; room > 0 && run_may_issue(run); room--) {
        if (run->options.rate > 0) {
            if (connection->owed == 0) break;
            connection->owed--;
        } else {
            connection->begins[connection->issued % run->options.pipeline] = now;
        }
        connection->issued++;
        run->issued++;
        echo->under_way++;
    }
    if (connection->issued != before) push(echo, connection);
}

static void answered(Echo *echo, Connection *connection, uint64_t now) {
    Run *run = echo->run;
    while (connection->received >= connection->boundary) {
        uint64_t exchange = connection->answered++;
        uint64_t since = run->options.rate > 0
                             ? due(echo, exchange * run->options.connections + number_of(echo, connection))
                             : connection->begins[exchange % run->options.pipeline];
        run_answered(run, since, now);
        echo->under_way--;
        connection->boundary += run->options.payload;
    }
}

static void readable(Echo *echo, Connection *connection) {
    Run *run = echo->run;
    ssize_t size = recv(connection->socket, echo->buffer, BUFFER, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    unsigned long long number = number_of(echo, connection);
    if (size <= 0) {
        if (size == 0) run_error(run, CLOSED_EARLY, "connection %llu", number);
        if (size < 0) run_error(run, RESET, "connection %llu: %s", number, strerror(errno));
        return drop(echo, connection);
    }
    uint64_t awaited = connection->sent - connection->received;
    size_t own = (uint64_t)size < awaited ? (size_t)size : awaited;
    if (!bytes_check(run, number, echo->buffer, own, connection->start, connection->received)) {
        return drop(echo, connection);
    }
    if ((uint64_t)size > awaited) {
        run_error(run, SURPLUS, "connection %llu: %lld bytes, and %llu were awaited", number, (long long)size,
                  (unsigned long long)awaited);
        return drop(echo, connection);
    }
    connection->received += (uint64_t)size;
    if (connection->received < connection->boundary) return;
    uint64_t now = nanoseconds();
    run_tick(run, now);
    answered(echo, connection, now);
    issue(echo, connection, now);
}

// Open loop: what has fallen due. Returns the time until the next exchange does.
static uint64_t issue_due(Echo *echo, uint64_t now) {
    Run *run = echo->run;
    while (run_may_issue(run) && (!run->options.count || echo->cursor < run->options.count)) {
        uint64_t next = due(echo, echo->cursor);
        if (next > now) return next - now;
        Connection *connection = &echo->connections[echo->cursor++ % run->options.connections];
        if (connection->socket < 0) continue;
        connection->owed++;
        issue(echo, connection, now);
    }
    return UINT64_MAX;
}

// One wait and what it brought. An open loop does not sleep for less than the kernel can wake it up in.
static void turn(Echo *echo, uint64_t longest) {
    enum { HARDLY_SLEEP = 60000 };
    if (longest > 50000000) longest = 50000000;
    struct timespec time = {.tv_nsec = longest > HARDLY_SLEEP ? (long)(longest - HARDLY_SLEEP) : 0};
    struct epoll_event events[EVENTS];
    int count = epoll_pwait2(echo->poller, events, EVENTS, &time, NULL);
    for (int index = 0; index < count; index++) {
        Connection *connection = events[index].data.ptr;
        if (connection->socket >= 0 && (events[index].events & EPOLLOUT)) push(echo, connection);
        if (connection->socket >= 0 && (events[index].events & ~(uint32_t)EPOLLOUT)) readable(echo, connection);
    }
}

static bool open_connections(Echo *echo) {
    Run *run = echo->run;
    uint32_t greeting = run->options.payload < 64 ? run->options.payload : 64;
    for (uint32_t number = 0; number < run->options.connections; number++) {
        Connection *connection = &echo->connections[number];
        connection->socket = socket_connect(run, number, true);
        if (connection->socket < 0) return false;
        // Its first bytes come back before the next one connects: no server's queue of connections overflows.
        uint32_t start = tape_start(number);
        if (!greet(run, number, connection->socket, start, greeting)) return false;
        connection->start = (start + greeting) % TAPE_PERIOD;
        connection->boundary = run->options.payload;
        connection->begins = calloc(run->options.pipeline, sizeof *connection->begins);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        epoll_ctl(echo->poller, EPOLL_CTL_ADD, connection->socket, &event);
        echo->alive++;
    }
    return true;
}

// Waits for what is under way, and tells what does not come.
static void drain(Echo *echo) {
    Run *run = echo->run;
    run->last_progress = nanoseconds();
    uint64_t now = run->last_progress;
    while (echo->under_way > 0 && !run_is_stalled(run, now)) {
        turn(echo, 10000000);
        now = nanoseconds();
    }
    for (uint32_t number = 0; number < run->options.connections; number++) {
        Connection *connection = &echo->connections[number];
        if (connection->socket < 0) continue;
        uint64_t missing = connection->issued - connection->answered;
        if (missing) {
            run_error(run, STALLED, "connection %u: %llu of %llu bytes have come", number,
                      (unsigned long long)connection->received, (unsigned long long)connection->sent);
            drop(echo, connection);
        }
        // An open loop counts what it still owes as well, by how late that is by now: at least so late.
        for (uint64_t index = 0; run->options.rate > 0 && index < missing + connection->owed; index++) {
            uint64_t since = due(echo, (connection->answered + index) * run->options.connections + number);
            if (!run->measures || since < run->began) continue;
            run->unfinished++;
            histogram_record(&run->latencies, now > since ? now - since : 0);
        }
    }
}

// Every connection is half-closed, and must then be closed by the server without another byte.
static void say_goodbye(Echo *echo) {
    Run *run = echo->run;
    for (uint32_t number = 0; number < run->options.connections; number++) {
        Connection *connection = &echo->connections[number];
        if (connection->socket >= 0) shutdown(connection->socket, SHUT_WR);
    }
    for (uint32_t number = 0; number < run->options.connections; number++) {
        Connection *connection = &echo->connections[number];
        if (connection->socket < 0) continue;
        ssize_t size = recv(connection->socket, echo->buffer, BUFFER, 0);
        if (size > 0) run_error(run, SURPLUS, "connection %u: %zd bytes after the last answer", number, size);
        if (size < 0) run_error(run, NOT_CLOSED, "connection %u: %s", number, strerror(errno));
        close(connection->socket);
        connection->socket = -1;
    }
}

int mode_echo(Run *run) {
    Echo echo = {
        .run = run,
        .connections = calloc(run->options.connections, sizeof(Connection)),
        .poller = epoll_create1(EPOLL_CLOEXEC),
        .buffer = malloc(BUFFER),
    };
    files_allow(run->options.connections);
    prctl(PR_SET_TIMERSLACK, 1);
    if (!open_connections(&echo)) return run_report(run);
    run_start(run);
    uint64_t now = run->last_progress;
    if (run->options.rate > 0) {
        echo.origin = now;
        echo.interval = 1e9 / run->options.rate;
    } else {
        for (uint32_t index = 0; index < run->options.connections; index++) issue(&echo, &echo.connections[index], now);
    }
    while (!run->stopped && echo.alive > 0) {
        uint64_t longest = run->options.rate > 0 ? issue_due(&echo, now) : UINT64_MAX;
        turn(&echo, longest);
        now = nanoseconds();
        run_tick(run, now);
        if (echo.under_way > 0 && run_is_stalled(run, now)) break;
        if (echo.under_way == 0) run->last_progress = now;
    }
    run_end_window(run, now);
    drain(&echo);
    say_goodbye(&echo);
    return run_report(run);
}
