#define _GNU_SOURCE
#include "casyncio_watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

// Two ways to see where a thread is. One that waits in the kernel is read from outside: /proc says where its stack is,
// and nothing happens to it; a signal would cut its call short (nanosleep(2) is not restarted, signal(7)). One that
// runs is sent a signal, whose handler copies its registers and its stack and does nothing else.

bool casyncio_stack_bounds(uint64_t *low, uint64_t *high) {
    pthread_attr_t attributes;
    void *base = NULL;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) return false;
    int code = pthread_attr_getstack(&attributes, &base, &size);
    pthread_attr_destroy(&attributes);
    *low = (uint64_t)(uintptr_t)base;
    *high = *low + size;
    return code == 0;
}

// MARK: /proc

static bool read_file(int thread, const char *name, char *text, size_t capacity) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/%s", thread, name);
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return false;
    ssize_t count = read(descriptor, text, capacity - 1);
    close(descriptor);
    if (count <= 0) return false;
    text[count] = 0;
    return true;
}

bool casyncio_read_thread_state(int thread, struct casyncio_thread_state *state) {
    char text[512];
    *state = (struct casyncio_thread_state){.state = '?', .call = -1};
    if (!read_file(thread, "stat", text, sizeof text)) return false;
    // The name in parentheses may hold anything.
    const char *end = strrchr(text, ')');
    if (end != NULL && end[1] == ' ') state->state = end[2];
    if (!read_file(thread, "syscall", text, sizeof text)) return false;
    if (strncmp(text, "running", 7) == 0) {
        state->is_running = true;
        return true;
    }
    // The number, its six arguments unless it is -1, the stack pointer, the program counter.
    char *next = text;
    state->call = strtoll(next, &next, 10);
    for (int i = 0; i < 6 && state->call >= 0; i++) strtoull(next, &next, 16);
    state->stack_pointer = strtoull(next, &next, 16);
    state->program_counter = strtoull(next, &next, 16);
    return state->stack_pointer != 0 && state->program_counter != 0;
}

int64_t casyncio_thread_time(int thread) {
    // The clock of a thread by its number: linux/posix-timers, CPUCLOCK_PERTHREAD | CPUCLOCK_SCHED.
    clockid_t clock = (clockid_t)(~(unsigned)thread << 3 | 6);
    struct timespec time;
    if (clock_gettime(clock, &time) != 0) return -1;
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

size_t casyncio_peek(uint64_t address, void *target, size_t size) {
    struct iovec to = {target, size}, from = {(void *)(uintptr_t)address, size};
    ssize_t count = process_vm_readv(getpid(), &to, 1, &from, 1, 0);
    if (count >= 0) return (size_t)count;
    if (errno != ENOSYS && errno != EPERM) return 0;
    // A sandbox may forbid the call, and leave the file.
    int descriptor = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return 0;
    count = pread(descriptor, target, size, (off_t)address);
    close(descriptor);
    return count < 0 ? 0 : (size_t)count;
}

size_t casyncio_copy_task_name(uint64_t task, char *name, size_t capacity) {
    // As casyncio_task_name of runtime.c, which reads tasks that stay where they are.
    enum { STATUS_RECORD = 104, KIND_NAME = 6, KIND_MASK = 0xff };
    uint64_t record = 0;
    if (casyncio_peek(task + STATUS_RECORD, &record, sizeof record) != sizeof record) return 0;
    for (int i = 0; record != 0 && i < 64; i++) {
        // Its flags, the record behind it, its text.
        uint64_t words[3];
        if (casyncio_peek(record, words, sizeof words) != sizeof words) return 0;
        if ((words[0] & KIND_MASK) == KIND_NAME) {
            size_t count = casyncio_peek(words[2], name, capacity);
            const char *end = memchr(name, 0, count);
            return end != NULL ? (size_t)(end - name) : count;
        }
        record = words[1];
    }
    return 0;
}

// MARK: A thread that waits

#if defined(__x86_64__)
enum { STACK_POINTER = 7, FRAME_POINTER = 6 };
#else
enum { STACK_POINTER = 31, FRAME_POINTER = 29 };
#endif

bool casyncio_sample_waiting(int thread, const struct casyncio_thread_state *state, uint64_t stack_end,
                             struct casyncio_sample *sample) {
    if (state->is_running || state->stack_pointer >= stack_end) return false;
    uint64_t wanted = stack_end - state->stack_pointer;
    if (wanted > sample->capacity) wanted = sample->capacity;
    sample->size = casyncio_peek(state->stack_pointer, sample->memory, wanted);
    // What was read is one moment's only if it has not gone on meanwhile.
    struct casyncio_thread_state after;
    if (!casyncio_read_thread_state(thread, &after) || after.is_running || after.call != state->call ||
        after.stack_pointer != state->stack_pointer || after.program_counter != state->program_counter)
        return false;
    sample->program_counter = state->program_counter;
    sample->stack_pointer = state->stack_pointer;
    sample->registers[STACK_POINTER] = state->stack_pointer;
    sample->known = 1ull << STACK_POINTER;
    return sample->size > 0;
}

// MARK: A thread that runs

// One picture at a time: there is one place for the answer.
static pthread_mutex_t camera = PTHREAD_MUTEX_INITIALIZER;

enum phase { PHASE_NONE, PHASE_ASKED, PHASE_ANSWERING, PHASE_ANSWERED };

static struct {
    _Atomic uint32_t phase;
    _Atomic int thread;
    atomic_int signal;
    uint64_t stack_low, stack_end;
    struct casyncio_sample *sample;
} request;

static void futex_wake(_Atomic uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0); }

void casyncio_futex_wait_for(uint32_t *word, uint32_t value, int64_t nanoseconds) {
    struct timespec time = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, nanoseconds < 0 ? NULL : &time, NULL, 0);
}

static void copy_registers(const ucontext_t *context, struct casyncio_sample *sample) {
#if defined(__x86_64__)
    static const int order[] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    for (int i = 0; i < 16; i++) sample->registers[i] = (uint64_t)context->uc_mcontext.gregs[order[i]];
    sample->program_counter = (uint64_t)context->uc_mcontext.gregs[REG_RIP];
    sample->known = 0xffff;
#else
    for (int i = 0; i < 31; i++) sample->registers[i] = context->uc_mcontext.regs[i];
    sample->registers[31] = context->uc_mcontext.sp;
    sample->program_counter = context->uc_mcontext.pc;
    sample->known = 0xffffffff;
#endif
    sample->stack_pointer = sample->registers[STACK_POINTER];
}

bool casyncio_sample_context(const void *context, struct casyncio_sample *sample) {
    static __thread uint64_t low, high;
    if (high == 0 && !casyncio_stack_bounds(&low, &high)) return false;
    copy_registers(context, sample);
    if (sample->stack_pointer < low || sample->stack_pointer >= high) return false;
    sample->memory = (unsigned char *)(uintptr_t)sample->stack_pointer;
    sample->size = high - sample->stack_pointer;
    return true;
}

// Async-signal-safe: atomics, gettid(2), futex(2), and a copy of its own stack.
__attribute__((no_sanitize("address", "thread"))) static void handle(int signal, siginfo_t *info, void *context) {
    (void)signal;
    int error = errno;
    uint32_t asked = PHASE_ASKED;
    bool is_ours = info->si_code == SI_TKILL && info->si_pid == getpid() &&
                   atomic_load(&request.thread) == (int)syscall(SYS_gettid) &&
                   atomic_compare_exchange_strong(&request.phase, &asked, PHASE_ANSWERING);
    if (is_ours) {
        struct casyncio_sample *sample = request.sample;
        copy_registers(context, sample);
        sample->size = 0;
        // It may run on a stack of its own: a signal's, a coroutine's. Then the registers must do.
        if (sample->stack_pointer >= request.stack_low && sample->stack_pointer < request.stack_end) {
            size_t size = request.stack_end - sample->stack_pointer;
            sample->size = size < sample->capacity ? size : sample->capacity;
            // No call: a sanitizer's memcpy is not made for handlers.
            const volatile uint64_t *from = (const uint64_t *)(uintptr_t)sample->stack_pointer;
            for (size_t i = 0; i < sample->size / 8; i++) ((uint64_t *)sample->memory)[i] = from[i];
        }
        atomic_store(&request.phase, PHASE_ANSWERED);
        futex_wake(&request.phase);
    }
    errno = error;
}

static bool is_ours(int signal) {
    struct sigaction action;
    return signal != 0 && sigaction(signal, NULL, &action) == 0 && (action.sa_flags & SA_SIGINFO) != 0 &&
           action.sa_sigaction == handle;
}

/// The signals that the process's first thread blocks: somebody may wait for them by sigwait(3) or signalfd(2), whose
/// signals have no handler.
static uint64_t blocked_signals(void) {
    static const char title[] = "SigBlk:";
    char text[4096];
    int descriptor = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return 0;
    ssize_t count = read(descriptor, text, sizeof text - 1);
    close(descriptor);
    text[count > 0 ? count : 0] = 0;
    const char *line = strstr(text, title);
    return line == NULL ? 0 : strtoull(line + sizeof title - 1, NULL, 16);
}

/// The last real-time signal that nobody handles, ignores or waits for. What the program has installed stays.
static int take_signal(void) {
    int signal = atomic_load(&request.signal);
    if (is_ours(signal)) return signal;
    struct sigaction mine = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    sigfillset(&mine.sa_mask);
    uint64_t blocked = blocked_signals();
    for (signal = SIGRTMAX; signal >= SIGRTMIN; signal--) {
        struct sigaction before;
        if (blocked >> (signal - 1) & 1) continue;
        if (sigaction(signal, NULL, &before) != 0 || (before.sa_flags & SA_SIGINFO) || before.sa_handler != SIG_DFL)
            continue;
        if (sigaction(signal, &mine, &before) != 0) continue;
        if (!(before.sa_flags & SA_SIGINFO) && before.sa_handler == SIG_DFL) {
            atomic_store(&request.signal, signal);
            return signal;
        }
        // Somebody has come in between: it is his.
        sigaction(signal, &before, NULL);
    }
    atomic_store(&request.signal, 0);
    return 0;
}

int casyncio_admit_sampling_signal(void) {
    pthread_mutex_lock(&camera);
    int signal = take_signal();
    pthread_mutex_unlock(&camera);
    if (signal == 0) return 0;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    return signal;
}

int casyncio_sampling_signal(void) { return atomic_load(&request.signal); }

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int ask(int thread, uint64_t stack_low, uint64_t stack_end, int64_t timeout,
               struct casyncio_sample *sample) {
    int signal = take_signal();
    if (signal == 0) return EBUSY;
    request.stack_low = stack_low;
    request.stack_end = stack_end;
    request.sample = sample;
    atomic_store(&request.thread, thread);
    atomic_store(&request.phase, PHASE_ASKED);
    int64_t end = now() + timeout;
    int code = (int)syscall(SYS_tgkill, getpid(), thread, signal) == 0 ? 0 : errno;
    while (code == 0) {
        uint32_t phase = atomic_load(&request.phase);
        if (phase == PHASE_ANSWERED) break;
        int64_t left = end - now();
        uint32_t asked = PHASE_ASKED;
        // One that has begun to answer is waited for: it writes into our memory.
        if (left <= 0 && atomic_compare_exchange_strong(&request.phase, &asked, PHASE_NONE)) code = ETIMEDOUT;
        else casyncio_futex_wait_for((uint32_t *)&request.phase, phase, left > 0 ? left : 1000000);
    }
    atomic_store(&request.thread, 0);
    atomic_store(&request.phase, PHASE_NONE);
    return code;
}

int casyncio_sample_running(int thread, uint64_t stack_low, uint64_t stack_end, int64_t timeout,
                            struct casyncio_sample *sample) {
    pthread_mutex_lock(&camera);
    int code = ask(thread, stack_low, stack_end, timeout, sample);
    pthread_mutex_unlock(&camera);
    return code;
}
