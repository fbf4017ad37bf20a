// One thread, io_uring, liburing: the limit for everything that is built on io_uring.
#define _GNU_SOURCE
#include "uring.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"

struct io_uring ring;

static void make(struct io_uring *new_ring) {
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CQSIZE,
        .cq_entries = 16384};
    if (io_uring_queue_init_params(4096, new_ring, &parameters)) die("io_uring_setup (Linux 6.1 or later)");
    io_uring_register_ring_fd(new_ring);
}

struct io_uring_sqe *next_sqe(void) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    if (sqe) return sqe;
    io_uring_submit(&ring);
    sqe = io_uring_get_sqe(&ring);
    if (!sqe) die("io_uring_submit");
    return sqe;
}


struct completion {
    uint64_t data;
    int result;
};

static struct completion complete(struct io_uring *from) {
    struct io_uring_cqe *cqe;
    io_uring_submit_and_wait(from, 1);
    if (io_uring_wait_cqe(from, &cqe)) die("io_uring_enter");
    struct completion completion = {cqe->user_data, cqe->res};
    io_uring_cqe_seen(from, cqe);
    return completion;
}

// Datagrams: one receive stands for all, and each answer's buffer is given back when it is sent.
void serve_datagrams(int port) {
    enum { buffers = 512, size = 65536 + 128 };
    int fd = bind_udp(port), count = 0;
    char *bytes = malloc((size_t)buffers * size);
    static struct msghdr shape = {.msg_namelen = sizeof(struct sockaddr_in)}, answers[buffers];
    static struct iovec parts[buffers];
    struct io_uring_buf_ring *pool;
    if (!bytes || posix_memalign((void **)&pool, 4096, buffers * sizeof(struct io_uring_buf))) die("buffers");
    struct io_uring_buf_reg registration = {.ring_addr = (uintptr_t)pool, .ring_entries = buffers, .bgid = 0};
    io_uring_buf_ring_init(pool);
    if (io_uring_register_buf_ring(&ring, &registration, 0) || io_uring_register_files(&ring, &fd, 1)) die("register");
    for (int i = 0; i < buffers; i++) io_uring_buf_ring_add(pool, bytes + (size_t)i * size, size, i, buffers - 1, i);
    io_uring_buf_ring_advance(pool, buffers);
    ready();
    for (int armed = 0, immediate = 0;;) {
        if (!armed) {
            struct io_uring_sqe *sqe = next_sqe();
            io_uring_prep_recvmsg_multishot(sqe, 0, &shape, 0);
            sqe->flags |= IOSQE_BUFFER_SELECT | IOSQE_FIXED_FILE;
            io_uring_sqe_set_data64(sqe, buffers);
            armed = 1;
        }
        io_uring_submit_and_wait(&ring, immediate + 1);
        struct io_uring_cqe *cqe;
        unsigned head;
        int returned = 0;
        count = immediate = 0;
        io_uring_for_each_cqe(&ring, head, cqe) {
            count++;
            unsigned buffer = cqe->user_data;
            if (buffer < buffers) {  // sent, or lost for want of room
                io_uring_buf_ring_add(pool, bytes + (size_t)buffer * size, size, buffer, buffers - 1, returned++);
                continue;
            }
            if (!(cqe->flags & IORING_CQE_F_MORE)) armed = 0;
            if (!(cqe->flags & IORING_CQE_F_BUFFER)) continue;
            buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
            struct io_uring_recvmsg_out *out = (void *)(bytes + (size_t)buffer * size);
            parts[buffer] = (struct iovec){(char *)(out + 1) + shape.msg_namelen, out->payloadlen};
            answers[buffer] = (struct msghdr){
                .msg_name = out + 1, .msg_namelen = shape.msg_namelen, .msg_iov = &parts[buffer], .msg_iovlen = 1};
            struct io_uring_sqe *sqe = next_sqe();
            io_uring_prep_sendmsg(sqe, 0, &answers[buffer], MSG_DONTWAIT);
            sqe->flags |= IOSQE_FIXED_FILE;
            io_uring_sqe_set_data64(sqe, buffer);
            immediate++;
        }
        io_uring_cq_advance(&ring, count);
        io_uring_buf_ring_advance(pool, returned);
    }
}

static void wait_until(int64_t deadline) {
    int64_t rest = deadline - now();
    if (rest <= 0) return;
    struct __kernel_timespec time = {rest / 1000000000, rest % 1000000000};
    struct io_uring_cqe *cqe;
    io_uring_wait_cqe_timeout(&ring, &cqe, &time);
}

static void files(long count) {
    size_t size;
    int fd = open_sample(&size);
    static char buffer[4096] __attribute__((aligned(4096)));
    struct iovec part = {buffer, sizeof buffer};
    if (io_uring_register_files(&ring, &fd, 1) || io_uring_register_buffers(&ring, &part, 1)) die("register");
    uint64_t state = 88172645463325252;
    struct mark from = {0};
    for (long i = -count / 10; i < count; i++) {
        if (i <= 0) from = begin();
        struct io_uring_sqe *sqe = next_sqe();
        io_uring_prep_read_fixed(sqe, 0, buffer, sizeof buffer, random_page(&state, size), 0);
        sqe->flags |= IOSQE_FIXED_FILE;
        if (complete(&ring).result != sizeof buffer) die("read");
    }
    report("files", count, from, "");
}

// An item goes from one thread's ring to the other's and back, as messages between rings.
static struct io_uring second;
static pthread_barrier_t both;

static void tell(struct io_uring *from, const struct io_uring *to, uint64_t item) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(from);
    io_uring_prep_msg_ring(sqe, to->ring_fd, 0, item, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

static void *answer(void *count) {
    make(&second);
    pthread_barrier_wait(&both);
    for (long i = 0; i < *(long *)count; i++) tell(&second, &ring, complete(&second).data + 1);
    io_uring_submit(&second);
    return NULL;
}

static void cross(long count) {
    pthread_t thread;
    long warm_up = count / 10, all = count + warm_up;
    pthread_barrier_init(&both, NULL, 2);
    if (pthread_create(&thread, NULL, answer, &all)) die("pthread_create");
    pthread_barrier_wait(&both);
    struct mark from = {0};
    for (long i = -warm_up; i < count; i++) {
        if (i <= 0) from = begin();
        tell(&ring, &second, i + warm_up);
        if (complete(&ring).data != (uint64_t)(i + warm_up + 1)) die("an item was lost");
    }
    report("cross", count, from, "");
    pthread_join(thread, NULL);
}

int main(int count, char **arguments) {
    make(&ring);
    return run(count, arguments, &(struct peer){serve_streams, serve_datagrams, wait_until, files, cross});
}
