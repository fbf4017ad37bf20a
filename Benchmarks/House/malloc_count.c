// Counts allocations of a program, and of those that it becomes or starts: preload it (LD_PRELOAD).
//
// The counts stand in the file that MALLOC_COUNT_FILE names, two numbers of 64 bits: calls that allocate, and the bytes
// asked for. The file is mapped, so that another process can read it at any time, also while a server runs, whatever
// the server does with signals: what a steady state allocates is the difference of two readings. Without the variable,
// the counts are printed when the program ends.
//
// A reallocation counts as an allocation. What a runtime takes from the kernel by itself (Go, Node) is not seen.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// The allocator itself, by the names that it has for those who replace it.
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

typedef struct {
    _Atomic uint64_t calls, bytes;
} Counts;

static Counts before_start;
static Counts *counts = &before_start;

static inline void count(size_t size) {
    atomic_fetch_add_explicit(&counts->calls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counts->bytes, size, memory_order_relaxed);
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("MALLOC_COUNT_FILE");
    if (!path) return;
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) return;
    // Several processes may share the file: it only ever grows to the size that all of them want.
    void *shared = MAP_FAILED;
    if (ftruncate(file, sizeof(Counts)) == 0) {
        shared = mmap(NULL, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    }
    close(file);
    if (shared != MAP_FAILED) counts = shared;
}

__attribute__((destructor)) static void end(void) {
    if (getenv("MALLOC_COUNT_FILE")) return;
    fprintf(stderr, "malloc_count: %llu calls, %llu bytes\n", (unsigned long long)counts->calls,
            (unsigned long long)counts->bytes);
}

void *malloc(size_t size) {
    count(size);
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    count(number * size);
    return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size) {
    count(size);
    return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size) {
    count(size);
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    count(size);
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
    if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0) return EINVAL;
    count(size);
    void *memory = __libc_memalign(alignment, size);
    if (!memory) return ENOMEM;
    *result = memory;
    return 0;
}
