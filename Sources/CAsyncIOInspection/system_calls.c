#define _GNU_SOURCE
#include "casyncio_watchdog.h"

#include <sys/syscall.h>

// The calls that a thread is found waiting in, by the names of section 2 of the manual. Architectures differ in which
// of them they have.
const char *casyncio_system_call_name(int64_t number) {
    switch (number) {
#define NAMED(name)                                                                                                   \
    case SYS_##name: return #name
        NAMED(read);
        NAMED(write);
        NAMED(readv);
        NAMED(writev);
        NAMED(pread64);
        NAMED(pwrite64);
        NAMED(preadv);
        NAMED(pwritev);
        NAMED(preadv2);
        NAMED(pwritev2);
        NAMED(sendfile);
        NAMED(splice);
        NAMED(copy_file_range);
        NAMED(fsync);
        NAMED(fdatasync);
        NAMED(sync);
        NAMED(openat);
        NAMED(close);
        NAMED(statx);
        NAMED(getdents64);
        NAMED(fallocate);
        NAMED(ftruncate);
        NAMED(flock);
        NAMED(fcntl);
        NAMED(ioctl);
        NAMED(unlinkat);
        NAMED(renameat2);
        NAMED(mkdirat);
        NAMED(connect);
        NAMED(accept);
        NAMED(accept4);
        NAMED(recvfrom);
        NAMED(recvmsg);
        NAMED(recvmmsg);
        NAMED(sendto);
        NAMED(sendmsg);
        NAMED(sendmmsg);
        NAMED(ppoll);
        NAMED(pselect6);
        NAMED(epoll_pwait);
        NAMED(epoll_pwait2);
        NAMED(nanosleep);
        NAMED(clock_nanosleep);
        NAMED(restart_syscall);
        NAMED(futex);
        NAMED(wait4);
        NAMED(waitid);
        NAMED(rt_sigtimedwait);
        NAMED(rt_sigsuspend);
        NAMED(mmap);
        NAMED(munmap);
        NAMED(madvise);
        NAMED(msync);
        NAMED(io_uring_enter);
        NAMED(execve);
        NAMED(exit_group);
#ifdef SYS_open
        NAMED(open);
        NAMED(stat);
        NAMED(lstat);
        NAMED(poll);
        NAMED(select);
        NAMED(epoll_wait);
        NAMED(pause);
        NAMED(unlink);
        NAMED(rename);
        NAMED(vfork);
#endif
#undef NAMED
    default: return NULL;
    }
}
