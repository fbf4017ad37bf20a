/// A suspended task that waits for one event which is not an operation: an end, a result, a piece of blocking work.
///
/// Resumed exactly once, and never under a lock: the task may run at once and want the same lock.
@safe
package struct Waiter: Sendable {
    private let continuation: UnsafeContinuation<Void, Never>

    /// Suspends the calling task. The closure keeps the waiter, or returns false if there is nothing to wait for. The
    /// errand is for the task tree, and is made for those who look.
    @inline(__always)
    package static func suspend(
        for errand: @autoclosure () -> any WaitingPlace, _ keep: (Waiter) -> Bool
    ) async {
        EventLoop.taskWaits(at: errand())
        unsafe await withUnsafeContinuation { continuation in
            let waiter = unsafe Waiter(continuation: continuation)
            guard !keep(waiter) else { return }
            EventLoop.taskWaits(at: nil)
            waiter.wake()
        }
        EventLoop.taskWaits(at: nil)
    }

    /// Lets the task go on.
    package func wake() { unsafe continuation.resume() }
}
