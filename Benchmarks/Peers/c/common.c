#define _GNU_SOURCE
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int64_t clock_ns(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}

int64_t now(void) { return clock_ns(CLOCK_MONOTONIC); }

struct mark begin(void) {
    return (struct mark){.wall = clock_ns(CLOCK_MONOTONIC), .cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID)};
}

static long peak_kib(void) {
    char line[256];
    long peak = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status)) sscanf(line, "VmHWM: %ld", &peak);
    if (status) fclose(status);
    return peak;
}

void report(const char *work, long operations, struct mark from, const char *fields, ...) {
    struct mark end = begin();
    printf("{\"work\":\"%s\",\"operations\":%ld,\"wall_ns\":%lld,\"cpu_ns\":%lld,\"peak_kib\":%ld", work, operations,
           (long long)(end.wall - from.wall), (long long)(end.cpu - from.cpu), peak_kib());
    va_list arguments;
    va_start(arguments, fields);
    vprintf(fields, arguments);
    va_end(arguments);
    printf("}\n");
}

void die(const char *what) {
    perror(what);
    exit(1);
}

void cannot(const char *work, const char *why) {
    fprintf(stderr, "%s: %s\n", work, why);
    exit(3);
}

struct sockaddr_in loopback(int port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int bound(int type, int port) {
    int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = loopback(port);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        bind(fd, (struct sockaddr *)&address, sizeof address))
        die("bind");
    return fd;
}

int listen_on(int port) {
    int fd = bound(SOCK_STREAM, port), on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) || listen(fd, 4096)) die("listen");
    return fd;
}

int bind_udp(int port) { return bound(SOCK_DGRAM, port); }

void ready(void) {
    puts("ready");
    fflush(stdout);
}

int open_sample(size_t *size) {
    *size = 64 << 20;
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) die("open");
    char *block = malloc(1 << 20);
    for (int i = 0; i < 64; i++) {
        memset(block, 'a' + i % 26, 1 << 20);
        if (write(fd, block, 1 << 20) != 1 << 20) die("write");
    }
    free(block);
    return fd;
}

uint64_t random_page(uint64_t *state, size_t size) {  // xorshift64: cheap, and the same everywhere
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    return *state % (size / 4096) * 4096;
}
