package import AsyncIOKernel

/// Who is told of every loop of the process: the inspection, where there is one.
package protocol LoopObserver: AnyObject, Sendable {
    /// A loop begins to run, on its thread. Called again when a ``EventLoop/Runner`` runs its next body.
    func loopRuns(_ loop: EventLoop)
    /// The loop has left its thread: what happens there now is none of its doing. It may run again, or end.
    func loopRests(_ loop: EventLoop)
    /// A loop has come to its end: nothing runs on it any more.
    func loopEnds(_ loop: EventLoop)
    /// The process is about to end by a signal, of which exit(3) hears nothing.
    func processEnds()
}

extension EventLoop {
    /// Who is told of every loop that begins to run from now on. Set once, and for good.
    package static var observer: (any LoopObserver)? {
        get { observers.withLock { $0 } }
        set { observers.withLock { $0 = newValue } }
    }

    private static let observers = Locked<(any LoopObserver)?>(nil)

    /// Who is told of the loop's steps, and of its jobs. On the loop's thread.
    package var instrument: (any Instrument)? {
        get { core.instrument }
        set { core.instrument = newValue }
    }

    /// Who sees the tasks behind the loop's jobs. On the loop's thread.
    package var watcher: (any JobWatcher)? {
        get { core.watcher }
        set { core.watcher = newValue }
    }

    /// The jobs that are ready, with their tasks, oldest first, and when they were queued: the distant past if nobody
    /// watched then. On the loop's thread, or while the loop is away from it.
    package var queuedJobs: [QueuedJob] {
        var jobs: [QueuedJob] = []
        core.ready.forEach { word, instant in
            guard word.kind != .call, let job = unsafe word.pointer else { return }
            unsafe jobs.append(QueuedJob(job: job, task: word.taskID, queued: instant))
        }
        return jobs
    }

    /// A job that is ready.
    @safe
    package struct QueuedJob {
        package let job: UnsafeMutableRawPointer
        package let task: TaskID
        package let queued: Instant
    }

    /// Whether its time is a test's, and goes by what happens on it: a callback from outside would change that.
    package var hasOwnTime: Bool { core.hasOwnTime }

    /// Whether an operation has not ended. On the loop's thread.
    package func isUnderWay(_ operation: OperationID) -> Bool { core.operations.contains(operation.token) }

    /// When an operation that is a timer is due; nil if it is none, or has ended. On the loop's thread.
    package func due(_ operation: OperationID) -> Instant? {
        core.operations.timer(of: operation.token).flatMap { core.timers.deadline(of: $0) }
    }
}
