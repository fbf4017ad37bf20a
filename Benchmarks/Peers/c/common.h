// What the C peers share: sockets, clocks, and the one line of JSON that a work prints.
#ifndef COMMON_H
#define COMMON_H
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

struct mark {
    int64_t wall, cpu;
};

int64_t now(void);        // CLOCK_MONOTONIC, in nanoseconds
struct mark begin(void);  // the clocks before the measured part
// Prints the result of a work; `fields` is a printf format of more JSON fields, or "".
void report(const char *work, long operations, struct mark from, const char *fields, ...);

_Noreturn void die(const char *what);
_Noreturn void cannot(const char *work, const char *why);  // exit code 3: not for this peer

struct sockaddr_in loopback(int port);
int listen_on(int port);  // non-blocking; TCP_NODELAY is inherited by what it accepts
int bind_udp(int port);
void ready(void);

// Works that need no more of a loop than a way to wait until a point in time, or none at all.
void work_timers(long count);
void work_timers_fire(long count, void (*wait_until)(int64_t));
void work_children(long count);
int open_sample(size_t *size);  // a cached file of 64 MiB, without a name
uint64_t random_page(uint64_t *state, size_t size);

// What each loop does in its own way.
struct peer {
    void (*streams)(int port, int target);  // an echo where there is no target, else a proxy
    void (*datagrams)(int port);
    void (*wait_until)(int64_t);
    void (*files)(long count);
    void (*cross)(long count);
};
int run(int count, char **arguments, const struct peer *peer);  // the command line of all peers

static inline uint64_t spread(uint64_t index, uint64_t span) {  // the same order of deadlines in every peer
    return (uint32_t)(index * 2654435761u) * span >> 32;
}
#endif
