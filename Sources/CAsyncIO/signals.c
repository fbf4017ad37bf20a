#define _GNU_SOURCE
#include "casyncio_signals.h"
#include "casyncio.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

// What the handler may touch (signal-safety(7)): atomics that need no lock, sigaction, raise, write, getpid,
// clock_gettime, pthread_sigmask, _exit, and a signal's previous action, which stays as it is while somebody listens.
// All else belongs to whoever has the lock.
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2, "a handler must not take a lock");

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct {
    /// What it listens to; none when the place is free.
    _Atomic uint64_t signals;
    /// What has come since it looked.
    _Atomic uint64_t pending;
    atomic_int kind;
    atomic_int wake_descriptor;
    /// How many handlers are at it just now.
    atomic_int handlers;
    bool is_taken;
} listeners[CASYNCIO_SIGNAL_LISTENERS];
/// The places that have ever been taken.
static atomic_int used;

static struct {
    int listeners;
    struct sigaction previous;
    /// The run that the signal ends: its place, plus one.
    atomic_int run;
    atomic_int run_count;
    /// When the first of them came, in milliseconds of CLOCK_MONOTONIC; 0 before.
    _Atomic int64_t run_since;
} signals[NSIG];

/// The process that the table belongs to.
static atomic_int owner;
/// What this thread was started without, and has now.
static __thread uint64_t unblocked_here;

int casyncio_forks_slot = 0;
bool casyncio_has_forked_slot = false;

static uint64_t bit_of(int signal) { return (uint64_t)1 << (signal - 1); }

// MARK: The handler

static bool tell(int place, uint64_t bit, int kind) {
    if (!(atomic_load(&listeners[place].signals) & bit)) return false;
    // From here on the place stays its listener's: whoever goes waits for the handlers.
    atomic_fetch_add(&listeners[place].handlers, 1);
    bool hears = (atomic_load(&listeners[place].signals) & bit) && atomic_load(&listeners[place].kind) == kind;
    // Until it looks, one wake-up is enough: so a flood costs no system calls, and what comes after its last look wakes
    // it again.
    if (hears && !(atomic_fetch_or(&listeners[place].pending, bit) & bit)) {
        uint64_t one = 1;
        int wake = atomic_load(&listeners[place].wake_descriptor);
        if (write(wake, &one, sizeof one) < 0) { /* a full counter wakes as well */ }
    }
    atomic_fetch_sub(&listeners[place].handlers, 1);
    return hears;
}

static void act_by_default(int signal) {
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigaction(signal, &standard, NULL);
    raise(signal);
}

/// Whether a run's signal has come before, and long enough before to be meant twice: timeout(1) and npm send one to the
/// process and to its group.
static bool is_second(int signal) {
    struct timespec time = {0};
    clock_gettime(CLOCK_MONOTONIC, &time);
    int64_t now = (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000 + 1, first = 0;
    if (atomic_compare_exchange_strong(&signals[signal].run_since, &first, now)) return false;
    return now - first >= CASYNCIO_SIGNAL_ECHO;
}

/// What the signal would have done without us; for a run's own, which nobody else is told of.
static void act_as_before(int signal) {
    struct sigaction previous = signals[signal].previous;
    sigaction(signal, &previous, NULL);
    // It waits until this handler has returned, or is let through before.
    raise(signal);
    if (previous.sa_handler != SIG_DFL) return;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    // The first process of a container is spared by the kernel (pid_namespaces(7)), and meant to end nevertheless.
    _exit(128 + signal);
}

static void on_signal(int signal) {
    int saved = errno;
    uint64_t bit = bit_of(signal);
    // Between vfork(2) and exec(3) a child has our memory, and its signals are not ours.
    if (getpid() != atomic_load(&owner)) {
        act_by_default(signal);
    } else {
        bool is_heard = false;
        int count = atomic_load(&used);
        for (int place = 0; place < count; place++)
            if (tell(place, bit, CASYNCIO_LISTENER_OF_PROGRAM)) is_heard = true;
        int run = is_heard ? 0 : atomic_load(&signals[signal].run);
        if (run > 0) {
            if (is_second(signal)) act_as_before(signal);
            atomic_fetch_add(&signals[signal].run_count, 1);
            tell(run - 1, bit, CASYNCIO_LISTENER_OF_RUN);
        }
    }
    errno = saved;
}

// MARK: Coming and going

static void block(uint64_t wanted, int how, uint64_t *before) {
    sigset_t set, old;
    sigemptyset(&set);
    for (int signal = 1; signal < NSIG; signal++)
        if (wanted & bit_of(signal)) sigaddset(&set, signal);
    pthread_sigmask(how, &set, &old);
    if (before == NULL) return;
    *before = 0;
    for (int signal = 1; signal < NSIG; signal++)
        if (sigismember(&old, signal) == 1) *before |= bit_of(signal);
}

/// One listener more to a signal. False if the process ignores it; an error number is negative.
static int join(int place, int signal, enum casyncio_listener kind, bool even_ignored) {
    if (kind == CASYNCIO_LISTENER_OF_RUN && atomic_load(&signals[signal].run) != 0) return false;
    bool is_first = signals[signal].listeners == 0;
    if (is_first && sigaction(signal, NULL, &signals[signal].previous) < 0) return -errno;
    // Somebody has put ours back after the last listener's end, as what he had found before: what was there before that
    // is no longer known.
    if (is_first && signals[signal].previous.sa_handler == on_signal)
        signals[signal].previous = (struct sigaction){.sa_handler = SIG_DFL};
    if (signals[signal].previous.sa_handler == SIG_IGN && !even_ignored) return false;
    // Before the handler is there, so that it finds somebody.
    if (kind == CASYNCIO_LISTENER_OF_RUN) {
        atomic_store(&signals[signal].run_count, 0);
        atomic_store(&signals[signal].run_since, 0);
        atomic_store(&signals[signal].run, place + 1);
    }
    atomic_fetch_or(&listeners[place].signals, bit_of(signal));
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    if (is_first && sigaction(signal, &action, NULL) < 0) {
        int code = errno;
        atomic_fetch_and(&listeners[place].signals, ~bit_of(signal));
        if (kind == CASYNCIO_LISTENER_OF_RUN) atomic_store(&signals[signal].run, 0);
        return -code;
    }
    signals[signal].listeners += 1;
    return true;
}

static void put_back(int signal) {
    struct sigaction now;
    // Somebody else may have put a handler in ours' place: it is not ours to take away.
    if (sigaction(signal, NULL, &now) == 0 && now.sa_handler == on_signal)
        sigaction(signal, &signals[signal].previous, NULL);
}

static void leave(int place) {
    uint64_t heard = atomic_load(&listeners[place].signals), last = 0;
    for (int signal = 1; signal < NSIG; signal++) {
        if (!(heard & bit_of(signal))) continue;
        if (atomic_load(&signals[signal].run) == place + 1) atomic_store(&signals[signal].run, 0);
        if (--signals[signal].listeners == 0) last |= bit_of(signal);
    }
    // What was blocked is so again before it could do its default harm.
    block(last & unblocked_here, SIG_BLOCK, NULL);
    unblocked_here &= ~last;
    for (int signal = 1; signal < NSIG; signal++)
        if (last & bit_of(signal)) put_back(signal);
    atomic_store(&listeners[place].signals, 0);
    // A handler that another thread runs just now may still write to the eventfd, which will be closed next.
    while (atomic_load(&listeners[place].handlers) > 0) sched_yield();
    listeners[place].is_taken = false;
}

int casyncio_signals_listen(
    uint64_t wanted, int wake_descriptor, enum casyncio_listener kind, bool even_ignored, uint64_t *heard) {
    casyncio_watch_forks();
    pthread_mutex_lock(&lock);
    int place = 0, code = 0;
    while (place < CASYNCIO_SIGNAL_LISTENERS && listeners[place].is_taken) place++;
    if (place == CASYNCIO_SIGNAL_LISTENERS) {
        code = -ENOSPC;
    } else {
        listeners[place].is_taken = true;
        atomic_store(&owner, getpid());
        atomic_store(&listeners[place].pending, 0);
        atomic_store(&listeners[place].kind, kind);
        atomic_store(&listeners[place].wake_descriptor, wake_descriptor);
        if (place >= atomic_load(&used)) atomic_store(&used, place + 1);
        for (int signal = 1; signal < NSIG && code >= 0; signal++)
            if (wanted & bit_of(signal)) code = join(place, signal, kind, even_ignored);
        *heard = atomic_load(&listeners[place].signals);
        if (code < 0) leave(place);
    }
    int listener = casyncio_forks_slot * CASYNCIO_SIGNAL_LISTENERS + place;
    pthread_mutex_unlock(&lock);
    if (code >= 0) return listener;
    errno = -code;
    return -1;
}

/// The listener's place; -1 in a child, where another one may have it.
static int place_of(int listener) {
    return listener / CASYNCIO_SIGNAL_LISTENERS == casyncio_forks_slot ? listener % CASYNCIO_SIGNAL_LISTENERS : -1;
}

uint64_t casyncio_signals_take(int listener) {
    int place = place_of(listener);
    return place < 0 ? 0 : atomic_exchange(&listeners[place].pending, 0);
}

int casyncio_signals_run_count(int signal) {
    return signal <= 0 || signal >= NSIG ? 0 : atomic_load(&signals[signal].run_count);
}

void casyncio_signals_ignore(int listener) {
    int place = place_of(listener);
    if (place < 0) return;
    pthread_mutex_lock(&lock);
    leave(place);
    pthread_mutex_unlock(&lock);
}

void casyncio_signals_unblock(uint64_t wanted) {
    uint64_t before;
    block(wanted, SIG_UNBLOCK, &before);
    unblocked_here |= wanted & before;
}

void casyncio_signals_reblock(uint64_t wanted) {
    pthread_mutex_lock(&lock);
    uint64_t unheard = 0;
    for (int signal = 1; signal < NSIG; signal++)
        if (signals[signal].listeners == 0) unheard |= bit_of(signal);
    block(wanted & unheard & unblocked_here, SIG_BLOCK, NULL);
    unblocked_here &= ~(wanted & unheard);
    pthread_mutex_unlock(&lock);
}

// MARK: Forks

static void before_fork(void) {
    __atomic_store_n(&casyncio_has_forked_slot, true, __ATOMIC_RELAXED);
    pthread_mutex_lock(&lock);
}

static void after_fork_in_parent(void) { pthread_mutex_unlock(&lock); }

static void after_fork_in_child(void) {
    for (int signal = 1; signal < NSIG; signal++) {
        if (signals[signal].listeners > 0) put_back(signal);
        signals[signal].listeners = 0;
        atomic_store(&signals[signal].run, 0);
    }
    for (int place = 0; place < CASYNCIO_SIGNAL_LISTENERS; place++) {
        atomic_store(&listeners[place].signals, 0);
        atomic_store(&listeners[place].handlers, 0);
        listeners[place].is_taken = false;
    }
    block(unblocked_here, SIG_BLOCK, NULL);
    unblocked_here = 0;
    casyncio_set_current_loop(NULL);
    casyncio_set_default_core(NULL);
    casyncio_set_stand_in(NULL);
    casyncio_forks_slot += 1;
    pthread_mutex_unlock(&lock);
}

static void watch_forks(void) { pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child); }

void casyncio_watch_forks(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
}
