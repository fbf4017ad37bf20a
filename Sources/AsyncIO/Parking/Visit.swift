import CAsyncIO

/// What every suspending call begins with, before it asks its machine.
enum Visit {
    /// Go on, as this task; without a task, as nobody.
    case mayGoOn(TaskID)
    /// The job has completed its share without suspending: it queues again first.
    case mustTakeTurns
    /// The task is cancelled: throw, and take nothing.
    case isCancelled

    @inline(__always)
    static func begin() -> Visit {
        // Before the cancellation: a task that tries again and again although it is cancelled must not keep the loop.
        if EventLoop.hasHadItsTurn { return .mustTakeTurns }
        guard let task = unsafe swift_task_getCurrent() else { return .mayGoOn(TaskID(0)) }
        if unsafe swift_task_isCancelled(task) { return .isCancelled }
        return .mayGoOn(unsafe TaskID(swift_task_getJobTaskId(task)))
    }

    /// What every slow half begins with: a job that has had its turn queues again, and may be cancelled afterwards.
    @inline(__always)
    static func takeTurns() async throws {
        guard EventLoop.hasHadItsTurn else { return }
        await EventLoop.yield()
        try Task.checkCancellation()
    }
}
