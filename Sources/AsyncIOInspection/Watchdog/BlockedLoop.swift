import AsyncIOKernel

/// A loop that has been kept from its other work for longer than the limit, and still is: what the watchdog reports
/// while it happens.
public struct BlockedLoop: Error, Sendable, CustomStringConvertible {
    /// The loop's name.
    public var loop: String
    /// Its number, as ``LoopView/number``.
    public var number: Int
    /// Who keeps it.
    public var culprit: Culprit
    /// For how long, up to now.
    public var duration: Duration
    /// What its thread does meanwhile.
    public var activity: Activity
    /// The processor time that its thread has used while the watchdog looked.
    public var processorTime: Duration
    /// For how long the watchdog has looked.
    public var observed: Duration
    /// How often the same task was reported before, for other runs.
    public var earlierRuns: Int
    /// Which report of this run it is, from 1: there are more after a second, ten seconds, and every minute.
    public var report: Int
    /// How many other runs were not reported since the last report, which had been made too recently:
    /// ``Inspection/WatchdogOptions/leastInterval``.
    public var untold: Int
    /// Where the thread is, innermost function first; then the asynchronous functions that await it.
    public var stack: [Frame]
    /// Why there is no stack, if there is none.
    public var note: String?

    /// Who keeps a loop.
    public enum Culprit: Sendable, Equatable {
        /// A task: its id, and its name if it has one.
        case task(UInt64, name: String?)
        /// A job of the runtime's own.
        case job
        /// A callback of ``EventLoop/callSoon(_:)`` or its siblings.
        case callback
        /// The loop itself, between its jobs.
        case loop
    }

    /// What a blocked loop's thread does.
    public enum Activity: Sendable, Equatable {
        /// It computes.
        case computes
        /// It waits in a system call, by its name.
        case waits(call: String)
        /// It could run, and other threads have the processors; or it runs and waits in turns.
        case lacksProcessor
        /// Nobody knows.
        case unknown
    }

    /// Who keeps the loop, as a title: `task "import" (#12)`.
    public var title: String {
        switch culprit {
        case .task(let id, let name?): "task \"\(name)\" (#\(id))"
        case .task(let id, nil): "task #\(id)"
        case .job: "a job of Swift's runtime"
        case .callback: "a callback"
        case .loop: "the loop's own work"
        }
    }

    /// What it is, what to do about it, and the stack: a line for each function.
    public var description: String {
        var text = "loop \(loop) has been blocked for \(duration.inWords) by \(title)"
        switch activity {
        case .computes: text += ", which computes (\(share) % of a processor)"
        case .waits(let call): text += ", which waits in \(call) (processor time \(processorTime.inWords))"
        case .lacksProcessor:
            text += ", which runs at \(share) % of a processor: the machine is busy, or it waits in turns"
        case .unknown: break
        }
        if earlierRuns > 0 { text += "; reported \(earlierRuns) times before" }
        if untold > 0 { text += "; \(untold) other runs since the last report were not told of" }
        text += ". Nothing else runs on the loop meanwhile. " + remedy
        if let note { text += "\n    no stack: \(note)" }
        for (index, frame) in stack.enumerated() { text += "\n    \(index) \(frame)" }
        return text
    }

    private var share: Int {
        guard observed > .zero else { return 0 }
        return min(Int((processorTime / observed * 100).rounded()), 100)
    }

    private var remedy: String {
        switch activity {
        case .computes:
            "Move the computation off the loop with EventLoop.offload, or let others go first by EventLoop.yield."
        case .waits: "Await an asynchronous call instead, or make the blocking one in EventLoop.offload."
        case .lacksProcessor, .unknown: "Blocking calls and long computations belong in EventLoop.offload."
        }
    }
}
