// Tasks that are suspended, read from outside. See tasklayout.h.
#define _GNU_SOURCE
#include "casyncio.h"
#include "tasklayout.h"

#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool casyncio_copy_memory(uintptr_t address, void *into, size_t count) {
    struct iovec here = {into, count};
    struct iovec there = {(void *)address, count};
    return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == (ssize_t)count;
}

// MARK: Where code is

struct code_range {
    uintptr_t from, to;
};
// The images change when a library is loaded or let go, which the loader counts.
static struct {
    pthread_mutex_t lock;
    bool is_known;
    unsigned long long changes;
    size_t count;
    struct code_range ranges[512];
} code = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int look_at_changes(struct dl_phdr_info *info, size_t size, void *result) {
    *(unsigned long long *)result = info->dlpi_adds + info->dlpi_subs;
    return 1;
}

static int add_ranges(struct dl_phdr_info *info, size_t size, void *unused) {
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X)) continue;
        if (code.count == sizeof code.ranges / sizeof code.ranges[0]) return 1;
        uintptr_t from = info->dlpi_addr + segment->p_vaddr;
        code.ranges[code.count++] = (struct code_range){from, from + segment->p_memsz};
    }
    return 0;
}

static void learn_code(void) {
    unsigned long long changes = 0;
    dl_iterate_phdr(look_at_changes, &changes);
    pthread_mutex_lock(&code.lock);
    if (!code.is_known || code.changes != changes) {
        code.is_known = true;
        code.changes = changes;
        code.count = 0;
        dl_iterate_phdr(add_ranges, NULL);
    }
    pthread_mutex_unlock(&code.lock);
}

static bool is_known_code(uintptr_t address) {
    bool is_code = false;
    pthread_mutex_lock(&code.lock);
    for (size_t i = 0; i < code.count && !is_code; i++)
        is_code = address >= code.ranges[i].from && address < code.ranges[i].to;
    pthread_mutex_unlock(&code.lock);
    return is_code;
}

bool casyncio_is_code(uintptr_t address) {
    learn_code();
    return is_known_code(address);
}

// MARK: Memory, some pages at a time

// A task's contexts lie close together, and those of tasks that were made one after the other do as well. So several
// pages are copied with one call, and kept while a number of tasks is read. A page is there as a whole or not at all.
// (Pages may be larger than this. The kernel's are multiples of it.)
enum { PAGE = 4096, SHARED_SPAN = 8 * PAGE, MOST_SPANS = 16 };
struct casyncio_pages {
    /// How many bytes are copied at a time, and how many such pieces there are.
    size_t span;
    unsigned spans;
    unsigned last, next;
    uintptr_t addresses[MOST_SPANS];
    size_t counts[MOST_SPANS];
    char *bytes;
};

struct casyncio_pages *casyncio_pages_make(void) {
    struct casyncio_pages *pages = malloc(sizeof *pages);
    char *bytes = malloc(MOST_SPANS * SHARED_SPAN);
    if (pages == NULL || bytes == NULL) {
        free(pages);
        free(bytes);
        return NULL;
    }
    *pages = (struct casyncio_pages){.span = SHARED_SPAN, .spans = MOST_SPANS, .bytes = bytes};
    return pages;
}

void casyncio_pages_free(struct casyncio_pages *pages) {
    if (pages == NULL) return;
    free(pages->bytes);
    free(pages);
}

static bool has(const struct casyncio_pages *pages, unsigned slot, uintptr_t address) {
    return address - pages->addresses[slot] < pages->counts[slot];
}

/// The bytes from an address to the end of its page.
static const char *bytes_at(struct casyncio_pages *pages, uintptr_t address) {
    if (!has(pages, pages->last, address)) {
        unsigned slot = 0;
        while (slot < pages->spans && !has(pages, slot, address)) slot++;
        if (slot == pages->spans) {
            slot = pages->next++ % pages->spans;
            // What lies before it may not be there; then what lies behind it, at least.
            uintptr_t starts[] = {address - address % pages->span, address - address % PAGE};
            for (int i = 0; i < 2 && !has(pages, slot, address); i++) {
                struct iovec here = {pages->bytes + slot * pages->span, pages->span};
                // A page each: those before the first that is not there are copied.
                struct iovec there[SHARED_SPAN / PAGE];
                size_t parts = pages->span / PAGE;
                for (size_t part = 0; part < parts; part++)
                    there[part] = (struct iovec){(void *)(starts[i] + part * PAGE), PAGE};
                ssize_t count = process_vm_readv(getpid(), &here, 1, there, parts, 0);
                pages->addresses[slot] = starts[i];
                pages->counts[slot] = count > 0 ? (size_t)count / PAGE * PAGE : 0;
            }
            if (!has(pages, slot, address)) return NULL;
        }
        pages->last = slot;
    }
    return pages->bytes + pages->last * pages->span + (address - pages->addresses[pages->last]);
}

static bool copy(struct casyncio_pages *pages, uintptr_t address, void *into, size_t count) {
    while (count > 0) {
        uintptr_t offset = address % PAGE;
        size_t part = count < PAGE - offset ? count : PAGE - offset;
        const char *bytes = address < PAGE ? NULL : bytes_at(pages, address);
        if (bytes == NULL) return false;
        memcpy(into, bytes, part);
        address += part;
        into = (char *)into + part;
        count -= part;
    }
    return true;
}

static uint32_t word32(const char *bytes, size_t offset) {
    uint32_t word;
    memcpy(&word, bytes + offset, sizeof word);
    return word;
}

static uint64_t word64(const char *bytes, size_t offset) {
    uint64_t word;
    memcpy(&word, bytes + offset, sizeof word);
    return word;
}

// MARK: A task

static uint64_t id_of(const char *task) { return (uint64_t)word32(task, TASK_ID_HIGH) << 32 | word32(task, JOB_ID); }

static bool copy_task(struct casyncio_pages *pages, uintptr_t task, char *bytes) {
    return task % sizeof(void *) == 0 && copy(pages, task, bytes, TASK_SIZE) &&
           word64(bytes, TASK_METADATA) == (uintptr_t)_swift_concurrency_debug_asyncTaskMetadata;
}

static uint64_t id_at(struct casyncio_pages *pages, uintptr_t task) {
    char bytes[TASK_SIZE];
    return task != 0 && copy_task(pages, task, bytes) ? id_of(bytes) : 0;
}

static void read_name(struct casyncio_pages *pages, uintptr_t name, struct casyncio_task_reading *reading) {
    if (reading->name_length >= 0 || name == 0) return;
    int32_t length = 0;
    while (length < CASYNCIO_READ_NAME && copy(pages, name + length, &reading->name[length], 1) &&
           reading->name[length] != 0)
        length++;
    // A name that is longer ends before a character, not within one.
    if (length == CASYNCIO_READ_NAME)
        while (length > 0 && (reading->name[--length] & 0xc0) == 0x80) {}
    reading->name_length = length;
}

static void read_dependency(struct casyncio_pages *pages, const char *record, struct casyncio_task_reading *reading) {
    uint32_t kind = word32(record, RECORD_DEPENDENCY_KIND);
    if (reading->dependency != CASYNCIO_DEPENDS_ON_NOTHING) return;
    switch (kind) {
    case DEPENDENCY_ON_TASK:
        reading->dependency = CASYNCIO_DEPENDS_ON_TASK;
        reading->dependency_task = id_at(pages, word64(record, RECORD_DEPENDENCY));
        break;
    case DEPENDENCY_ON_CONTINUATION: reading->dependency = CASYNCIO_DEPENDS_ON_CONTINUATION; break;
    case DEPENDENCY_ON_GROUP: reading->dependency = CASYNCIO_DEPENDS_ON_GROUP; break;
    case DEPENDENCY_ON_EXECUTOR: reading->dependency = CASYNCIO_DEPENDS_ON_EXECUTOR; break;
    }
}

static void read_records(struct casyncio_pages *pages, uintptr_t address, struct casyncio_task_reading *reading) {
    // A task has a handful of them, and one for every cancellation handler that it is in.
    for (int i = 0; address != 0 && i < 256; i++) {
        char record[RECORD_SIZE] = {0};
        if (!copy(pages, address, record, RECORD_SIZE)) return;
        switch (word64(record, RECORD_FLAGS) & JOB_KIND_MASK) {
        case RECORD_KIND_DEPENDENCY: read_dependency(pages, record, reading); break;
        case RECORD_KIND_NAME: read_name(pages, word64(record, RECORD_NAME), reading); break;
        }
        address = word64(record, RECORD_PARENT);
    }
}

static bool is_one_of(uintptr_t function, const void *const *a, const void *const *b) {
    return (a != NULL && function == (uintptr_t)*a) || (b != NULL && function == (uintptr_t)*b);
}

// An asynchronous function is called through a pair: how far away it lies, and how large its context is.
static uintptr_t function_of_pair(struct casyncio_pages *pages, uintptr_t pair) {
    uint32_t words[2];
    if (pair % sizeof words[0] != 0 || !copy(pages, pair, words, sizeof words)) return 0;
    uintptr_t function = pair + (intptr_t)(int32_t)words[0];
    return words[1] >= 16 && words[1] < 1 << 20 && is_known_code(function) ? function : 0;
}

// A task that has never run stands at a function of the runtime's, which will call the task's closure. That may be a
// thunk around another closure, and so on: each of them is a frame, and those that have no name of their own are left
// out by whoever shows them.
static uint32_t read_beginning(struct casyncio_pages *pages, uintptr_t context, uintptr_t *frames, size_t capacity) {
    uintptr_t words[2];
    uint32_t count = 0;
    if (!copy(pages, context + FIRST_FUNCTION, words, sizeof words) || !is_known_code(words[0])) return 0;
    frames[count++] = words[0];
    for (bool is_thunk = true; is_thunk && count < capacity && count < 4;) {
        uintptr_t box = words[1];
        is_thunk = false;
        // What the thunk calls stands behind the types that it is generic over.
        for (int i = 0; i < BOX_TYPES && box != 0 && !is_thunk; i++) {
            if (!copy(pages, box + BOX_FIRST + i * sizeof words[0], words, sizeof words)) return count;
            uintptr_t function = function_of_pair(pages, words[0]);
            is_thunk = function != 0;
            if (is_thunk) frames[count++] = function;
        }
    }
    return count;
}

static bool is_beginning(uintptr_t function) {
    return is_one_of(function, &_swift_concurrency_debug_future_adapter, &_swift_concurrency_debug_non_future_adapter);
}

static uint32_t read_stack(struct casyncio_pages *pages, const char *task, uintptr_t *frames, size_t capacity) {
    uint32_t count = 0;
    uintptr_t function = word64(task, JOB_RESUME), context = word64(task, TASK_RESUME_CONTEXT), previous = 0;
    learn_code();
    if (is_beginning(function)) return read_beginning(pages, context, frames, capacity);
    // The runtime's own functions between are left out; they are few.
    for (size_t i = 0; i < capacity + 16 && count < capacity; i++) {
        if (!is_known_code(function)) break;
        // A continuation has a context of its own, which leads to the same place as the task does.
        if (function != previous && !is_one_of(function, &_swift_concurrency_debug_task_wait_throwing_resume_adapter,
                                               &_swift_concurrency_debug_task_future_wait_resume_adapter))
            frames[count++] = function;
        previous = i == 0 ? function : 0;
        uintptr_t words[2];
        if (context == 0 || context % sizeof(void *) != 0 || !copy(pages, context, words, sizeof words)) break;
        context = words[CONTEXT_PARENT / sizeof(void *)];
        function = words[CONTEXT_RESUME_PARENT / sizeof(void *)];
    }
    return count;
}

bool casyncio_read_task(struct casyncio_pages *pages, uintptr_t address, uint64_t id,
                        struct casyncio_task_reading *reading, uintptr_t *frames, size_t capacity) {
    char few[4 * PAGE];
    struct casyncio_pages own = {.span = PAGE, .spans = 4, .bytes = few};
    if (pages == NULL) pages = &own;
    char task[TASK_SIZE];
    if (!copy_task(pages, address, task) || id_of(task) != id) return false;
    uint32_t flags = word32(task, JOB_FLAGS), status = word32(task, TASK_STATUS_FLAGS);
    if ((flags & JOB_KIND_MASK) != 0) return false;
    *reading = (struct casyncio_task_reading){
        .id = id,
        .is_group_child = (flags & JOB_IS_GROUP_CHILD) != 0,
        .is_async_let = (flags & JOB_IS_ASYNC_LET) != 0,
        .is_cancelled = (status & STATUS_IS_CANCELLED) != 0,
        .is_running = (status & STATUS_IS_RUNNING) != 0,
        .is_enqueued = (status & STATUS_IS_ENQUEUED) != 0,
        .is_complete = (status & STATUS_IS_COMPLETE) != 0,
        .name_length = -1,
    };
    uintptr_t parent = 0;
    if ((flags & JOB_IS_CHILD) && copy(pages, address + CHILD_PARENT, &parent, sizeof parent))
        reading->parent = id_at(pages, parent);
    read_records(pages, word64(task, TASK_STATUS_RECORD), reading);
    if (capacity > 0 && !reading->is_running && !reading->is_complete)
        reading->frame_count = read_stack(pages, task, frames, capacity);
    return true;
}

const char *casyncio_task_reading_refusal(void) {
    if (sizeof(void *) != 8) return "tasks are read on machines of 64 bits only";
    if (&_swift_concurrency_debug_internal_layout_version == NULL || &_swift_concurrency_debug_asyncTaskSize == NULL ||
        &_swift_concurrency_debug_asyncTaskMetadata == NULL)
        return "Swift's runtime does not tell how it lays tasks out";
    if (_swift_concurrency_debug_internal_layout_version != 1)
        return "Swift's runtime lays tasks out in a way that is newer than this package";
    if (_swift_concurrency_debug_asyncTaskSize != TASK_SIZE) return "Swift's runtime has tasks of another size";
    uint32_t here = 4711, copied = 0;
    if (!casyncio_copy_memory((uintptr_t)&here, &copied, sizeof here) || copied != here)
        return "the kernel does not let the process read its own memory (process_vm_readv)";
    return NULL;
}
