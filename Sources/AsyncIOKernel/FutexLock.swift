import CAsyncIO
package import Synchronization

/// A mutual exclusion for a few instructions at a time: one atomic word, and futex(2) for those who find it taken.
///
/// As `Synchronization.Mutex`, with two differences: its atomic operations are compiled into this package, so that the
/// thread sanitizer sees them, and taking and giving back are two calls. The word is 0 when free, 1 when taken, 2 when
/// taken and somebody sleeps (Drepper, "Futexes are tricky"). Not recursive, and never held while a task suspends or is
/// resumed.
@safe
package struct FutexLock: ~Copyable, @unchecked Sendable {
    @usableFromInline let word: UnsafeMutablePointer<Atomic<UInt32>>

    package init() {
        unsafe word = .allocate(capacity: 1)
        unsafe word.initialize(to: Atomic(0))
    }

    deinit {
        unsafe word.deinitialize(count: 1)
        unsafe word.deallocate()
    }

    /// Takes the lock; blocks the thread while another has it.
    @inlinable
    package func acquire() {
        if unsafe !word.pointee.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged { wait() }
    }

    /// Gives the lock back.
    @inlinable
    package func release() {
        if unsafe word.pointee.exchange(0, ordering: .releasing) == 2 { wake() }
    }

    @usableFromInline
    func wait() {
        while unsafe word.pointee.exchange(2, ordering: .acquiring) != 0 {
            unsafe casyncio_futex_wait(UnsafeMutableRawPointer(word).assumingMemoryBound(to: UInt32.self), 2)
        }
    }

    @usableFromInline
    func wake() {
        unsafe casyncio_futex_wake(UnsafeMutableRawPointer(word).assumingMemoryBound(to: UInt32.self))
    }
}
