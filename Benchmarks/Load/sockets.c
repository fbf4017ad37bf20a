#include "load.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static struct sockaddr_in loopback(uint32_t host, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(0x7f000000 | host);
    return address;
}

int socket_connect(Run *run, uint64_t index, bool waits) {
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (waits ? 0 : SOCK_NONBLOCK), 0);
    if (descriptor < 0) {
        run_error(run, CONNECT_FAILED, "connection %llu: %s", (unsigned long long)index, strerror(errno));
        return -1;
    }
    int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    // The cheapest congestion control: nothing is ever congested here, and the generator shall cost less than the
    // server.
    setsockopt(descriptor, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
    // An address has some 28,000 ports, each of which rests for a while after its connection. Connections therefore
    // come from 240 addresses in turns; the port is chosen as late as connect knows the other end.
    struct sockaddr_in source = loopback(2 + (uint32_t)(index % 240), 0);
    setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    bind(descriptor, (struct sockaddr *)&source, sizeof source);
    struct sockaddr_in address = loopback(1, run->options.port);
    if (connect(descriptor, (struct sockaddr *)&address, sizeof address) == 0) return descriptor;
    if (errno == EINPROGRESS && !waits) return descriptor;
    run_error(run, CONNECT_FAILED, "connection %llu: %s", (unsigned long long)index, strerror(errno));
    close(descriptor);
    return -1;
}

int socket_listen(int port) {
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = loopback(1, port);
    if (bind(descriptor, (struct sockaddr *)&address, sizeof address) != 0 || listen(descriptor, 4096) != 0) {
        fprintf(stderr, "load: cannot listen on port %d: %s\n", port, strerror(errno));
        exit(2);
    }
    return descriptor;
}

void socket_give_time(int descriptor, double seconds) {
    time_t whole = (time_t)seconds;
    struct timeval time = {.tv_sec = whole, .tv_usec = (suseconds_t)((seconds - (double)whole) * 1e6)};
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
}

void files_allow(uint32_t count) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= count + 32) return;
    limit.rlim_cur = limit.rlim_max < count + 32 ? limit.rlim_max : count + 32;
    setrlimit(RLIMIT_NOFILE, &limit);
}

bool bytes_check(Run *run, uint64_t connection, const unsigned char *bytes, size_t count, uint32_t start,
                 uint64_t position) {
    if (memcmp(bytes, tape_at(start, position), count) == 0) return true;
    TapeFault fault = tape_fault(bytes, count, start, position);
    unsigned long long where = position + fault.offset;
    if (fault.is_elsewhere) {
        run_error(run, BYTES_OUT_OF_PLACE, "connection %llu, byte %llu: what belongs %lld bytes later, or elsewhere",
                  (unsigned long long)connection, where, (long long)fault.shift);
    } else {
        run_error(run, BYTES_CHANGED, "connection %llu, byte %llu", (unsigned long long)connection, where);
    }
    return false;
}

bool greet(Run *run, uint64_t connection, int descriptor, uint32_t start, uint32_t count) {
    unsigned char buffer[4096];
    if (count > sizeof buffer) count = sizeof buffer;
    socket_give_time(descriptor, run->options.patience);
    if (send(descriptor, tape_at(start, 0), count, MSG_NOSIGNAL) != (ssize_t)count) {
        run_error(run, SEND_FAILED, "connection %llu: %s", (unsigned long long)connection, strerror(errno));
        return false;
    }
    ssize_t size = recv(descriptor, buffer, count, MSG_WAITALL);
    if (size == (ssize_t)count) return bytes_check(run, connection, buffer, count, start, 0);
    if (size > 0) size = recv(descriptor, buffer, 1, 0);
    Error error = size == 0 ? CLOSED_EARLY : errno == EAGAIN ? STALLED : RESET;
    run_error(run, error, "connection %llu: its first bytes did not come back", (unsigned long long)connection);
    return false;
}
