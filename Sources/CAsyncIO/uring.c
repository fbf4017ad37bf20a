// io_uring's three system calls, for which glibc has no functions.
#define _GNU_SOURCE
#include "casyncio_uring.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// The same on all architectures that have them.
enum { SETUP = 425, ENTER = 426, REGISTER = 427 };
enum { ENTER_GETEVENTS = 1 << 0, ENTER_EXT_ARG = 1 << 3 };
enum { REGISTER_PROBE = 8, REGISTER_ENABLE_RINGS = 12, REGISTER_PBUF_RING = 22 };
enum { OP_SUPPORTED = 1 << 0, PBUF_RING_INC = 1 << 1 };

_Static_assert(sizeof(struct casyncio_submission) == 64, "the kernel's layout");
_Static_assert(sizeof(struct casyncio_completion) == 16, "the kernel's layout");
_Static_assert(sizeof(struct casyncio_provided_buffer) == 16, "the kernel's layout");
_Static_assert(sizeof(struct casyncio_ring_parameters) == 120, "the kernel's layout");

int casyncio_ring_setup(uint32_t entries, struct casyncio_ring_parameters *parameters) {
    return (int)syscall(SETUP, entries, parameters);
}

void *casyncio_ring_map(int ring, size_t size, bool entries) {
    // IORING_OFF_SQ_RING (which is the completion queue, too) and IORING_OFF_SQES.
    off_t offset = entries ? 0x10000000 : 0;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, offset);
    // A child that is forked without exec must not move our queues.
    if (memory != MAP_FAILED) madvise(memory, size, MADV_DONTFORK);
    return memory == MAP_FAILED ? NULL : memory;
}

int casyncio_ring_enter(int ring, uint32_t submitted, uint32_t awaited, int64_t nanoseconds) {
    if (awaited == 0 || nanoseconds < 0) {
        return (int)syscall(ENTER, ring, submitted, awaited, ENTER_GETEVENTS, NULL, 0);
    }
    struct {
        int64_t seconds, nanoseconds;
    } time = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    struct {
        uint64_t signals;
        uint32_t signals_size, reserved;
        uint64_t time;
    } argument = {0, _NSIG / 8, 0, (uint64_t)(uintptr_t)&time};
    return (int)syscall(ENTER, ring, submitted, awaited, ENTER_GETEVENTS | ENTER_EXT_ARG, &argument, sizeof argument);
}

int casyncio_ring_enable(int ring) { return (int)syscall(REGISTER, ring, REGISTER_ENABLE_RINGS, NULL, 0); }

int casyncio_ring_knows_operations(int ring) {
    static const uint8_t needed[] = {CASYNCIO_RING_NOP,          CASYNCIO_RING_FSYNC, CASYNCIO_RING_POLL_ADD,
                                     CASYNCIO_RING_ASYNC_CANCEL, CASYNCIO_RING_READ,  CASYNCIO_RING_RECV};
    struct {
        uint8_t last, count;
        uint16_t reserved;
        uint32_t reserved2[3];
        struct {
            uint8_t code, reserved;
            uint16_t flags;
            uint32_t reserved2;
        } operations[64];
    } probe = {0};
    if (syscall(REGISTER, ring, REGISTER_PROBE, &probe, 64) < 0) return -1;
    for (size_t index = 0; index < sizeof needed; index++) {
        if (needed[index] > probe.last) return 0;
        if (!(probe.operations[needed[index]].flags & OP_SUPPORTED)) return 0;
    }
    return 1;
}

int casyncio_ring_provide(int ring, void *buffers, uint32_t entries, bool in_portions) {
    struct {
        uint64_t address;
        uint32_t entries;
        uint16_t group, flags;
        uint64_t reserved[3];
    } registration = {(uint64_t)(uintptr_t)buffers, entries, 0, in_portions ? PBUF_RING_INC : 0, {0}};
    return (int)syscall(REGISTER, ring, REGISTER_PBUF_RING, &registration, 1);
}
