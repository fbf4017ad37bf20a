import CAsyncIO
public import Synchronization

/// A mutual exclusion for a few instructions at a time: one atomic word, and futex(2) for those who find it taken.
///
/// As `Synchronization.Mutex`, but its atomic operations are compiled into this package, so that the thread sanitizer
/// sees them, and taking and giving back are two calls. The word is 0 when free, 1 when taken, 2 when taken and
/// somebody sleeps (Drepper, "Futexes are tricky"). Not recursive, and never held while a task suspends or is resumed.
///
/// It is not handed over in turn: whoever comes first when it is free has it. Where what it guards takes a few
/// instructions, and a visit as many again outside of it, that keeps nobody away for long: three threads that flood a
/// queue leave the loop its timers, to which a test holds them. What the loop guards takes system calls and grows
/// arrays; there a lock without turns did keep the loop away, and `Locked`, which has turns, stands one floor above.
///
/// Usable from inline, since other modules' calls of a type that is only `package` are never inlined.
@usableFromInline
package struct FutexLock: ~Copyable, Sendable {
    @usableFromInline let word = Atomic<UInt32>(0)

    @inlinable
    package init() {}

    /// Takes the lock; blocks the thread while another has it.
    @inlinable
    @inline(__always)
    package func acquire() {
        if !word.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged { wait() }
    }

    /// Gives the lock back.
    @inlinable
    @inline(__always)
    package func release() {
        if word.exchange(0, ordering: .releasing) == 2 { wake() }
    }

    @usableFromInline
    func wait() {
        while word.exchange(2, ordering: .acquiring) != 0 {
            unsafe withAddress { unsafe casyncio_futex_wait($0, 2) }
        }
    }

    @usableFromInline
    func wake() {
        unsafe withAddress { unsafe casyncio_futex_wake($0) }
    }

    /// An atomic value cannot be copied or moved while it is borrowed: this is where it lives.
    private func withAddress(_ body: (UnsafeMutablePointer<UInt32>) -> Void) {
        unsafe withUnsafePointer(to: word) { pointer in
            unsafe body(UnsafeMutableRawPointer(mutating: pointer).assumingMemoryBound(to: UInt32.self))
        }
    }
}
