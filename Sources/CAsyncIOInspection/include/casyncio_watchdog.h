// What the watchdog needs of the system: a thread's registers and stack at a moment, and the functions that they tell.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// As many registers as DWARF numbers on x86-64 (17) and arm64 (33).
enum { CASYNCIO_REGISTERS = 33 };

/// A thread at a moment.
struct casyncio_sample {
    /// By DWARF's numbers.
    uint64_t registers[CASYNCIO_REGISTERS];
    /// One bit for each register whose value is known.
    uint64_t known;
    uint64_t program_counter;
    uint64_t stack_pointer;
    /// The stack from the stack pointer on, copied.
    unsigned char *memory;
    size_t capacity;
    size_t size;
};

/// What the kernel says of a thread.
struct casyncio_thread_state {
    /// R, S, D, T … as in proc(5).
    char state;
    /// It runs, or could: nothing else is known then.
    bool is_running;
    /// The system call that it waits in; -1: none.
    int64_t call;
    uint64_t stack_pointer;
    uint64_t program_counter;
};

/// The calling thread's stack: [low, high).
bool casyncio_stack_bounds(uint64_t *low, uint64_t *high);
/// Reads /proc/self/task. False if the thread is gone, or the kernel does not tell.
bool casyncio_read_thread_state(int thread, struct casyncio_thread_state *state);
/// The processor time that a thread has used, in nanoseconds; -1 if it is gone.
int64_t casyncio_thread_time(int thread);
/// Copies memory of this process that may not be there; how many bytes were.
size_t casyncio_peek(uint64_t address, void *target, size_t size);
/// A name given to a task at its creation, of a task that may be gone: its length, or 0.
size_t casyncio_copy_task_name(uint64_t task, char *name, size_t capacity);

/// Samples a thread that waits in the kernel, without its knowledge. False if it does not wait there any more.
bool casyncio_sample_waiting(int thread, const struct casyncio_thread_state *state, uint64_t stack_end,
                             struct casyncio_sample *sample);
/// The registers of a ucontext_t of the calling thread, whose stack is read where it lies.
bool casyncio_sample_context(const void *context, struct casyncio_sample *sample);
/// Samples a thread that runs, by a signal. 0, or an error number: ETIMEDOUT if it has not
/// answered in time, EBUSY if no signal is free.
int casyncio_sample_running(int thread, uint64_t stack_low, uint64_t stack_end, int64_t timeout,
                            struct casyncio_sample *sample);
/// Chooses the signal, if that has not been done, and lets it come to the calling thread: threads that Dispatch has
/// started block all signals, and so do theirs. 0 if none is free.
int casyncio_admit_sampling_signal(void);
/// The signal that casyncio_sample_running sends; 0 if it has not needed one yet, or found none.
int casyncio_sampling_signal(void);

/// The functions that a thread is in, innermost first: a program counter, then return addresses. In a job it ends with
/// the asynchronous function that the runtime runs: at `asynchronous`, with its `context`, or 0 if that was not found.
/// `asynchronous` is -1 elsewhere.
size_t casyncio_unwind(const struct casyncio_sample *sample, uint64_t *addresses, size_t capacity, uint64_t *context,
                       ptrdiff_t *asynchronous);
/// Where the callers of an asynchronous function go on, by its context.
size_t casyncio_unwind_context(uint64_t context, uint64_t *addresses, size_t capacity);
/// Whether code lies there, as far as its module tells how to unwind it.
bool casyncio_is_known_function(uint64_t address);
/// Where the calling thread is: who has called this, and the asynchronous functions that await it. Each address lies in
/// the call. Some ten microseconds.
size_t casyncio_here(uint64_t *addresses, size_t capacity);

/// Sleeps while the word has this value, at most so many nanoseconds (negative: without end); may end for no reason.
void casyncio_futex_wait_for(uint32_t *word, uint32_t value, int64_t nanoseconds);
/// The name of a system call that programs wait in; NULL for the others.
const char *casyncio_system_call_name(int64_t number);
/// Where the function begins that an address lies in; 0 if nobody tells.
uint64_t casyncio_function_start(uint64_t address);
