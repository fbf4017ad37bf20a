// Signals: one handler and one table of listeners for the whole process, and what a fork(2) leaves of both.
#ifndef CASYNCIO_SIGNALS_H
#define CASYNCIO_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>

/// How many listeners a process has room for.
enum { CASYNCIO_SIGNAL_LISTENERS = 256 };
/// For how many milliseconds after a run's signal another one of the kind is taken for the same.
enum { CASYNCIO_SIGNAL_ECHO = 200 };

/// What a listener is for.
enum casyncio_listener {
    /// The program asked for the signal: every such listener gets it.
    CASYNCIO_LISTENER_OF_PROGRAM = 0,
    /// The signal ends a run. It comes here if no listener of the program's gets it; the second one of the kind,
    /// CASYNCIO_SIGNAL_ECHO later at the earliest, restores the previous action and raises itself again, so that a
    /// program that does not react still ends at once. Where that action is the default one, the process ends even if
    /// the kernel spares it: the first of a container. The first run that asks for a signal has it.
    CASYNCIO_LISTENER_OF_RUN = 1,
};

/// Has the handler note signals (bit number - 1) for a new listener, and write to an eventfd when the first of them has
/// come since casyncio_signals_take. `heard` are those that will come: without `even_ignored`, one that the process
/// ignores stays ignored. Returns the listener, or -1 with errno: ENOSPC if there is no room for one more.
int casyncio_signals_listen(
    uint64_t signals, int wake_descriptor, enum casyncio_listener kind, bool even_ignored, uint64_t *heard);
/// The signals that have come since the last call; each at least once.
uint64_t casyncio_signals_take(int listener);
/// How many times a run's signal has come.
int casyncio_signals_run_count(int signal);
/// Nothing is noted, nor written to the eventfd, once this returns. The last listener's end puts back what was there
/// before the first.
void casyncio_signals_ignore(int listener);

/// Lets the calling thread have signals that it was started without.
void casyncio_signals_unblock(uint64_t signals);
/// Puts back what casyncio_signals_unblock has changed on this thread, for those that nobody listens to any more.
void casyncio_signals_reblock(uint64_t signals);

/// Has every fork(2) from now on counted in the child, which also forgets the loop of its thread and gets back the
/// actions of the signals.
void casyncio_watch_forks(void);
extern int casyncio_forks_slot;
/// How many forks lie between this process and the one in which casyncio_watch_forks was called.
static inline int casyncio_forks(void) { return casyncio_forks_slot; }
extern bool casyncio_has_forked_slot;
/// Whether fork(3) was called since casyncio_watch_forks was, so that others may have copies of this process'
/// descriptors. posix_spawn(3) does not count: what its child shares ends with execve(2), and is close-on-exec here.
/// clone(2) cannot be seen.
static inline bool casyncio_has_forked(void) { return __atomic_load_n(&casyncio_has_forked_slot, __ATOMIC_RELAXED); }

#endif
