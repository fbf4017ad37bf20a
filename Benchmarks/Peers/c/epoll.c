// One thread, epoll, no library: the limit for everything that is built on epoll.
// Level-triggered: after a read that leaves nothing behind no second one is made to see EAGAIN, and connections stay
// fair to each other.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"

enum { buffer_size = 65536, flood = 16384, connections = 1 << 20 };
static char buffer[buffer_size];
static int ep;

static void watch(int operation, int fd, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(ep, operation, fd, &event)) die("epoll_ctl");
}

// What one end of a connection has not taken yet; `other` is the fd that the bytes come from. A proxy's floods go
// through a pipe, which copies nothing, all else through the buffer: an echo stands for servers that see what they say.
struct end {
    char *unsent;
    uint32_t start, count, piped;
    int other, pipe[2];
    char read_ended, connecting, is_flooded;
};
static struct end *ends;  // by fd, zeroed by the system when first touched

static int has_unsent(int fd) { return ends[fd].unsent || ends[fd].piped; }

static int connect_to(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = loopback(port);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (fd < 0 || (connect(fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS)) die("connect");
    return fd;
}

static void accept_all(int listener, int target) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        ends[fd] = (struct end){.other = fd};
        if (target) {
            int up = connect_to(target);
            ends[fd].other = up;
            ends[up] = (struct end){.other = fd, .connecting = 1};
            watch(EPOLL_CTL_ADD, up, EPOLLOUT);
        }
        watch(EPOLL_CTL_ADD, fd, target ? 0 : EPOLLIN);  // a proxy's client is read once the target is there
    }
}

static void close_end(int fd) {
    struct end *end = &ends[fd];
    free(end->unsent);
    if (end->pipe[0]) close(end->pipe[0]), close(end->pipe[1]);
    close(fd);
    *end = (struct end){.other = -1};  // an event of this turn may still name it
}

static void end_connection(int fd) {
    int other = ends[fd].other;
    close_end(fd);
    if (other != fd) close_end(other);
}

static void update(int fd) {
    struct end *end = &ends[fd];
    int may_read = !end->read_ended && !has_unsent(end->other);
    watch(EPOLL_CTL_MOD, fd, (may_read ? EPOLLIN : 0) | (has_unsent(fd) ? EPOLLOUT : 0));
}

static void update_both(int fd) {
    int other = ends[fd].other;
    update(fd);
    if (other != fd) update(other);
}

static ssize_t send_piped(int fd) {
    struct end *end = &ends[fd];
    ssize_t sent = splice(end->pipe[0], NULL, fd, NULL, end->piped, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (sent > 0) end->piped -= sent;
    return sent;
}

static void flush(int fd) {
    struct end *end = &ends[fd];
    ssize_t sent = end->piped ? send_piped(fd) : send(fd, end->unsent + end->start, end->count, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return end_connection(fd);
    if (end->unsent && sent > 0) end->start += sent, end->count -= sent;
    if (end->piped || end->count) return;
    free(end->unsent);
    end->unsent = NULL;
    update_both(fd);
}

// The sender has closed: pass it on, and end once both have. An echo ends with its only end.
static void end_reading(int from) {
    int to = ends[from].other;
    ends[from].read_ended = 1;
    if (ends[to].read_ended) return end_connection(from);
    shutdown(to, SHUT_WR);
    update(from);
}

static void transfer_flood(int from) {
    int to = ends[from].other;
    struct end *end = &ends[to];
    if (!end->pipe[0]) {
        if (pipe2(end->pipe, O_NONBLOCK | O_CLOEXEC)) die("pipe2");
        fcntl(end->pipe[0], F_SETPIPE_SZ, 4 * buffer_size);
    }
    ssize_t got = splice(from, NULL, end->pipe[1], NULL, 4 * buffer_size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (got == 0) return end_reading(from);
    if (got < 0 && errno != EAGAIN) return end_connection(from);
    end->is_flooded = got >= flood;
    if (got < 0) return;
    end->piped = got;
    if (send_piped(to) < 0 && errno != EAGAIN) return end_connection(from);
    if (end->piped) update_both(to);
}

static void transfer(int from) {
    int to = ends[from].other;
    if (ends[to].is_flooded) return transfer_flood(from);
    ssize_t got = recv(from, buffer, buffer_size, 0);
    if (got > 0) {
        ends[to].is_flooded = got >= flood && to != from;
        ssize_t sent = send(to, buffer, got, MSG_NOSIGNAL);
        if (sent == got) return;
        if (sent < 0 && errno != EAGAIN) return end_connection(from);
        if (sent < 0) sent = 0;
        char *unsent = malloc(got - sent);
        if (!unsent) die("malloc");
        memcpy(unsent, buffer + sent, got - sent);
        ends[to].unsent = unsent, ends[to].start = 0, ends[to].count = got - sent;
        update_both(to);
    } else if (got == 0) {
        end_reading(from);
    } else if (errno != EAGAIN) {
        end_connection(from);
    }
}

static void serve(int port, int target) {
    int listener = listen_on(port);
    ends = calloc(connections, sizeof *ends);
    watch(EPOLL_CTL_ADD, listener, EPOLLIN);
    ready();
    static struct epoll_event events[1024];
    for (;;) {
        int count = epoll_wait(ep, events, 1024, -1);
        // New connections last: a number that is closed in this turn is not used again in it.
        int accepting = 0;
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            uint32_t what = events[i].events;
            if (fd == listener) {
                accepting = 1;
            } else if (ends[fd].other < 0) {
                continue;
            } else if (ends[fd].connecting) {
                int error = 0;
                socklen_t size = sizeof error;
                getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
                ends[fd].connecting = 0;
                if (error) end_connection(fd);
                else update(fd), update(ends[fd].other);
            } else if (has_unsent(fd) && what & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
                flush(fd);
            } else if (what & EPOLLIN) {
                transfer(fd);
            } else if (what & (EPOLLERR | EPOLLHUP)) {
                end_connection(fd);
            }
        }
        if (accepting) accept_all(listener, target);
    }
}

static void udp(int port) {
    enum { batch = 64 };
    int fd = bind_udp(port);
    static char bytes[batch][buffer_size];
    static struct sockaddr_in senders[batch];
    static struct iovec parts[batch];
    static struct mmsghdr messages[batch];
    watch(EPOLL_CTL_ADD, fd, EPOLLIN);
    ready();
    for (;;) {
        struct epoll_event event;
        if (epoll_wait(ep, &event, 1, -1) < 0) die("epoll_wait");
        for (int i = 0; i < batch; i++) {
            parts[i] = (struct iovec){bytes[i], buffer_size};
            messages[i].msg_hdr = (struct msghdr){
                .msg_name = &senders[i], .msg_namelen = sizeof senders[i], .msg_iov = &parts[i], .msg_iovlen = 1};
        }
        int count = recvmmsg(fd, messages, batch, MSG_DONTWAIT, NULL);
        for (int i = 0; i < count; i++) parts[i].iov_len = messages[i].msg_len;
        for (int sent = 0, more; sent < count; sent += more)
            if ((more = sendmmsg(fd, messages + sent, count - sent, 0)) <= 0) more = 1;  // no room: a datagram is lost
    }
}

static void wait_until(int64_t deadline) {
    int64_t rest = deadline - now();
    if (rest <= 0) return;
    struct timespec time = {rest / 1000000000, rest % 1000000000};
    struct epoll_event event;
    epoll_pwait2(ep, &event, 1, &time, NULL);
}

// No loop reads files by epoll: a cached one is read at once.
static void files(long count) {
    size_t size;
    int fd = open_sample(&size);
    uint64_t state = 88172645463325252;
    struct mark from = {0};
    for (long i = -count / 10; i < count; i++) {
        if (i <= 0) from = begin();
        if (pread(fd, buffer, 4096, random_page(&state, size)) != 4096) die("pread");
    }
    report("files", count, from, "");
}

// An item goes from one thread's loop to the other's and back, each woken by an eventfd.
static int bells[2];

static void ring(int bell) {
    uint64_t one = 1;
    if (write(bell, &one, sizeof one) != sizeof one) die("write");
}

static void await_bell(int loop, int bell) {
    struct epoll_event event;
    uint64_t value;
    if (epoll_wait(loop, &event, 1, -1) != 1 || read(bell, &value, sizeof value) != sizeof value) die("epoll_wait");
}

static long item;

static void *answer(void *count) {
    int loop = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = bells[1]};
    epoll_ctl(loop, EPOLL_CTL_ADD, bells[1], &event);
    for (long i = 0; i < *(long *)count; i++) {
        await_bell(loop, bells[1]);
        item++;
        ring(bells[0]);
    }
    return NULL;
}

static void cross(long count) {
    pthread_t thread;
    long warm_up = count / 10, all = count + warm_up;
    for (int i = 0; i < 2; i++) bells[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    watch(EPOLL_CTL_ADD, bells[0], EPOLLIN);
    if (pthread_create(&thread, NULL, answer, &all)) die("pthread_create");
    struct mark from = {0};
    for (long i = -warm_up; i < count; i++) {
        if (i <= 0) from = begin();
        long before = item;
        ring(bells[1]);
        await_bell(ep, bells[0]);
        if (item != before + 1) die("an item was lost");
    }
    report("cross", count, from, "");
    pthread_join(thread, NULL);
}

int main(int count, char **arguments) {
    ep = epoll_create1(EPOLL_CLOEXEC);
    return run(count, arguments, &(struct peer){serve, udp, wait_until, files, cross});
}
