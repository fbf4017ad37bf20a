// A connection for each exchange: connect, send a payload, await it back, close. With `storm`, so many connections as
// fast as the server accepts them, a byte on each.
#define _GNU_SOURCE
#include "load.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    int socket;
    uint32_t start;
    uint64_t number, begin, sent, received;
} Visit;

typedef struct {
    Run *run;
    Visit *visits;      // as many as there are at a time
    int *kept;          // connections that stay open after their exchange
    uint64_t kept_count;
    uint32_t under_way;
    int poller;
    unsigned char *buffer;
} Churn;

enum { BUFFER = 256 << 10, EVENTS = 512 };

static void begin(Churn *churn, Visit *visit, uint64_t now);

static void end(Churn *churn, Visit *visit, bool is_complete) {
    if (is_complete && churn->kept) {
        epoll_ctl(churn->poller, EPOLL_CTL_DEL, visit->socket, NULL);
        churn->kept[churn->kept_count++] = visit->socket;
    } else {
        close(visit->socket);
    }
    visit->socket = -1;
    churn->under_way--;
}

// Sends what is left of the payload. False after an error.
static bool push(Churn *churn, Visit *visit) {
    Run *run = churn->run;
    size_t rest = run->options.payload - visit->sent;
    ssize_t size = send(visit->socket, tape_at(visit->start, visit->sent), rest, MSG_NOSIGNAL);
    if (size < 0 && (errno == EAGAIN || errno == EINPROGRESS)) size = 0;
    if (size < 0) {
        bool is_refused = errno == ECONNREFUSED;
        run_error(run, is_refused ? CONNECT_FAILED : SEND_FAILED, "connection %llu: %s",
                  (unsigned long long)visit->number, strerror(errno));
        return false;
    }
    visit->sent += (uint64_t)size;
    return true;
}

static void watch(Churn *churn, Visit *visit, int operation) {
    bool is_sent = visit->sent == churn->run->options.payload;
    struct epoll_event event = {.events = is_sent ? EPOLLIN : EPOLLIN | EPOLLOUT, .data.ptr = visit};
    epoll_ctl(churn->poller, operation, visit->socket, &event);
}

static void begin(Churn *churn, Visit *visit, uint64_t now) {
    Run *run = churn->run;
    if (!run_may_issue(run)) return;
    *visit = (Visit){.socket = -1, .number = run->issued++, .begin = now};
    visit->start = tape_start(visit->number);
    visit->socket = socket_connect(run, visit->number, false);
    if (visit->socket < 0) return;
    churn->under_way++;
    // On the loopback the connection stands by now, most times, and takes the payload at once.
    if (!push(churn, visit)) return end(churn, visit, false);
    watch(churn, visit, EPOLL_CTL_ADD);
}

// True when the exchange has come to its end, well or not.
static bool readable(Churn *churn, Visit *visit) {
    Run *run = churn->run;
    unsigned long long number = visit->number;
    ssize_t size = recv(visit->socket, churn->buffer, BUFFER, 0);
    if (size < 0 && errno == EAGAIN) return false;
    bool is_good = size > 0;
    if (size == 0) run_error(run, CLOSED_EARLY, "connection %llu", number);
    if (size < 0) {
        run_error(run, errno == ECONNREFUSED ? CONNECT_FAILED : RESET, "connection %llu: %s", number, strerror(errno));
    }
    if (is_good) {
        uint64_t awaited = visit->sent - visit->received;
        size_t own = (uint64_t)size < awaited ? (size_t)size : awaited;
        is_good = bytes_check(run, number, churn->buffer, own, visit->start, visit->received);
        visit->received += (uint64_t)size;
    }
    if (is_good && visit->received > visit->sent) {
        run_error(run, SURPLUS, "connection %llu", number);
        is_good = false;
    }
    if (is_good && visit->received < run->options.payload) return false;
    end(churn, visit, is_good);
    if (is_good) {
        uint64_t now = nanoseconds();
        run_tick(run, now);
        run_answered(run, visit->begin, now);
    }
    return true;
}

static void turn(Churn *churn) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(churn->poller, events, EVENTS, 50);
    for (int index = 0; index < count; index++) {
        Visit *visit = events[index].data.ptr;
        if (visit->sent < churn->run->options.payload && (events[index].events & EPOLLOUT)) {
            if (!push(churn, visit)) {
                end(churn, visit, false);
                continue;
            }
            watch(churn, visit, EPOLL_CTL_MOD);
        }
        if (!(events[index].events & ~(uint32_t)EPOLLOUT)) continue;
        if (readable(churn, visit)) begin(churn, visit, nanoseconds());
    }
}

int mode_churn(Run *run) {
    bool keeps = run->options.keep && run->options.count;
    Churn churn = {
        .run = run,
        .visits = calloc(run->options.connections, sizeof(Visit)),
        .kept = keeps ? calloc(run->options.count, sizeof(int)) : NULL,
        .poller = epoll_create1(EPOLL_CLOEXEC),
        .buffer = malloc(BUFFER),
    };
    files_allow(run->options.connections + (keeps ? (uint32_t)run->options.count : 0));
    run_start(run);
    uint64_t now = run->last_progress;
    for (uint32_t index = 0; index < run->options.connections; index++) begin(&churn, &churn.visits[index], now);
    while (churn.under_way > 0 && run->error_count < 100) {
        turn(&churn);
        now = nanoseconds();
        run_tick(run, now);
        if (run_is_stalled(run, now)) break;
    }
    run_end_window(run, now);
    for (uint32_t index = 0; churn.under_way > 0 && index < run->options.connections; index++) {
        Visit *visit = &churn.visits[index];
        if (visit->socket < 0 || visit->sent == 0) continue;
        run_error(run, STALLED, "connection %llu: %llu of %llu bytes have come", (unsigned long long)visit->number,
                  (unsigned long long)visit->received, (unsigned long long)visit->sent);
    }
    for (uint64_t index = 0; index < churn.kept_count; index++) close(churn.kept[index]);
    return run_report(run);
}
