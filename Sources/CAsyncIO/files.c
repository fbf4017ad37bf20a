#define _GNU_SOURCE
#include "casyncio.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// Runs a call that makes a file longer. Where the process has a limit of file sizes (RLIMIT_FSIZE of setrlimit(2)), a
// call beyond it fails with EFBIG and brings a SIGXFSZ, which would end the program: blocked meanwhile, and taken back
// if it was not there before. Most processes have no limit, and pay for the question alone.
#define WITHOUT_SIGXFSZ(result, call)                                                                                 \
    do {                                                                                                              \
        struct rlimit limit;                                                                                          \
        if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY) {                                \
            result = (call);                                                                                          \
            break;                                                                                                    \
        }                                                                                                             \
        sigset_t size_signal, before, pending;                                                                        \
        sigemptyset(&size_signal);                                                                                    \
        sigaddset(&size_signal, SIGXFSZ);                                                                             \
        sigpending(&pending);                                                                                         \
        pthread_sigmask(SIG_BLOCK, &size_signal, &before);                                                            \
        result = (call);                                                                                              \
        int error = errno;                                                                                            \
        if (!sigismember(&pending, SIGXFSZ)) {                                                                        \
            struct timespec zero = {0};                                                                               \
            while (sigtimedwait(&size_signal, NULL, &zero) < 0 && errno == EINTR) {}                                  \
        }                                                                                                             \
        pthread_sigmask(SIG_SETMASK, &before, NULL);                                                                  \
        errno = error;                                                                                                \
    } while (0)

_Static_assert(sizeof(struct casyncio_status) == sizeof(struct statx), "the kernel's layout");
_Static_assert(offsetof(struct casyncio_status, device_minor) == offsetof(struct statx, stx_dev_minor), "the same");
_Static_assert(CASYNCIO_AT_FDCWD == AT_FDCWD && CASYNCIO_AT_EMPTY_PATH == AT_EMPTY_PATH, "the kernel's numbers");

int casyncio_statx(int folder, const char *path, int flags, struct casyncio_status *status) {
    return statx(folder, path, flags, STATX_BASIC_STATS | STATX_BTIME, (struct statx *)status);
}

#ifndef SYS_openat2
#define SYS_openat2 437
#endif

// The numbers of <linux/openat2.h>: RESOLVE_CACHED is of Linux 5.12, the others are of 5.6.
enum { NO_MAGICLINKS = 0x02, BENEATH = 0x08, CACHED = 0x20 };

static int open_how(int folder, const char *path, int flags, uint64_t resolve) {
    // struct open_how.
    struct { uint64_t flags, mode, resolve; } how = {.flags = (uint64_t)flags, .resolve = resolve};
    return (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
}

int casyncio_open_cached(int folder, const char *path, int flags) { return open_how(folder, path, flags, CACHED); }

int casyncio_open_beneath(int folder, const char *path, int flags, int cached) {
    return open_how(folder, path, flags, NO_MAGICLINKS | BENEATH | (cached ? CACHED : 0));
}

ssize_t casyncio_read_at(int descriptor, void *memory, size_t count, int64_t offset, int flags) {
    struct iovec vector = {.iov_base = memory, .iov_len = count};
    return preadv2(descriptor, &vector, 1, offset, flags);
}

ssize_t casyncio_write_at(int descriptor, const void *memory, size_t count, int64_t offset, int flags) {
    struct iovec vector = {.iov_base = (void *)memory, .iov_len = count};
    ssize_t written;
    // Only a descriptor without positions can be a pipe.
    if (offset < 0) WITHOUT_SIGXFSZ(written, casyncio_writev(descriptor, &vector, 1));
    else WITHOUT_SIGXFSZ(written, pwritev2(descriptor, &vector, 1, offset, flags));
    return written;
}

int casyncio_truncate(int descriptor, int64_t size) {
    int result;
    WITHOUT_SIGXFSZ(result, ftruncate(descriptor, size));
    return result;
}

int casyncio_allocate(int descriptor, int mode, int64_t offset, int64_t count) {
    int result;
    WITHOUT_SIGXFSZ(result, fallocate(descriptor, mode, offset, count));
    return result;
}

ssize_t casyncio_list(int descriptor, void *memory, size_t count) {
    return syscall(SYS_getdents64, descriptor, memory, count);
}

ssize_t casyncio_copy_range(int source, int64_t from, int sink, int64_t to, size_t count) {
    off_t source_offset = from, sink_offset = to;
    ssize_t copied;
    WITHOUT_SIGXFSZ(copied, copy_file_range(source, &source_offset, sink, &sink_offset, count, 0));
    return copied;
}

int casyncio_clone(int source, int sink) {
    // FICLONE of <linux/fs.h>, whose other names clash with those of <sys/mount.h>.
    return ioctl(sink, _IOW(0x94, 9, int), source);
}

int casyncio_rename(int folder, const char *path, int new_folder, const char *new_path, unsigned flags) {
    return renameat2(folder, path, new_folder, new_path, flags);
}

int casyncio_lock(int descriptor, int kind) {
    struct flock lock = {.l_type = (short)kind, .l_whence = SEEK_SET};
    return fcntl(descriptor, F_OFD_SETLK, &lock);
}
