// Echo and proxy over io_uring: multishot accept, multishot receives into a ring of buffers, descriptors that live in
// the ring's own table, and one system call a turn, which submits what the turn has to say and waits for the next.
// Linux 6.1 or later.
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"
#include "uring.h"

enum {
    most_ends = 65536,
    most_buffers = 4096,
    first_buffers = 64,  // the kernel takes them in turn, so that no more are given than are needed: they stay cached
    buffer_size = 65536,
    buffer_stride = buffer_size + 4160,  // a power of two would have all first lines share one set of the cache
    held_limit = 16,     // nothing more is received for a peer that so many buffers wait for
    parts_limit = 64,
    none = 0xffff,
};
enum operation { accepted, received, sent, connected, stopped, unimportant };

// One end of a connection. What shall be sent to it waits in a list of buffers; one send at a time takes them all.
struct end {
    uint32_t sending_bytes;
    uint16_t head, tail, held, sending;  // `sending` of the `held` buffers are in the current send
    char armed, cancelling, read_ended, write_ended, failed, dirty, live, stopping, trying;
};
static struct end ends[most_ends];
static struct {
    uint32_t start, end;
    uint16_t next;
} held[most_buffers];
static char *buffers;
static struct io_uring_buf_ring *pool;
static int given, returned;  // buffers in all, and given back in this turn
static int target, listener;
static uint32_t clients;  // slots for them; a proxy's connection to its target has its client's number plus this
static uint32_t dirty[most_ends], dirty_count;  // ends to look at when all completions of a turn are read
static uint32_t tried[most_buffers], tried_count;  // ends that something is being sent to without waiting
static uint32_t starved[most_ends], starved_count;
static struct iovec parts[most_buffers];
static struct msghdr messages[most_buffers];
static int parts_count, messages_count;

static uint32_t other(uint32_t index) {
    if (!target) return index;
    return index < clients ? index + clients : index - clients;
}

static void prepared(struct io_uring_sqe *sqe, enum operation operation, uint32_t index) {
    sqe->flags |= IOSQE_FIXED_FILE | (operation == unimportant ? IOSQE_CQE_SKIP_SUCCESS : 0);
    io_uring_sqe_set_data64(sqe, (uint64_t)operation << 32 | index);
}

static void look_at(uint32_t index) {
    if (!ends[index].dirty) dirty[dirty_count++] = index;
    ends[index].dirty = 1;
}

static void give(int buffer) {
    char *bytes = buffers + (size_t)buffer * buffer_stride;
    io_uring_buf_ring_add(pool, bytes, buffer_size, buffer, most_buffers - 1, returned++);
}

static void accept_more(void) {
    struct io_uring_sqe *sqe = next_sqe();
    io_uring_prep_multishot_accept_direct(sqe, listener, NULL, NULL, 0);
    io_uring_sqe_set_data64(sqe, (uint64_t)accepted << 32);
}

static void receive(uint32_t index) {
    struct io_uring_sqe *sqe = next_sqe();
    io_uring_prep_recv_multishot(sqe, index, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    prepared(sqe, received, index);
    ends[index].armed = 1;
    ends[index].cancelling = 0;  // a cancellation may have come too late for the one before
}

static void cancel(uint32_t index) {
    struct io_uring_sqe *sqe = next_sqe();
    io_uring_prep_cancel64(sqe, (uint64_t)received << 32 | index, 0);
    io_uring_sqe_set_data64(sqe, (uint64_t)unimportant << 32);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    ends[index].cancelling = 1;
}

// First without waiting: that is done when the system call returns. It needs a completion only if something did not
// fit, which then waits, or if anything is to follow from it.
static void send_held(uint32_t index, int wait) {
    struct end *end = &ends[index];
    struct io_uring_sqe *sqe = next_sqe();
    int flags = MSG_NOSIGNAL | MSG_WAITALL | (wait ? 0 : MSG_DONTWAIT), count = 0;
    struct iovec *first = &parts[parts_count];
    end->sending_bytes = 0;
    for (uint16_t at = end->head; at != none && count < parts_limit; at = held[at].next) {
        uint32_t length = held[at].end - held[at].start;
        first[count++] = (struct iovec){buffers + (size_t)at * buffer_stride + held[at].start, length};
        end->sending_bytes += length;
    }
    if (count == 1) {
        io_uring_prep_send(sqe, index, first->iov_base, first->iov_len, flags);
    } else {
        struct msghdr *message = &messages[messages_count++];
        *message = (struct msghdr){.msg_iov = first, .msg_iovlen = count};
        io_uring_prep_sendmsg(sqe, index, message, flags);
        parts_count += count;
    }
    prepared(sqe, sent, index);
    end->sending = count;
    if (wait) return;
    const struct end *from = &ends[other(index)];
    if (from->armed && !from->cancelling && end->held == count && !starved_count) sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    end->trying = 1;
    tried[tried_count++] = index;
}

static void drop_first(struct end *end) {
    give(end->head);
    end->head = held[end->head].next;
    end->held--;
}

// The kernel has a worker thread do this, which must not find another connection in the slot: see `idle`.
static void stop(uint32_t index, int how) {
    struct io_uring_sqe *sqe = next_sqe();
    io_uring_prep_shutdown(sqe, index, how);
    prepared(sqe, stopped, index);
    ends[index].stopping++;
}

static void fail(uint32_t index) {
    if (ends[index].failed) return;
    ends[index].failed = ends[other(index)].failed = 1;
    stop(index, SHUT_RDWR);  // ends what is being received
    if (target) stop(other(index), SHUT_RDWR);
    look_at(index);
    look_at(other(index));
}

static int idle(const struct end *end) {
    return !end->armed && !end->sending && !end->held && !end->stopping && (end->read_ended || end->failed);
}

// What follows from the completions of a turn, for what is sent to an end.
static void settle(uint32_t index) {
    struct end *end = &ends[index], *from = &ends[other(index)];
    end->dirty = 0;
    if (!end->live) return;
    while (end->failed && !end->sending && end->held) drop_first(end);
    if (end->held && !end->sending) send_held(index, 0);
    if (!end->held && from->read_ended && !end->write_ended && target) {
        stop(index, SHUT_WR);
        end->write_ended = 1;
    }
    if (end->held >= held_limit && from->armed && !from->cancelling) cancel(other(index));
    if (end->held < held_limit && !from->armed && !from->read_ended && !from->failed) receive(other(index));
    if (!idle(end) || !idle(from)) return;
    for (int i = 0; i <= (target != 0); i++, index = other(index)) {
        struct io_uring_sqe *sqe = next_sqe();
        io_uring_prep_close_direct(sqe, index);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        io_uring_sqe_set_data64(sqe, (uint64_t)unimportant << 32);
        ends[index].live = 0;
    }
}

static void on_accepted(uint32_t index) {
    ends[index] = (struct end){.live = 1, .head = none};
    if (!target) return receive(index);
    static struct sockaddr_in address;
    address = loopback(target);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    index = other(index);
    ends[index] = (struct end){.live = 1, .head = none};
    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) ||
        io_uring_register_files_update(&ring, index, &fd, 1) != 1)
        die("socket");
    close(fd);
    struct io_uring_sqe *sqe = next_sqe();
    io_uring_prep_connect(sqe, index, (struct sockaddr *)&address, sizeof address);
    prepared(sqe, connected, index);
}

static void on_received(uint32_t index, int result, uint32_t flags) {
    uint32_t to = other(index);
    if (flags & IORING_CQE_F_BUFFER) {
        uint16_t buffer = flags >> IORING_CQE_BUFFER_SHIFT;
        if (result > 0) {
            held[buffer].start = 0, held[buffer].end = result, held[buffer].next = none;
            if (ends[to].held++) held[ends[to].tail].next = buffer;
            else ends[to].head = buffer;
            ends[to].tail = buffer;
            look_at(to);
        } else {
            give(buffer);
        }
    }
    if (flags & IORING_CQE_F_MORE) return;
    ends[index].cancelling = 0;
    if (result == -ENOBUFS) {  // stays marked as armed until there are buffers again
        starved[starved_count++] = index;
        return;
    }
    ends[index].armed = 0;
    if (result == 0) ends[index].read_ended = 1;
    else if (result < 0 && result != -ECANCELED) fail(index);
    look_at(to);
}

static void on_sent(uint32_t index, int result) {
    struct end *end = &ends[index];
    int all = result == (int)end->sending_bytes;
    end->sending = end->trying = 0;
    if (result < 0 && result != -EAGAIN) fail(index);
    while (result > 0) {
        uint32_t length = held[end->head].end - held[end->head].start;
        if ((uint32_t)result < length) break;
        result -= length;
        drop_first(end);
    }
    if (result > 0) held[end->head].start += result;
    if (!all && !end->failed) send_held(index, 1);
    look_at(index);
}

static void more_buffers(void) {
    int more = given ? given : first_buffers;
    if (more > most_buffers - given) more = most_buffers - given;
    while (more--) give(given++);
}

static void end_turn(void) {
    for (uint32_t i = 0; i < dirty_count; i++) settle(dirty[i]);
    dirty_count = 0;
    if (starved_count) more_buffers();
    if (returned && starved_count) {
        for (uint32_t i = 0; i < starved_count; i++) {
            ends[starved[i]].armed = 0;
            look_at(other(starved[i]));
        }
        starved_count = 0;
        for (uint32_t i = 0; i < dirty_count; i++) settle(dirty[i]);
        dirty_count = 0;
    }
    io_uring_buf_ring_advance(pool, returned);
    returned = 0;
}

static void handle(const struct io_uring_cqe *cqe) {
    uint32_t index = (uint32_t)cqe->user_data;
    switch ((enum operation)(cqe->user_data >> 32)) {
    case accepted:
        if (cqe->res >= 0) on_accepted(cqe->res);
        if (!(cqe->flags & IORING_CQE_F_MORE)) accept_more();
        break;
    case received: on_received(index, cqe->res, cqe->flags); break;
    case sent: on_sent(index, cqe->res); break;
    case connected:
        if (cqe->res < 0) fail(index);
        else look_at(index), look_at(other(index));
        break;
    case stopped:
        ends[index].stopping--;
        look_at(index);
        break;
    case unimportant: break;
    }
}

void serve_streams(int port, int to) {
    target = to;
    listener = listen_on(port);
    buffers = mmap(NULL, (size_t)most_buffers * buffer_stride, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    size_t size = most_buffers * sizeof(struct io_uring_buf);
    if (buffers == MAP_FAILED || posix_memalign((void **)&pool, 4096, size)) die("buffers");
    struct io_uring_buf_reg registration = {.ring_addr = (uintptr_t)pool, .ring_entries = most_buffers, .bgid = 0};
    io_uring_buf_ring_init(pool);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    uint32_t slots = limit.rlim_cur < most_ends ? limit.rlim_cur : most_ends;
    clients = target ? slots / 2 : slots;
    if (io_uring_register_buf_ring(&ring, &registration, 0) || io_uring_register_files_sparse(&ring, slots) ||
        io_uring_register_file_alloc_range(&ring, 0, clients))
        die("io_uring_register");
    more_buffers();
    end_turn();
    accept_more();
    ready();
    for (;;) {
        io_uring_submit_and_wait(&ring, 1);
        parts_count = messages_count = 0;
        struct io_uring_cqe *cqe;
        unsigned head, count = 0, all = io_uring_cq_ready(&ring);
        io_uring_for_each_cqe(&ring, head, cqe) {
            if (count++ == all) break;
            handle(cqe);
        }
        io_uring_cq_advance(&ring, all);
        // Who was tried and is not heard of has got everything.
        all = tried_count, tried_count = 0;
        for (unsigned i = 0; i < all; i++)
            if (ends[tried[i]].trying) on_sent(tried[i], ends[tried[i]].sending_bytes);
        end_turn();
    }
}
