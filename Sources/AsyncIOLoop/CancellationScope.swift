import CAsyncIO

/// Hears of a task's cancellation for all that it waits for on one loop, one thing after the other, while some code of
/// its runs.
///
/// A record of the runtime's for each wait costs a fifth of what the loop itself does for a message. Code that waits
/// all the time, as a connection's handler, has one for its life, and each wait only says here what it is for.
@safe
package final class CancellationScope: @unchecked Sendable {
    private let loop: EventLoop
    /// What the task waits for, or has waited for last. On the loop's thread.
    private var token: Token?

    private init(_ loop: EventLoop) { self.loop = loop }

    /// The running task is in a scope of this loop from here on, until ``end(_:)`` in the same frame: its records are
    /// a stack, together with the frames. Nil where waits do not look for it.
    package static func begin(on loop: EventLoop) -> Opened? {
        guard loop.core.suspendsTasks else { return nil }
        let scope = CancellationScope(loop)
        let record = unsafe casyncio_add_cancellation_handler(
            CASYNCIO_WAIT_IN_SCOPE,
            { context in
                guard let context = unsafe context else { return }
                unsafe Unmanaged<CancellationScope>.fromOpaque(context)._withUnsafeGuaranteedRef { $0.cancelled() }
            }, Unmanaged.passUnretained(scope).toOpaque())
        return unsafe Opened(scope: scope, record: record)
    }

    /// The code is over.
    package static func end(_ opened: Opened?) {
        guard let opened else { return }
        unsafe casyncio_remove_cancellation_handler(opened.record)
        withExtendedLifetime(opened.scope) {}
    }

    /// A scope that its task is in.
    @safe
    package struct Opened: @unchecked Sendable {
        fileprivate let scope: CancellationScope
        fileprivate let record: UnsafeMutableRawPointer?
    }

    /// Whether the running task is in a scope of the loop, which hears of its cancellation from here on, instead of a
    /// record of the operation's own. On the loop's thread.
    @inline(__always)
    static func hears(_ token: Token, of task: UnsafeMutableRawPointer, on loop: EventLoop) -> Bool {
        guard let pointer = unsafe casyncio_cancellation_scope(task) else { return false }
        let isHeard = unsafe Unmanaged<CancellationScope>.fromOpaque(pointer)._withUnsafeGuaranteedRef { scope in
            guard scope.loop === loop else { return false }
            scope.token = token
            return true
        }
        // What was cancelled since the operation began may have been told to the wait before.
        if isHeard, unsafe casyncio_task_is_cancelled(task) { loop.core.cancel(token) }
        return isHeard
    }

    /// By the runtime, on whatever thread cancels.
    private func cancelled() {
        if loop.isCurrent { cancelWait() } else { loop.post(.cancelInScope(self)) }
    }

    /// On the loop's thread.
    func cancelWait() {
        if let token { loop.core.cancel(token) }
    }
}
