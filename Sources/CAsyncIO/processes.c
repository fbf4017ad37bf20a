#define _GNU_SOURCE
#include "casyncio.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// Old headers lack the numbers, which are the same on x86-64 and arm64.
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#define WAIT_PIDFD 3
// Linux 6.9.
#define SIGNAL_PROCESS_GROUP 4u

// The steps that the child takes between its birth and its program, in this order. glibc takes them in a child that
// shares the parent's memory, without a call that is not safe there, and with all signals blocked.
static int add_steps(posix_spawn_file_actions_t *actions, const struct casyncio_spawn *plan) {
    int error = 0;
    // By the leader of a new session, and without O_NOCTTY: it becomes the session's controlling terminal (tty(4)).
    if (plan->terminal != NULL) error = posix_spawn_file_actions_addopen(actions, 0, plan->terminal, O_RDWR, 0);
    for (int number = 0; error == 0 && number < plan->count; number++) {
        int source = plan->descriptors[number];
        if (plan->terminal != NULL && number < 3)
            error = number == 0 ? 0 : posix_spawn_file_actions_adddup2(actions, 0, number);
        else if (source >= 0)
            // Also for a number that stays: dup2 of a number to itself takes the close-on-exec flag away here.
            error = posix_spawn_file_actions_adddup2(actions, source, number);
        else
            error = posix_spawn_file_actions_addclose(actions, number);
    }
    if (error == 0) error = posix_spawn_file_actions_addclosefrom_np(actions, plan->count);
    if (error == 0 && plan->folder != NULL) error = posix_spawn_file_actions_addchdir_np(actions, plan->folder);
    return error;
}

static int set_attributes(posix_spawnattr_t *attributes, const struct casyncio_spawn *plan) {
    short flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    sigset_t signals;
    // All of them: sigfillset(3) leaves out the two that glibc uses itself, and posix_spawn makes the child ignore
    // those.
    memset(&signals, 0xff, sizeof signals);
    int error = posix_spawnattr_setsigdefault(attributes, &signals);
    sigemptyset(&signals);
    if (error == 0) error = posix_spawnattr_setsigmask(attributes, &signals);
    if (plan->has_own_session) flags |= POSIX_SPAWN_SETSID;
    if (plan->group >= 0) {
        flags |= POSIX_SPAWN_SETPGROUP;
        if (error == 0) error = posix_spawnattr_setpgroup(attributes, plan->group);
    }
    return error != 0 ? error : posix_spawnattr_setflags(attributes, flags);
}

int casyncio_spawn(const struct casyncio_spawn *plan) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    pid_t child = -1;
    int error = posix_spawn_file_actions_init(&actions);
    if (error == 0) {
        error = posix_spawnattr_init(&attributes);
        if (error == 0) {
            error = add_steps(&actions, plan);
            if (error == 0) error = set_attributes(&attributes, plan);
            if (error == 0) {
                char *const *environment = plan->environment != NULL ? plan->environment : environ;
                error = posix_spawn(&child, plan->path, &actions, &attributes, plan->arguments, environment);
            }
            posix_spawnattr_destroy(&attributes);
        }
        posix_spawn_file_actions_destroy(&actions);
    }
    errno = error;
    return error == 0 ? child : -1;
}

int casyncio_pipe_for_child(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

bool casyncio_exit_statuses_are_kept(void) {
    struct sigaction action;
    if (sigaction(SIGCHLD, NULL, &action) != 0) return true;
    return action.sa_handler != SIG_IGN && (action.sa_flags & SA_NOCLDWAIT) == 0;
}

int casyncio_pidfd_open(int process) { return (int)syscall(SYS_pidfd_open, process, 0); }

int casyncio_pidfd_signal(int descriptor, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, descriptor, signal, NULL, 0);
}

int casyncio_pidfd_signal_group(int descriptor, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, descriptor, signal, NULL, SIGNAL_PROCESS_GROUP);
}

static int take_end(idtype_t kind, id_t name, int options, struct casyncio_process_end *end) {
    siginfo_t information;
    information.si_pid = 0;
    if (waitid(kind, name, &information, WEXITED | options) != 0) return -1;
    if (information.si_pid == 0) return 0;
    end->was_signalled = information.si_code != CLD_EXITED;
    end->dumped_core = information.si_code == CLD_DUMPED;
    end->number = information.si_status;
    return 1;
}

int casyncio_pidfd_take_end(int descriptor, struct casyncio_process_end *end) {
    return take_end((idtype_t)WAIT_PIDFD, (id_t)descriptor, WNOHANG, end);
}

int casyncio_pidfd_is_child(int descriptor) {
    struct casyncio_process_end end;
    return take_end((idtype_t)WAIT_PIDFD, (id_t)descriptor, WNOHANG | WNOWAIT, &end);
}

// struct pidfd_info and PIDFD_GET_INFO of <linux/pidfd.h>, as of Linux 6.15.
struct information_of_pidfd {
    uint64_t mask;
    uint64_t group_of_controls;
    uint32_t process, thread_group, parent;
    uint32_t users[8];
    int32_t exit_code;
};
#define INFORMATION_EXIT (1u << 3)
#define GET_INFORMATION _IOWR(0xFF, 11, struct information_of_pidfd)

int casyncio_pidfd_look_at_end(int descriptor, struct casyncio_process_end *end) {
    _Static_assert(sizeof(struct information_of_pidfd) == 64, "the first version of the kernel's structure");
    struct information_of_pidfd information = {.mask = INFORMATION_EXIT};
    if (ioctl(descriptor, GET_INFORMATION, &information) != 0) return -1;
    if ((information.mask & INFORMATION_EXIT) == 0) return 0;
    int status = information.exit_code;
    end->was_signalled = WIFSIGNALED(status);
    end->dumped_core = WIFSIGNALED(status) && WCOREDUMP(status);
    end->number = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
    return 1;
}

int casyncio_kill_and_reap(int process) {
    struct casyncio_process_end end;
    int result;
    kill(process, SIGKILL);
    do result = take_end(P_PID, (id_t)process, 0, &end);
    while (result < 0 && errno == EINTR);
    return result;
}

int casyncio_open_terminal(void) {
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (master < 0) return -1;
    if (grantpt(master) == 0 && unlockpt(master) == 0) return master;
    int error = errno;
    close(master);
    errno = error;
    return -1;
}

int casyncio_terminal_name(int master, char *name, size_t capacity) {
    int error = ptsname_r(master, name, capacity);
    errno = error;
    return error == 0 ? 0 : -1;
}

int casyncio_terminal_size(int master, uint16_t *rows, uint16_t *columns) {
    struct winsize size = {0};
    if (ioctl(master, TIOCGWINSZ, &size) != 0) return -1;
    *rows = size.ws_row;
    *columns = size.ws_col;
    return 0;
}

int casyncio_set_terminal_size(int master, uint16_t rows, uint16_t columns) {
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    return ioctl(master, TIOCSWINSZ, &size);
}

int casyncio_waiting_bytes(int descriptor) {
    int count = 0;
    return ioctl(descriptor, FIONREAD, &count) == 0 ? count : -1;
}
