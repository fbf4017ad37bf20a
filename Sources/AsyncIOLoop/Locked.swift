import Glibc

/// State that one thread at a time may touch: a pthread_mutex(3) and what it guards, in one allocation.
///
/// As `Synchronization.Mutex`, at the same price. But that one is a bare futex in a library that no sanitizer has seen
/// the inside of, while the thread sanitizer knows every pthread call: with this one its reports mean something. It
/// stands on this floor, and not on the one below, because only here the compiler makes the hot ones to measure.
@safe
package struct Locked<State>: ~Copyable, @unchecked Sendable {
    @safe
    private struct Storage {
        /// First, so that the storage's address is the mutex's.
        var mutex = unsafe pthread_mutex_t()
        var state: State
    }

    /// Alive as long as this value, which cannot be copied.
    private let storage: UnsafeMutablePointer<Storage>

    package init(_ initial: sending State) {
        unsafe storage = .allocate(capacity: 1)
        unsafe storage.initialize(to: Storage(state: initial))
        // A plain mutex may be taken again and again by one busy thread while another waits for it: a flood of
        // callbacks from outside kept a loop from its own inbox for a minute. One that inherits priorities is handed
        // over in turn.
        var attributes = pthread_mutexattr_t()
        unsafe pthread_mutexattr_init(&attributes)
        unsafe pthread_mutexattr_setprotocol(&attributes, CInt(PTHREAD_PRIO_INHERIT))
        unsafe pthread_mutex_init(mutex, &attributes)
        unsafe pthread_mutexattr_destroy(&attributes)
    }

    deinit {
        unsafe pthread_mutex_destroy(mutex)
        unsafe storage.deinitialize(count: 1)
        unsafe storage.deallocate()
    }

    private var mutex: UnsafeMutablePointer<pthread_mutex_t> {
        unsafe UnsafeMutableRawPointer(storage).assumingMemoryBound(to: pthread_mutex_t.self)
    }

    /// Changes the state. No task is woken, and nothing of a caller's is called, under the lock.
    @inline(__always)
    package borrowing func withLock<Result, Failure: Error>(
        _ body: (inout State) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        return unsafe try body(&storage.pointee.state)
    }
}
