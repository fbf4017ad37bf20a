import CAsyncIO

/// A suspended task that waits for one event which is not an operation: an end, a result, a piece of blocking work.
///
/// Resumed exactly once, from whatever thread, and never under a lock: the task may run at once and want the same lock.
@safe
package struct Waiter: Sendable {
    @safe
    private enum Way {
        /// A job of the loop's, which it holds: see Suspension.swift.
        case word(ReadyWord, Unmanaged<EventLoop>)
        case continuation(UnsafeContinuation<Void, Never>)
    }

    private let way: Way

    /// Suspends the calling task. The closure keeps the waiter, or returns false if there is nothing to wait for. The
    /// errand is for the task tree, and is made for those who look.
    @inlinable
    @inline(__always)
    package static func suspend(
        for errand: @autoclosure () -> any WaitingPlace, _ keep: (Waiter) -> Bool
    ) async {
        EventLoop.taskWaits(at: errand())
        await suspend(keep)
        EventLoop.taskWaits(at: nil)
    }

    /// The same without an errand.
    @inlinable
    @inline(__always)
    package static func suspend(_ keep: (Waiter) -> Bool) async {
        guard let waiter = ofRunningTask() else { return await waitByContinuation(keep) }
        if keep(waiter) { await suspendRunningTask() } else { waiter.isNotKept() }
    }

    /// The running task's, if it waits without a continuation. Has to be woken, or not kept.
    @usableFromInline
    static func ofRunningTask() -> Waiter? {
        guard let pointer = unsafe casyncio_current_loop() else { return nil }
        let loop = unsafe Unmanaged<EventLoop>.fromOpaque(pointer)
        guard let word = unsafe loop._withUnsafeGuaranteedRef({ $0.core.suspendableWord }) else { return nil }
        // The task may outlive its loop, and whoever wakes it asks the loop where it goes on.
        return unsafe Waiter(way: .word(word, loop.retain()))
    }

    @usableFromInline
    @inline(never)
    static func waitByContinuation(_ keep: (Waiter) -> Bool) async {
        unsafe await withUnsafeContinuation { continuation in
            let waiter = unsafe Waiter(way: .continuation(continuation))
            if !keep(waiter) { waiter.wake() }
        }
    }

    @usableFromInline
    func isNotKept() {
        if case .word(_, let loop) = way { unsafe loop.release() }
    }

    /// Lets the task go on.
    package func wake() {
        switch way {
        case .word(let word, let loop):
            unsafe loop._withUnsafeGuaranteedRef { $0.wake(word) }
            unsafe loop.release()
        case .continuation(let continuation): unsafe continuation.resume()
        }
    }
}
