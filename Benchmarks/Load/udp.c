// Datagrams there and back: on each socket up to `pipeline` of them are under way, each is a piece of the socket's
// tape.
//
// A datagram of eight bytes or more begins with its number, so that answers may overtake each other; smaller ones must
// come back in their order. What has not come back after a fifth of the patience is lost, and told as
// an error: nothing on the loopback loses datagrams as long as the window fits into the server's buffer.
#define _GNU_SOURCE
#include "load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    uint64_t number, begin;
    bool is_under_way;
} Shot;

typedef struct {
    int socket;
    uint32_t index, start;
    uint64_t next;        // the number of the next datagram
    uint64_t oldest;      // without numbers in the datagrams: the one that must come next
    Shot *shots;          // a ring: number n stands at n mod pipeline
} Peer;

enum { BATCH = 64, LARGEST = 65507, EVENTS = 512, NUMBERED = 8 };

typedef struct {
    Run *run;
    Peer *peers;
    uint64_t under_way;
    int poller;
    unsigned char *arrivals, *departures;    // BATCH datagrams each
    struct mmsghdr headers[BATCH];
    struct iovec pieces[BATCH];
} Pingpong;

static void put(const Pingpong *game, const Peer *peer, uint64_t number, unsigned char *bytes) {
    uint32_t payload = game->run->options.payload;
    memcpy(bytes, tape_at(peer->start, number * payload), payload);
    if (payload >= NUMBERED) memcpy(bytes, &number, NUMBERED);
}

static void prepare(Pingpong *game, unsigned char *bytes, size_t room) {
    memset(game->headers, 0, sizeof game->headers);
    for (int index = 0; index < BATCH; index++) {
        game->pieces[index] = (struct iovec){.iov_base = bytes + (size_t)index * room, .iov_len = room};
        game->headers[index].msg_hdr = (struct msghdr){.msg_iov = &game->pieces[index], .msg_iovlen = 1};
    }
}

// Fills the peer's window, at most BATCH datagrams by one call.
static void issue(Pingpong *game, Peer *peer, uint64_t now) {
    Run *run = game->run;
    uint32_t payload = run->options.payload;
    unsigned count = 0;
    while (count < BATCH && run_may_issue(run)) {
        Shot *shot = &peer->shots[peer->next % run->options.pipeline];
        if (shot->is_under_way) break;
        *shot = (Shot){.number = peer->next, .begin = now, .is_under_way = true};
        put(game, peer, peer->next++, game->departures + count * payload);
        run->issued++;
        game->under_way++;
        count++;
    }
    if (count == 0) return;
    int sent;
    if (count == 1) {
        sent = send(peer->socket, game->departures, payload, MSG_NOSIGNAL) == (ssize_t)payload ? 1 : -1;
    } else {
        prepare(game, game->departures, payload);
        sent = sendmmsg(peer->socket, game->headers, count, MSG_NOSIGNAL);
    }
    if (sent != (int)count) {
        run_error(run, SEND_FAILED, "socket %u: %d of %u datagrams: %s", peer->index, sent, count, strerror(errno));
    }
}

static void take(Pingpong *game, Peer *peer, const unsigned char *bytes, size_t size, uint64_t now) {
    Run *run = game->run;
    uint32_t payload = run->options.payload;
    uint64_t number = peer->oldest;
    if (size != payload) {
        run_error(run, BYTES_CHANGED, "socket %u: a datagram of %zu bytes, not %u", peer->index, size, payload);
        return;
    }
    if (payload >= NUMBERED) memcpy(&number, bytes, NUMBERED);
    Shot *shot = &peer->shots[number % run->options.pipeline];
    if (number >= peer->next) {
        run_error(run, BYTES_CHANGED, "socket %u: a datagram that was not sent", peer->index);
        return;
    }
    size_t head = payload >= NUMBERED ? NUMBERED : 0;
    bool is_right = bytes_check(run, peer->index, bytes + head, size - head, peer->start, number * payload + head);
    if (!shot->is_under_way || shot->number != number) {
        if (!is_right) return;
        run_error(run, DATAGRAM_DOUBLED, "socket %u: number %llu", peer->index, (unsigned long long)number);
        return;
    }
    if (!is_right) return;
    shot->is_under_way = false;
    peer->oldest = number + 1;
    game->under_way--;
    run_answered(run, shot->begin, now);
}

static void readable(Pingpong *game, Peer *peer) {
    Run *run = game->run;
    uint64_t now;
    if (run->options.pipeline == 1) {
        ssize_t size = recv(peer->socket, game->arrivals, LARGEST, 0);
        if (size < 0 && errno == EAGAIN) return;
        if (size < 0) return run_error(run, RESET, "socket %u: %s", peer->index, strerror(errno));
        run_tick(run, now = nanoseconds());
        take(game, peer, game->arrivals, (size_t)size, now);
    } else {
        // A byte more than the payload shows datagrams that are too long.
        prepare(game, game->arrivals, run->options.payload + 1);
        int count = recvmmsg(peer->socket, game->headers, BATCH, 0, NULL);
        if (count < 0 && errno != EAGAIN) return run_error(run, RESET, "socket %u: %s", peer->index, strerror(errno));
        run_tick(run, now = nanoseconds());
        for (int index = 0; index < count; index++) {
            take(game, peer, game->pieces[index].iov_base, game->headers[index].msg_len, now);
        }
    }
    issue(game, peer, now);
}

// What is under way for too long is lost, and leaves its place to another.
static void find_lost(Pingpong *game, uint64_t now) {
    Run *run = game->run;
    uint64_t longest = (uint64_t)(run->options.patience / 5 * 1e9);
    for (uint32_t index = 0; index < run->options.connections; index++) {
        Peer *peer = &game->peers[index];
        for (uint32_t place = 0; place < run->options.pipeline; place++) {
            Shot *shot = &peer->shots[place];
            if (!shot->is_under_way || now < shot->begin + longest) continue;
            run_error(run, DATAGRAM_LOST, "socket %u: number %llu", index, (unsigned long long)shot->number);
            shot->is_under_way = false;
            peer->oldest = shot->number + 1;
            game->under_way--;
            // Exactly `count` answers are not possible any more; so many attempts have to do.
            bool was_last = run->issued == run->options.count && game->under_way == 0;
            if (run->options.count && was_last) run_end_window(run, now);
        }
        issue(game, peer, now);
    }
}

static bool open_sockets(Pingpong *game) {
    Run *run = game->run;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)run->options.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (uint32_t index = 0; index < run->options.connections; index++) {
        Peer *peer = &game->peers[index];
        *peer = (Peer){.index = index, .start = tape_start(index)};
        peer->shots = calloc(run->options.pipeline, sizeof(Shot));
        peer->socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (connect(peer->socket, (struct sockaddr *)&address, sizeof address) != 0) {
            run_error(run, CONNECT_FAILED, "socket %u: %s", index, strerror(errno));
            return false;
        }
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
        epoll_ctl(game->poller, EPOLL_CTL_ADD, peer->socket, &event);
    }
    return true;
}

int mode_udp(Run *run) {
    if (run->options.payload > LARGEST) {
        fprintf(stderr, "load: a datagram has at most %d bytes\n", LARGEST);
        return 2;
    }
    Pingpong *game = calloc(1, sizeof *game);
    game->run = run;
    game->peers = calloc(run->options.connections, sizeof(Peer));
    game->poller = epoll_create1(EPOLL_CLOEXEC);
    game->arrivals = malloc((size_t)BATCH * (LARGEST + 1));
    game->departures = malloc((size_t)BATCH * LARGEST);
    files_allow(run->options.connections);
    if (!open_sockets(game)) return run_report(run);
    run_start(run);
    uint64_t now = run->last_progress, looked = now;
    for (uint32_t index = 0; index < run->options.connections; index++) issue(game, &game->peers[index], now);
    while ((game->under_way > 0 || run_may_issue(run)) && run->error_count < 100) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(game->poller, events, EVENTS, 50);
        for (int index = 0; index < count; index++) readable(game, events[index].data.ptr);
        now = nanoseconds();
        run_tick(run, now);
        if (now < looked + 50000000) continue;
        looked = now;
        find_lost(game, now);
    }
    run_end_window(run, now);
    // A doubled last datagram is there by now, or in a moment.
    usleep(2000);
    for (uint32_t index = 0; index < run->options.connections; index++) readable(game, &game->peers[index]);
    return run_report(run);
}
