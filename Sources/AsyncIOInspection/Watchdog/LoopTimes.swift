import AsyncIOKernel
public import AsyncIOLoop

/// How a loop's time is shared out.
public struct LoopTimes: Codable, Sendable {
    /// How long jobs have waited in the ready queue before they ran: the loop's lag.
    public var readyToRun: Distribution
    /// How long jobs have run.
    public var runs: Distribution
}

extension Inspection {
    /// How long the jobs of a loop have waited for their turn, and run, since it has been inspected; nil if it is not.
    ///
    /// Does not suspend, and may be called from any thread, also while the loop is blocked.
    public static func statistics(of loop: EventLoop) -> LoopTimes? {
        guard let cell = ProcessInspector.shared.inspector(of: loop)?.cell else { return nil }
        return LoopTimes(readyToRun: cell.readyToRun.distribution, runs: cell.running.distribution)
    }
}
