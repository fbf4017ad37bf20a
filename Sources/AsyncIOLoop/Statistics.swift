import AsyncIOKernel
import Synchronization

/// What a loop has done so far, and what it has in hand.
public struct LoopStatistics: Sendable {
    /// The driver in use: `epoll`.
    public let driver: String
    /// Turns of the loop.
    public let ticks: UInt64
    /// Times that the driver was asked.
    public let polls: UInt64
    /// Jobs of tasks that were run.
    public let jobs: UInt64
    /// Callbacks that were run.
    public let calls: UInt64
    /// Operations that were started.
    public let operations: UInt64
    /// Operations among them that ended at once.
    public let immediateOperations: UInt64
    /// Operations that wait now.
    public let waitingOperations: Int
    /// Timers that were armed, have fired, were cancelled.
    public let timersArmed: UInt64, timersFired: UInt64, timersCancelled: UInt64
    /// Timers that are pending now.
    public let pendingTimers: Int
    /// Entries in the ready queue now.
    public let ready: Int
    /// Times that another thread woke the loop.
    public let wakeUps: UInt64
    /// Background tasks that have not ended.
    public let backgroundTasks: Int
    /// Bodies that were left behind by a timeout and have not ended: `withTimeout(_:orAbandon:_:)`.
    public let abandonedTasks: Int
    /// The blocking pool.
    public let blocking: BlockingStatistics
}

extension EventLoop {
    /// What the loop has done so far, and what it has in hand.
    ///
    /// Exact on the loop's thread. From elsewhere the loop is visited for it, which suspends; on a closed loop the last
    /// numbers are read where they lie.
    public var statistics: LoopStatistics {
        get async {
            if isCurrent || isClosed { return snapshot() }
            let visit = submit(name: "statistics") { self.snapshot() }
            return (try? await visit.value) ?? snapshot()
        }
    }

    func snapshot() -> LoopStatistics {
        let counters = core.counters
        return LoopStatistics(
            driver: driverName, ticks: counters.ticks, polls: counters.polls, jobs: counters.jobs,
            calls: counters.calls, operations: counters.operations, immediateOperations: counters.immediate,
            waitingOperations: core.operations.count, timersArmed: counters.timers,
            timersFired: counters.timersFired, timersCancelled: counters.timersCancelled,
            pendingTimers: core.timers.count, ready: core.ready.count, wakeUps: inbox.wakeUps,
            backgroundTasks: background.count, abandonedTasks: abandoned.load(ordering: .relaxed),
            blocking: pool.statistics)
    }
}

extension EventLoop {
    /// A timeout has left a task behind.
    package func taskWasAbandoned() { abandoned.add(1, ordering: .relaxed) }
    /// A task that a timeout had left behind has ended.
    package func abandonedTaskEnded() { abandoned.subtract(1, ordering: .relaxed) }
}
