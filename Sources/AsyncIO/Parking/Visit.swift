import CAsyncIO

/// What every suspending call begins with, before it asks its machine.
enum Visit {
    /// Go on.
    case mayGoOn
    /// The job has completed its share without suspending: it queues again first.
    case mustTakeTurns
    /// The task is cancelled: throw, and take nothing.
    case isCancelled

    /// As ``EventLoop/hasHadItsTurn``, in place.
    @inline(__always)
    private static var hasHadItsTurn: Bool { !casyncio_spend_share() }

    @inline(__always)
    static func begin() -> Visit {
        // Before the cancellation: a task that tries again and again although it is cancelled must not keep the loop.
        if hasHadItsTurn { return .mustTakeTurns }
        guard let task = unsafe swift_task_getCurrent() else { return .mayGoOn }
        return unsafe casyncio_task_is_cancelled(task) ? .isCancelled : .mayGoOn
    }

    /// What a half that never suspends begins with: false if the other half has to take turns first. Throws
    /// `CancellationError`.
    @inline(__always)
    static func mayGoOnNow() throws -> Bool {
        switch begin() {
        case .mayGoOn: return true
        case .mustTakeTurns: return false
        case .isCancelled: throw CancellationError()
        }
    }

    /// As ``begin()``, and which task it is.
    @inline(__always)
    static func begin(as task: inout TaskID) -> Visit {
        if hasHadItsTurn { return .mustTakeTurns }
        guard let current = unsafe swift_task_getCurrent() else { return .mayGoOn }
        unsafe task = TaskID(swift_task_getJobTaskId(current))
        return unsafe casyncio_task_is_cancelled(current) ? .isCancelled : .mayGoOn
    }

    /// What calls without a fast half begin with: turns first, then the cancellation.
    @inline(__always)
    static func enter() async throws {
        if hasHadItsTurn { await EventLoop.yield() }
        try Task.checkCancellation()
    }

    /// What every slow half begins with: a job that has had its turn queues again, and may be cancelled afterwards.
    @inline(__always)
    static func takeTurns() async throws {
        guard hasHadItsTurn else { return }
        await EventLoop.yield()
        try Task.checkCancellation()
    }
}
