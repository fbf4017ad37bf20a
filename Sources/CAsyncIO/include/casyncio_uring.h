// io_uring(7): the kernel's structures and numbers, as far as the package uses them, so that neither a library nor
// recent kernel headers have to be installed. The layouts are the kernel's ABI (include/uapi/linux/io_uring.h).
#ifndef CASYNCIO_URING_H
#define CASYNCIO_URING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// A submission entry. Which fields mean what depends on the operation code.
struct casyncio_submission {
    uint8_t code;
    uint8_t flags;
    uint16_t priority;
    int32_t descriptor;
    uint64_t offset;
    uint64_t address;
    uint32_t length;
    uint32_t options;
    uint64_t user_data;
    uint16_t buffer_group;
    uint16_t personality;
    int32_t file_index;
    uint64_t address3;
    uint64_t reserved;
};

/// A completion entry.
struct casyncio_completion {
    uint64_t user_data;
    int32_t result;
    uint32_t flags;
};

/// A buffer that the kernel may receive into.
struct casyncio_provided_buffer {
    uint64_t address;
    uint32_t length;
    uint16_t id;
    /// In the first entry: where the kernel finds the end of what is provided.
    uint16_t tail;
};

/// What io_uring_setup(2) is asked, and answers.
struct casyncio_ring_parameters {
    uint32_t submissions;
    uint32_t completions;
    uint32_t flags;
    uint32_t processor;
    uint32_t idle;
    uint32_t features;
    uint32_t shared_workers;
    uint32_t reserved[3];
    struct {
        uint32_t head, tail, mask, entries, flags, dropped, array, reserved;
        uint64_t address;
    } submission_offsets;
    struct {
        uint32_t head, tail, mask, entries, overflow, completions, flags, reserved;
        uint64_t address;
    } completion_offsets;
};

// Operation codes.
enum {
    CASYNCIO_RING_NOP = 0,
    CASYNCIO_RING_FSYNC = 3,
    CASYNCIO_RING_POLL_ADD = 6,
    CASYNCIO_RING_ASYNC_CANCEL = 14,
    CASYNCIO_RING_READ = 22,
    CASYNCIO_RING_RECV = 27,
};

// Flags of a submission, of single operations, and of a completion.
enum {
    CASYNCIO_SUBMISSION_SELECTS_BUFFER = 1 << 5,
    CASYNCIO_SUBMISSION_SKIPS_SUCCESS = 1 << 6,
    CASYNCIO_POLL_MULTISHOT = 1 << 0,
    CASYNCIO_RECEIVE_MULTISHOT = 1 << 1,
    CASYNCIO_CANCEL_ALL = 1 << 0,
    CASYNCIO_CANCEL_ANY = 1 << 2,
    CASYNCIO_SYNC_DATA_ONLY = 1 << 0,
    CASYNCIO_COMPLETION_HAS_BUFFER = 1 << 0,
    CASYNCIO_COMPLETION_HAS_MORE = 1 << 1,
    CASYNCIO_COMPLETION_LEAVES_BUFFER = 1 << 4,
    CASYNCIO_COMPLETION_BUFFER_SHIFT = 16,
};

// Flags of io_uring_setup(2) and what it reports, of io_uring_enter(2), and of the submission queue.
enum {
    CASYNCIO_SETUP_COMPLETION_COUNT = 1 << 3,
    CASYNCIO_SETUP_CLAMP = 1 << 4,
    CASYNCIO_SETUP_DISABLED = 1 << 6,
    CASYNCIO_SETUP_SUBMIT_ALL = 1 << 7,
    CASYNCIO_SETUP_COOPERATIVE = 1 << 8,
    CASYNCIO_SETUP_TASK_WORK_FLAG = 1 << 9,
    CASYNCIO_SETUP_SINGLE_ISSUER = 1 << 12,
    CASYNCIO_SETUP_DEFERRED = 1 << 13,
    CASYNCIO_FEATURE_SINGLE_MAP = 1 << 0,
    CASYNCIO_FEATURE_NO_DROP = 1 << 1,
    CASYNCIO_FEATURE_EXTENDED_WAIT = 1 << 8,
    CASYNCIO_FEATURE_SKIP = 1 << 11,
    CASYNCIO_QUEUE_HAS_OVERFLOW = 1 << 1,
    CASYNCIO_QUEUE_HAS_TASK_WORK = 1 << 2,
};

/// io_uring_setup(2): a descriptor, close-on-exec, or -1 with errno.
int casyncio_ring_setup(uint32_t entries, struct casyncio_ring_parameters *parameters);
/// Maps the queues' memory (mmap(2) of the ring). NULL with errno.
void *casyncio_ring_map(int ring, size_t size, bool entries);
/// Submits, runs the kernel's share of what has completed, and waits until so many completions are there, at most so
/// long; a negative time has no end. io_uring_enter(2) with IORING_ENTER_GETEVENTS. How many entries were taken, or -1
/// with errno; ETIME at the end of the time.
int casyncio_ring_enter(int ring, uint32_t submitted, uint32_t awaited, int64_t nanoseconds);
/// Lets a ring that was set up disabled work, for the calling thread alone if it has a single issuer.
int casyncio_ring_enable(int ring);
/// Whether the kernel knows all the operations that this header names. 1, 0, or -1 with errno.
int casyncio_ring_knows_operations(int ring);
/// Gives the kernel a ring of buffers to receive into, as group 0. In portions, a buffer takes one message after the
/// other until it is full (Linux 6.12).
int casyncio_ring_provide(int ring, void *buffers, uint32_t entries, bool in_portions);

static inline uint32_t casyncio_load_acquire(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static inline uint32_t casyncio_load_relaxed(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_RELAXED); }
static inline void casyncio_store_release(uint32_t *word, uint32_t value) {
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}
/// Moves the end of the provided buffers, which the kernel reads.
static inline void casyncio_publish_buffers(struct casyncio_provided_buffer *buffers, uint16_t tail) {
    __atomic_store_n(&buffers[0].tail, tail, __ATOMIC_RELEASE);
}

#endif
