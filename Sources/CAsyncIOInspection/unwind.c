#define _GNU_SOURCE
#include "casyncio_watchdog.h"
#include "frame_rules.h"

#include <string.h>
#include <ucontext.h>

// Walks a copied stack by what the compilers tell of it (.eh_frame), since the C library keeps no frame pointers, and
// goes on where they tell nothing by the frame pointers that Swift keeps.

#if defined(__x86_64__)
enum { STACK_POINTER = 7, FRAME_POINTER = 6, CONTEXT = 14, CALL_SIZE = 5 };
#else
enum { STACK_POINTER = 31, FRAME_POINTER = 29, CONTEXT = 22, CALL_SIZE = 4 };
#endif

struct cursor {
    const struct casyncio_sample *sample;
    uint64_t registers[CASYNCIO_REGISTERS];
    uint64_t known;
    uint64_t pc;
    /// The program counter is a return address: the call lies before it.
    bool has_called;
};

/// Apple's systems mark the frame pointers that asynchronous functions save. Linux does not, but code for it takes the
/// mark off.
static const uint64_t mark = 1ull << 60;

static uint64_t stack_end(const struct cursor *cursor) {
    return cursor->sample->stack_pointer + cursor->sample->size;
}

// The stack may be the calling thread's own, which a sanitizer has put its marks on.
__attribute__((no_sanitize("address", "thread"))) static bool load(const struct cursor *cursor, uint64_t address,
                                                                   uint64_t *value) {
    const struct casyncio_sample *sample = cursor->sample;
    if (address < sample->stack_pointer || address + 8 < address || address + 8 > stack_end(cursor)) return false;
    if (address % 8 != 0) return false;
    *value = *(const volatile uint64_t *)(const void *)(sample->memory + (address - sample->stack_pointer));
    return true;
}

static bool load_for_rules(const void *cursor, uint64_t address, uint64_t *value) {
    return load(cursor, address, value);
}

bool casyncio_is_known_function(uint64_t address) {
    struct casyncio_function function;
    return casyncio_find_function(address, &function);
}

/// Whether a frame's record lies there, and its caller's where it says, for some steps or to the end.
static bool is_record(const struct cursor *cursor, uint64_t address) {
    uint64_t frame, caller;
    for (int step = 0; step < 3; step++) {
        if (!load(cursor, address, &frame) || !load(cursor, address + 8, &caller)) return step > 1;
        frame &= ~mark;
        if (!casyncio_is_known_function(caller - 1)) return false;
        // The first function of a thread has no caller's frame.
        if (step > 0 && frame == 0) return true;
        if (frame <= address + 8 || frame % 8 != 0 || frame >= stack_end(cursor)) return false;
        address = frame;
    }
    return true;
}

/// Where a function that keeps a frame pointer has its record, when the register itself is not known: above its stack
/// pointer, the first one, or better the one that its caller's call instruction speaks for.
static bool find_record(struct cursor *cursor, uint64_t function) {
    uint64_t first = 0, sp = cursor->registers[STACK_POINTER];
    uint64_t end = stack_end(cursor);
    if (end - sp > 1 << 16) end = sp + (1 << 16);
    for (uint64_t address = (sp + 7) & ~7ull; address < end; address += 8) {
        if (!is_record(cursor, address)) continue;
        if (first == 0) first = address;
        uint64_t caller = 0;
        int32_t distance = 0;
        load(cursor, address + 8, &caller);
        unsigned char call[CALL_SIZE];
        if (casyncio_peek(caller - CALL_SIZE, call, CALL_SIZE) != CALL_SIZE) continue;
#if defined(__x86_64__)
        if (call[0] != 0xe8) continue;
        memcpy(&distance, call + 1, 4);
        uint64_t target = caller + (uint64_t)(int64_t)distance;
#else
        uint32_t word;
        memcpy(&word, call, 4);
        if (word >> 26 != 0x25) continue;
        distance = (int32_t)(word << 6) >> 4;
        uint64_t target = caller - 4 + (uint64_t)(int64_t)distance;
#endif
        if (target == function) {
            first = address;
            break;
        }
    }
    if (first == 0) return false;
    cursor->registers[FRAME_POINTER] = first;
    cursor->known |= 1ull << FRAME_POINTER;
    return true;
}

/// One step by the frame pointer.
static bool step_by_frame_pointer(struct cursor *cursor) {
    if (!(cursor->known >> FRAME_POINTER & 1)) return false;
    uint64_t record = cursor->registers[FRAME_POINTER], frame, caller;
    if (record < cursor->registers[STACK_POINTER] || record % 8 != 0) return false;
    if (!load(cursor, record, &frame) || !load(cursor, record + 8, &caller)) return false;
    cursor->registers[FRAME_POINTER] = frame & ~mark;
    cursor->known = 1ull << FRAME_POINTER | 1ull << STACK_POINTER;
    cursor->registers[STACK_POINTER] = record + 16;
    cursor->pc = caller;
    return true;
}

static bool step(struct cursor *cursor) {
    struct casyncio_function function;
    struct casyncio_frame_rules rules;
    uint64_t inside = cursor->pc - (cursor->has_called ? 1 : 0);
    if (!casyncio_find_function(inside, &function) || !casyncio_frame_rules_at(&function, inside, &rules))
        return step_by_frame_pointer(cursor);
    if (!rules.is_expression && rules.base == FRAME_POINTER && !(cursor->known >> FRAME_POINTER & 1) &&
        !find_record(cursor, function.start))
        return false;
    uint64_t registers[CASYNCIO_REGISTERS], known = cursor->known, base;
    memcpy(registers, cursor->registers, sizeof registers);
#if defined(__x86_64__)
    // The linker's own rules speak of the program counter, too: the register that holds the return address.
    registers[rules.return_register] = cursor->pc;
    known |= 1ull << rules.return_register;
#endif
    if (!casyncio_apply_frame_rules(&rules, load_for_rules, cursor, registers, &known, &base))
        return step_by_frame_pointer(cursor);
    if (base < cursor->registers[STACK_POINTER] || !(known >> rules.return_register & 1)) return false;
    uint64_t caller = registers[rules.return_register];
    registers[FRAME_POINTER] &= ~mark;
    memcpy(cursor->registers, registers, sizeof registers);
    cursor->known = known | 1ull << STACK_POINTER;
    cursor->registers[STACK_POINTER] = base;
    cursor->has_called = !rules.is_signal;
    cursor->pc = caller;
    return true;
}

// The runtime's functions that run a job: what they call, by way of one of their own or at once, is asynchronous.
extern void swift_job_run(void) __attribute__((weak));
extern void swift_job_run_on_task_executor(void) __attribute__((weak));
extern void swift_job_run_on_serial_and_task_executor(void) __attribute__((weak));

static bool runs_jobs(uint64_t address) {
    struct casyncio_function function;
    if (!casyncio_find_function(address, &function)) return false;
    return function.start == (uint64_t)(uintptr_t)swift_job_run ||
           function.start == (uint64_t)(uintptr_t)swift_job_run_on_task_executor ||
           function.start == (uint64_t)(uintptr_t)swift_job_run_on_serial_and_task_executor;
}

/// Whether something looks like an asynchronous function's context: it tells where the caller goes on, which is where a
/// function begins.
static bool is_context(uint64_t address) {
    uint64_t words[2];
    struct casyncio_function function;
    return address != 0 && address % 8 == 0 && casyncio_peek(address, words, sizeof words) == sizeof words &&
           casyncio_find_function(words[1], &function) && function.start == words[1];
}

enum { FRAMES = 256 };

size_t casyncio_unwind(const struct casyncio_sample *sample, uint64_t *addresses, size_t capacity, uint64_t *context,
                       ptrdiff_t *asynchronous) {
    struct cursor cursor = {.sample = sample, .known = sample->known, .pc = sample->program_counter};
    memcpy(cursor.registers, sample->registers, sizeof cursor.registers);
    // Where each function may have its context: below its frame's record, and in the register for it.
    uint64_t below[FRAMES], held[FRAMES];
    size_t count = 0;
    *context = 0;
    *asynchronous = -1;
    if (capacity > FRAMES) capacity = FRAMES;
    while (count < capacity && cursor.pc != 0) {
        if (count > 0 && runs_jobs(cursor.pc - 1)) {
            *asynchronous = (ptrdiff_t)count - 1;
            for (size_t back = count >= 2 ? 2 : 1; back > 0 && *context == 0; back--) {
                size_t place = count - back;
                *context = is_context(below[place]) ? below[place] : is_context(held[place]) ? held[place] : 0;
                if (*context != 0) *asynchronous = (ptrdiff_t)place;
            }
            break;
        }
        held[count] = cursor.known >> CONTEXT & 1 ? cursor.registers[CONTEXT] : 0;
        below[count] = 0;
        addresses[count++] = cursor.pc;
        uint64_t sp = cursor.registers[STACK_POINTER], pc = cursor.pc;
        if (!step(&cursor)) break;
        // Only a function without a frame leaves the stack pointer where it was.
        if (cursor.registers[STACK_POINTER] == sp && cursor.pc == pc) break;
        if (!load(&cursor, cursor.registers[STACK_POINTER] - 24, &below[count - 1])) below[count - 1] = 0;
        if (cursor.pc != 0 && !casyncio_is_known_function(cursor.pc - 1)) break;
    }
    return count;
}

size_t casyncio_unwind_context(uint64_t context, uint64_t *addresses, size_t capacity) {
    // AsyncContext of swift/ABI/Task.h: its parent, where that goes on.
    size_t count = 0;
    while (count < capacity && context != 0) {
        uint64_t words[2];
        if (casyncio_peek(context, words, sizeof words) != sizeof words) break;
        if (!casyncio_is_known_function(words[1])) break;
        addresses[count++] = words[1];
        context = words[0];
    }
    return count;
}

size_t casyncio_here(uint64_t *addresses, size_t capacity) {
    ucontext_t here;
    struct casyncio_sample sample;
    if (getcontext(&here) != 0 || !casyncio_sample_context(&here, &sample)) return 0;
    uint64_t context;
    ptrdiff_t asynchronous;
    size_t count = casyncio_unwind(&sample, addresses, capacity, &context, &asynchronous);
    if (asynchronous >= 0) count = (size_t)asynchronous + 1;
    for (size_t i = 1; i < count; i++) addresses[i] -= 1;
    return count + casyncio_unwind_context(context, addresses + count, capacity - count);
}

uint64_t casyncio_function_start(uint64_t address) {
    struct casyncio_function function;
    return casyncio_find_function(address, &function) ? function.start : 0;
}
