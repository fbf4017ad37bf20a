// What Swift's Glibc module does not import on Linux, and what the Swift runtime exports without a Swift name.
// No feature macro may stand in this header: it would change Glibc's own module for every importer.
#ifndef CASYNCIO_H
#define CASYNCIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "casyncio_uring.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

// The socket flags of <bits/socket_type.h>, which are an enumeration there, as plain numbers.
enum {
    CASYNCIO_SOCK_NONBLOCK = 04000,
    CASYNCIO_SOCK_CLOEXEC = 02000000,
};
/// O_PATH of open(2), which <fcntl.h> defines only for _GNU_SOURCE; the same on x86-64 and arm64.
enum { CASYNCIO_O_PATH = 010000000 };

// F_SETPIPE_SZ and F_GETPIPE_SZ of fcntl(2), which <fcntl.h> defines only for _GNU_SOURCE.
enum {
    CASYNCIO_SET_PIPE_SIZE = 1031,
    CASYNCIO_GET_PIPE_SIZE = 1032,
};

/// accept4(2), which <sys/socket.h> declares only for _GNU_SOURCE.
int casyncio_accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags);
/// recv(2) without flags.
ssize_t casyncio_receive(int descriptor, void *memory, size_t count);
/// send(2): EPIPE, and no SIGPIPE.
ssize_t casyncio_send(int descriptor, const void *memory, size_t count);
/// pipe2(2), close-on-exec and non-blocking.
int casyncio_pipe(int ends[2]);
/// writev(2) that does not kill the process when nobody reads: EPIPE, and no SIGPIPE.
ssize_t casyncio_writev(int descriptor, const struct iovec *vectors, int count);
/// splice(2), non-blocking: moves bytes from a descriptor into a pipe without copying them to the process.
ssize_t casyncio_splice_in(int descriptor, int pipe, size_t count);
/// The other way: EPIPE, and no SIGPIPE.
ssize_t casyncio_splice_out(int pipe, int descriptor, size_t count);
/// sendfile(2) from an offset, which it moves: EPIPE, and no SIGPIPE.
ssize_t casyncio_send_file(int socket, int file, int64_t *offset, size_t count);

// Files. The calls take 64-bit offsets; -1 stands for the file's own position. A write that the process's limit of
// file sizes refuses ends with EFBIG, and no SIGXFSZ; one that nobody reads with EPIPE, and no SIGPIPE.

/// statx(2)'s answer, which <sys/stat.h> defines only for _GNU_SOURCE: the kernel's layout.
struct casyncio_moment {
    int64_t seconds;
    uint32_t nanoseconds;
    int32_t reserved;
};
struct casyncio_status {
    uint32_t mask, block_size;
    uint64_t attributes;
    uint32_t links, user, group;
    uint16_t mode, reserved0;
    uint64_t inode, size, blocks, attributes_mask;
    struct casyncio_moment accessed, created, changed, modified;
    uint32_t special_major, special_minor, device_major, device_minor;
    uint64_t reserved1[14];
};
/// What an empty path, and links that are not followed, are called in calls relative to a folder; the same on x86-64
/// and arm64.
enum {
    CASYNCIO_AT_FDCWD = -100,
    CASYNCIO_AT_SYMLINK_NOFOLLOW = 0x100,
    CASYNCIO_AT_REMOVEDIR = 0x200,
    CASYNCIO_AT_EMPTY_PATH = 0x1000,
    CASYNCIO_AT_STATX_DONT_SYNC = 0x4000,
    CASYNCIO_RENAME_NOREPLACE = 1,
    CASYNCIO_RWF_NOWAIT = 8,
    CASYNCIO_FALLOC_KEEP_SIZE = 1,
    CASYNCIO_FALLOC_PUNCH_HOLE = 2,
    CASYNCIO_O_TMPFILE_ALONE = 020000000,
    CASYNCIO_SEEK_DATA = 3,
    CASYNCIO_SEEK_HOLE = 4,
};
/// statx(2).
int casyncio_statx(int folder, const char *path, int flags, struct casyncio_status *status);
/// openat2(2) of what the kernel can find without waiting for a disk (RESOLVE_CACHED), for reading; EAGAIN otherwise.
int casyncio_open_cached(int folder, const char *path, int flags);
/// openat2(2) of what stands below the folder (RESOLVE_BENEATH, no magic links); cached: as casyncio_open_cached.
int casyncio_open_beneath(int folder, const char *path, int flags, int cached);
/// preadv2(2) of one vector.
ssize_t casyncio_read_at(int descriptor, void *memory, size_t count, int64_t offset, int flags);
/// pwritev2(2) of one vector.
ssize_t casyncio_write_at(int descriptor, const void *memory, size_t count, int64_t offset, int flags);
/// ftruncate(2).
int casyncio_truncate(int descriptor, int64_t size);
/// fallocate(2).
int casyncio_allocate(int descriptor, int mode, int64_t offset, int64_t count);
/// getdents64(2).
ssize_t casyncio_list(int descriptor, void *memory, size_t count);
/// copy_file_range(2).
ssize_t casyncio_copy_range(int source, int64_t from, int sink, int64_t to, size_t count);
/// FICLONE of ioctl_ficlone(2).
int casyncio_clone(int source, int sink);
/// renameat2(2).
int casyncio_rename(int folder, const char *path, int new_folder, const char *new_path, unsigned flags);
/// F_OFD_SETLK of fcntl(2), for the whole file: a lock of the open file, not of the process. F_RDLCK, F_WRLCK or
/// F_UNLCK.
int casyncio_lock(int descriptor, int kind);

/// A datagram of a batch: mmsghdr of recvmmsg(2), which <sys/socket.h> declares only for _GNU_SOURCE.
struct casyncio_message {
    struct msghdr header;
    unsigned int length;
};
/// recvmmsg(2) without a timeout.
int casyncio_receive_messages(int descriptor, struct casyncio_message *messages, unsigned int count, int flags);
/// sendmmsg(2).
int casyncio_send_messages(int descriptor, struct casyncio_message *messages, unsigned int count, int flags);
/// The control messages of a received message, one after the other: cmsg(3), whose macros Swift does not import.
static inline struct cmsghdr *casyncio_first_control(struct msghdr *message) { return CMSG_FIRSTHDR(message); }
static inline struct cmsghdr *casyncio_next_control(struct msghdr *message, struct cmsghdr *control) {
    return CMSG_NXTHDR(message, control);
}
static inline unsigned char *casyncio_control_data(struct cmsghdr *control) { return CMSG_DATA(control); }
/// CMSG_SPACE and CMSG_LEN of cmsg(3).
static inline size_t casyncio_control_space(size_t length) { return CMSG_SPACE(length); }
static inline size_t casyncio_control_length(size_t length) { return CMSG_LEN(length); }

/// Attaches a filter to a listening TCP socket that drops the first segment of new handshakes (SO_ATTACH_FILTER of
/// socket(7)).
int casyncio_ignore_handshakes(int descriptor);
/// How many processors sched_getaffinity(2) allows; -1 with errno.
int casyncio_usable_processors(void);

/// epoll_event is packed on x86-64, so its 64-bit data is set and read here.
static inline struct epoll_event casyncio_epoll_event(uint32_t events, uint64_t data) {
    struct epoll_event event;
    event.events = events;
    event.data.u64 = data;
    return event;
}
static inline uint64_t casyncio_epoll_data(const struct epoll_event *event) { return event->data.u64; }
/// epoll_pwait2(2) with nanoseconds, or epoll_pwait(2) rounded up to a millisecond where the kernel has none (before
/// 5.11). A negative timeout waits without end. Returns the number of events or -1 with errno.
int casyncio_epoll_wait(int descriptor, struct epoll_event *events, int capacity, int64_t nanoseconds);
/// futex(2): sleeps while the word has this value; may end for no reason.
void casyncio_futex_wait(uint32_t *word, uint32_t value);
/// futex(2): wakes one thread that sleeps on the word.
void casyncio_futex_wake(uint32_t *word);
/// gettid(2) of the calling thread.
int casyncio_thread_id(void);
/// pthread_setname_np(3) of the calling thread; a longer name is cut to the kernel's 15 bytes.
void casyncio_set_thread_name(const char *name);
/// clock_gettime(CLOCK_MONOTONIC) in nanoseconds.
int64_t casyncio_monotonic_nanoseconds(void);

// The loop that runs on this thread. Initial-exec: one move instead of a call.
extern __thread void *casyncio_current_loop_slot __attribute__((tls_model("initial-exec")));
static inline void *casyncio_current_loop(void) { return casyncio_current_loop_slot; }
static inline void casyncio_set_current_loop(void *loop) { casyncio_current_loop_slot = loop; }
// The inside of that loop, if the process's default executor leads to it.
extern __thread void *casyncio_default_core_slot __attribute__((tls_model("initial-exec")));
static inline void *casyncio_default_core(void) { return casyncio_default_core_slot; }
static inline void casyncio_set_default_core(void *core) { casyncio_default_core_slot = core; }
// How many operations the job that runs on this thread may still complete without suspending. Where no loop runs, there
// is no end of it.
extern __thread int64_t casyncio_share_slot __attribute__((tls_model("initial-exec")));
static inline int64_t casyncio_share(void) { return casyncio_share_slot; }
static inline void casyncio_set_share(int64_t share) { casyncio_share_slot = share; }
/// Takes one of them; false if none is left.
static inline bool casyncio_spend_share(void) {
    if (casyncio_share_slot <= 0) return false;
    casyncio_share_slot--;
    return true;
}
// Who answers this thread's system calls, if not the kernel.
extern __thread void *casyncio_stand_in_slot __attribute__((tls_model("initial-exec")));
static inline void *casyncio_stand_in(void) { return casyncio_stand_in_slot; }
static inline void casyncio_set_stand_in(void *holder) { casyncio_stand_in_slot = holder; }

/// write(2) to standard error; a pipe that nobody reads costs nothing but the text.
void casyncio_write_error(const void *bytes, size_t count);

// Child processes: posix_spawn(3), and pidfd_open(2) with its relatives, which <sys/syscall.h> knows and glibc may not.

/// What a child is to be. The memory is the caller's, and is read until casyncio_spawn returns.
struct casyncio_spawn {
    /// The program, as execve(2) takes it.
    const char *path;
    char *const *arguments;
    /// NULL: the process's own.
    char *const *environment;
    /// Where it starts, or NULL.
    const char *folder;
    /// A terminal that becomes its controlling terminal and its numbers 0 to 2, or NULL.
    const char *terminal;
    /// What its numbers from 0 on are copies of; -1 is closed. None of them may be below `count`, but at its own place.
    const int *descriptors;
    int count;
    /// The process group that it joins; 0: its own; -1: its parent's.
    int group;
    bool has_own_session;
};
/// Starts a child: no signal blocked or ignored, no descriptor but the listed ones. Returns its process id when its
/// program runs, or -1 with errno; then there is no child. Blocks the calling thread until then (vfork(2)).
int casyncio_spawn(const struct casyncio_spawn *plan);
/// pipe2(2), close-on-exec: one end becomes non-blocking, the other one is a child's.
int casyncio_pipe_for_child(int ends[2]);
/// Whether children stay until their status was read. Not if SIGCHLD is ignored (wait(2), NOTES).
bool casyncio_exit_statuses_are_kept(void);

/// How a process has ended.
struct casyncio_process_end {
    bool was_signalled;
    bool dumped_core;
    /// The exit code, or the signal.
    int number;
};
int casyncio_pidfd_open(int process);
int casyncio_pidfd_signal(int descriptor, int signal);
/// The process's whole group. EINVAL before Linux 6.9.
int casyncio_pidfd_signal_group(int descriptor, int signal);
/// waitid(2): reaps the child if it has ended. 1: it has; 0: not yet; -1 with errno.
int casyncio_pidfd_take_end(int descriptor, struct casyncio_process_end *end);
/// Not negative if the process is a child of ours that nobody has reaped.
int casyncio_pidfd_is_child(int descriptor);
/// How a process has ended that somebody else has reaped: the kernel remembers it from Linux 6.15 on. As
/// casyncio_pidfd_take_end.
int casyncio_pidfd_look_at_end(int descriptor, struct casyncio_process_end *end);
/// Ends a child that has no pidfd, and waits for its end.
int casyncio_kill_and_reap(int process);

/// A new pseudo-terminal's master, close-on-exec and non-blocking (pty(7)).
int casyncio_open_terminal(void);
int casyncio_terminal_name(int master, char *name, size_t capacity);
int casyncio_terminal_size(int master, uint16_t *rows, uint16_t *columns);
int casyncio_set_terminal_size(int master, uint16_t rows, uint16_t columns);
/// FIONREAD of ioctl_tty(2): how many bytes a pipe holds.
int casyncio_waiting_bytes(int descriptor);

// Swift's runtime (libswift_Concurrency): what it exports without a Swift name.

/// The id of the task that a job belongs to.
__attribute__((swiftcall)) uint64_t swift_task_getJobTaskId(void *job);
/// The task that runs on this thread, or NULL. Valid while it runs.
__attribute__((swiftcall)) void *swift_task_getCurrent(void);
/// Whether a task was cancelled.
__attribute__((swiftcall)) bool swift_task_isCancelled(void *task);

/// Who is called back when a task is cancelled: the package has one handler for each kind of wait.
enum casyncio_wait {
    /// A loop's operation.
    CASYNCIO_WAIT_OPERATION = 0,
    /// A place in the queue of a lock, a channel or the like.
    CASYNCIO_WAIT_PARKED = 1,
    /// A loop's operation, by a task that has come to another thread meanwhile.
    CASYNCIO_WAIT_ELSEWHERE = 2,
    /// Whatever a task waits for within a CancellationScope.
    CASYNCIO_WAIT_IN_SCOPE = 3,
};
/// Calls back with the context when the running task is cancelled, from whatever thread does that, or at once if it has
/// been. The records of a task are a stack, together with its frames: added and removed in the same one. The handler of
/// a kind of wait is the same in every call.
void *casyncio_add_cancellation_handler(enum casyncio_wait wait, void (*handler)(void *context), void *context);
/// Takes the record of casyncio_add_cancellation_handler away; waits for a handler that runs just now.
void casyncio_remove_cancellation_handler(void *record);
/// The context of the innermost CASYNCIO_WAIT_IN_SCOPE that the running task is in, if it is in one. Only if the
/// layout of tasks is known.
void *casyncio_cancellation_scope(const void *task);

/// Whether a task can be suspended as Suspension.swift does it: the runtime has what it takes.
bool casyncio_can_suspend(void);
/// Whether the running task's code is isolated to no actor.
bool casyncio_runs_as_anybody(void);
/// Whether the running task prefers this executor.
bool casyncio_prefers(const void *executor);

// Reading tasks where the runtime has no function for it. Only after casyncio_task_layout_is_known() has said yes, and
// only for tasks that the caller keeps alive and that do not run now.

/// Whether this process's runtime lays tasks out as runtime.c reads them. Asked once.
bool casyncio_task_layout_is_known(void);
/// Whether a job is a task that no other task awaits as its child and that prefers no executor: `Task {}`,
/// `Task.detached {}`.
bool casyncio_job_is_plain_task(const void *job);
/// Whether a job is a task that no other task awaits as its child, whatever executor it prefers.
bool casyncio_job_is_unstructured_task(const void *job);
/// The task that a job's task is a child of, or its parent is, and so on: itself, if it is nobody's child. NULL for a
/// job that is no task. Parents live longer than their children.
const void *casyncio_root_task(const void *job);
/// Whether a task has ended.
bool casyncio_task_is_complete(const void *task);
/// Whether a task was cancelled: swift_task_isCancelled, at a fifth of its price. Of any layout.
bool casyncio_task_is_cancelled(void *task);
/// The name given at creation, or NULL. Valid while the task lives.
const char *casyncio_task_name(const void *task);
/// Whether a job is a task, and not one of the runtime's own.
bool casyncio_job_is_task(const void *job);
/// Whether a job is the task of an `async let`, which lies in its parent's memory.
bool casyncio_job_is_async_let(const void *job);
/// The task that a job's task is a child of; NULL if it is nobody's child.
const void *casyncio_parent_task(const void *job);
/// Where a job goes on. Before a task's first run: where its code begins.
uintptr_t casyncio_job_entry_point(const void *job);
void casyncio_task_retain(void *task);
void casyncio_task_release(void *task);
void casyncio_task_cancel(void *task);

// Reading tasks from outside, with everything that can be known of them. Through the kernel (process_vm_readv(2)), so a
// pointer that leads nowhere ends in a refusal, and nothing else.

/// Copies memory of the process itself; false if some of it is not there to be read.
bool casyncio_copy_memory(uintptr_t address, void *into, size_t count);
/// Whether an address lies in the code of the program or of a library.
bool casyncio_is_code(uintptr_t address);

/// What a task is suspended for, as the runtime notes it.
enum casyncio_dependency {
    CASYNCIO_DEPENDS_ON_NOTHING = 0,
    CASYNCIO_DEPENDS_ON_TASK = 1,
    CASYNCIO_DEPENDS_ON_CONTINUATION = 2,
    CASYNCIO_DEPENDS_ON_GROUP = 3,
    CASYNCIO_DEPENDS_ON_EXECUTOR = 4,
};
enum { CASYNCIO_READ_NAME = 256 };
/// What was read of a task.
struct casyncio_task_reading {
    uint64_t id;
    /// 0 if it is nobody's child.
    uint64_t parent;
    bool is_group_child, is_async_let, is_cancelled, is_running, is_enqueued, is_complete;
    enum casyncio_dependency dependency;
    /// The task that it depends on, or 0.
    uint64_t dependency_task;
    uint32_t frame_count;
    /// -1 without a name.
    int32_t name_length;
    char name[CASYNCIO_READ_NAME];
};
static inline const char *casyncio_reading_name(const struct casyncio_task_reading *reading) { return reading->name; }
/// Memory as it was copied, for a number of tasks that are read one right after the other. NULL is for one task.
struct casyncio_pages;
struct casyncio_pages *casyncio_pages_make(void);
void casyncio_pages_free(struct casyncio_pages *pages);
/// Reads a task with this id; false if there is none, any more, at the address. The frames are where it goes on,
/// innermost first; none of a task that runs. It must not begin to run meanwhile: then the frames may be nonsense.
bool casyncio_read_task(struct casyncio_pages *pages, uintptr_t task, uint64_t id,
                        struct casyncio_task_reading *reading, uintptr_t *frames, size_t capacity);
/// Why tasks cannot be read in this process, or NULL. What the runtime exports is asked, and memory is read.
const char *casyncio_task_reading_refusal(void);

#endif
