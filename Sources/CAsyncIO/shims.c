#define _GNU_SOURCE
#include "casyncio.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

__thread void *casyncio_current_loop_slot = NULL;
__thread void *casyncio_default_core_slot = NULL;
__thread void *casyncio_stand_in_slot = NULL;
__thread int64_t casyncio_share_slot = INT64_MAX;

int casyncio_accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags) {
    return accept4(descriptor, address, length, flags);
}

// What a loop calls over and over, it asks of the kernel itself: around its own calls of these, libc looks for
// pthread_cancel(3), which nobody here uses, and which costs more than the rest of the way as soon as there is a second
// thread. The sanitizers know libc's calls, and see through them what the kernel writes.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define CASYNCIO_CALLS_LIBC 1
#endif
#endif

ssize_t casyncio_receive(int descriptor, void *memory, size_t count) {
#ifdef CASYNCIO_CALLS_LIBC
    return recv(descriptor, memory, count, 0);
#else
    return syscall(SYS_recvfrom, descriptor, memory, count, 0, NULL, NULL);
#endif
}

ssize_t casyncio_send(int descriptor, const void *memory, size_t count) {
#ifdef CASYNCIO_CALLS_LIBC
    return send(descriptor, memory, count, MSG_NOSIGNAL);
#else
    return syscall(SYS_sendto, descriptor, memory, count, MSG_NOSIGNAL, NULL, 0);
#endif
}

static int wait_for_events(int descriptor, struct epoll_event *events, int capacity, int timeout) {
#ifdef CASYNCIO_CALLS_LIBC
    return epoll_wait(descriptor, events, capacity, timeout);
#else
    return (int)syscall(SYS_epoll_pwait, descriptor, events, capacity, timeout, NULL, 0);
#endif
}

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

static int wait_in_milliseconds(int descriptor, struct epoll_event *events, int capacity, int64_t nanoseconds) {
    int timeout = -1;
    if (nanoseconds >= 0) {
        int64_t rounded = nanoseconds / 1000000 + (nanoseconds % 1000000 != 0);
        timeout = rounded > INT_MAX ? INT_MAX : (int)rounded;
    }
    return wait_for_events(descriptor, events, capacity, timeout);
}

int casyncio_epoll_wait(int descriptor, struct epoll_event *events, int capacity, int64_t nanoseconds) {
    static atomic_int has_no_pwait2 = 0;
    // Zero and endless waits need no nanoseconds: the older call is a little cheaper.
    if (nanoseconds <= 0 || atomic_load_explicit(&has_no_pwait2, memory_order_relaxed))
        return wait_in_milliseconds(descriptor, events, capacity, nanoseconds);
    struct timespec timeout = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    int count = (int)syscall(SYS_epoll_pwait2, descriptor, events, capacity, &timeout, NULL, 0);
    if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
    atomic_store_explicit(&has_no_pwait2, 1, memory_order_relaxed);
    return wait_in_milliseconds(descriptor, events, capacity, nanoseconds);
}

int casyncio_thread_id(void) { return (int)syscall(SYS_gettid); }

void casyncio_set_thread_name(const char *name) {
    char cut[16];
    strncpy(cut, name, 15);
    cut[15] = 0;
    pthread_setname_np(pthread_self(), cut);
}

// Runs a write whose EPIPE comes without its SIGPIPE: blocked meanwhile, and taken back if it was not there before. A
// call that sends in several steps may get the signal in a later one, and still say how many bytes the first have sent:
// fewer than `whole`.
#define WITHOUT_SIGPIPE(result, whole, call)                                                                          \
    do {                                                                                                              \
        sigset_t pipe_signal, before, pending;                                                                        \
        sigemptyset(&pipe_signal);                                                                                    \
        sigaddset(&pipe_signal, SIGPIPE);                                                                             \
        sigpending(&pending);                                                                                         \
        pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);                                                            \
        result = (call);                                                                                              \
        int error = errno;                                                                                            \
        bool may_be_there = result < 0 ? error == EPIPE : (size_t)result < (size_t)(whole);                           \
        if (may_be_there && !sigismember(&pending, SIGPIPE)) {                                                        \
            struct timespec zero = {0};                                                                               \
            while (sigtimedwait(&pipe_signal, NULL, &zero) < 0 && errno == EINTR) {}                                  \
        }                                                                                                             \
        pthread_sigmask(SIG_SETMASK, &before, NULL);                                                                  \
        errno = error;                                                                                                \
    } while (0)

void casyncio_write_error(const void *bytes, size_t count) {
    ssize_t written;
    do WITHOUT_SIGPIPE(written, 0, write(STDERR_FILENO, bytes, count));
    while (written < 0 && errno == EINTR);
}

int casyncio_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC | O_NONBLOCK); }

// Linux 6.18. Older kernels refuse it with EOPNOTSUPP, before they write.
#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x00000100
#endif

ssize_t casyncio_writev(int descriptor, const struct iovec *vectors, int count) {
    static atomic_int has_no_flag = 0;
    ssize_t written;
    if (!atomic_load_explicit(&has_no_flag, memory_order_relaxed)) {
        written = pwritev2(descriptor, vectors, count, -1, RWF_NOSIGNAL);
        if (written >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS)) return written;
        atomic_store_explicit(&has_no_flag, 1, memory_order_relaxed);
    }
    WITHOUT_SIGPIPE(written, 0, writev(descriptor, vectors, count));
    return written;
}

ssize_t casyncio_splice_in(int descriptor, int pipe, size_t count) {
    return splice(descriptor, NULL, pipe, NULL, count, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
}

ssize_t casyncio_splice_out(int pipe, int descriptor, size_t count) {
    ssize_t moved;
    // splice(2) knows no flag against the signal of a peer who has gone.
    WITHOUT_SIGPIPE(moved, count, splice(pipe, NULL, descriptor, NULL, count, SPLICE_F_NONBLOCK | SPLICE_F_MOVE));
    return moved;
}

ssize_t casyncio_send_file(int socket, int file, int64_t *offset, size_t count) {
    ssize_t sent;
    off_t position = *offset;
    WITHOUT_SIGPIPE(sent, count, sendfile(socket, file, &position, count));
    *offset = position;
    return sent;
}

int casyncio_receive_messages(int descriptor, struct casyncio_message *messages, unsigned int count, int flags) {
    _Static_assert(sizeof(struct casyncio_message) == sizeof(struct mmsghdr), "the kernel's layout");
    return recvmmsg(descriptor, (struct mmsghdr *)messages, count, flags, NULL);
}

int casyncio_send_messages(int descriptor, struct casyncio_message *messages, unsigned int count, int flags) {
    return sendmmsg(descriptor, (struct mmsghdr *)messages, count, flags);
}

int casyncio_ignore_handshakes(int descriptor) {
    // At a TCP socket, the packet begins with the TCP header; its flags are at 13: SYN is 2, ACK 16 (RFC 9293, 3.1).
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, 0xffff),
    };
    struct sock_fprog program = {.len = sizeof steps / sizeof *steps, .filter = steps};
    return setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

int casyncio_usable_processors(void) {
    // The kernel refuses a set that has no room for all the processors there might be.
    for (int room = 1024; room <= 1 << 20; room *= 2) {
        cpu_set_t *set = CPU_ALLOC(room);
        if (set == NULL) return -1;
        size_t size = CPU_ALLOC_SIZE(room);
        int code = sched_getaffinity(0, size, set);
        int count = code < 0 ? -1 : CPU_COUNT_S(size, set);
        CPU_FREE(set);
        if (code == 0 || errno != EINVAL) return count;
    }
    return -1;
}

int64_t casyncio_monotonic_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void casyncio_futex_wait(uint32_t *word, uint32_t value) {
    // EAGAIN (the word has changed) and EINTR: the caller looks again.
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

void casyncio_futex_wake(uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0); }
