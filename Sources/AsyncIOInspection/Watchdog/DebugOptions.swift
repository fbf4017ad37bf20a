extension Inspection {
    /// What debug mode looks for. It costs some tens of microseconds for each task and each open resource, and a visit
    /// to each loop twice a second.
    public struct DebugOptions: Sendable {
        /// Reports tasks that were cancelled, and have not ended for so long since; nil: none.
        public var ignoredCancellation: Duration?
        /// Reports queues at which somebody has waited for room for so long; nil: none.
        public var fullQueues: Duration?
        /// Reports every wait that takes longer; nil: none.
        public var longWaits: Duration?
        /// Reports streams, listeners, sockets, files and child processes that were let go without being closed.
        public var unclosedResources: Bool
        /// Who is told, on a thread of debug mode's own; nil: the loop's error handler.
        public var handler: (@Sendable (DebugNotice) -> Void)?

        /// Creates options.
        public init(
            ignoredCancellation: Duration? = .seconds(1), fullQueues: Duration? = .seconds(1),
            longWaits: Duration? = nil, unclosedResources: Bool = true,
            handler: (@Sendable (DebugNotice) -> Void)? = nil
        ) {
            self.ignoredCancellation = ignoredCancellation
            self.fullQueues = fullQueues
            self.longWaits = longWaits
            self.unclosedResources = unclosedResources
            self.handler = handler
        }
    }
}

/// What debug mode has found.
public struct DebugNotice: Error, Sendable, CustomStringConvertible {
    /// The kinds of findings.
    public enum Kind: String, Sendable {
        /// A task goes on although it was cancelled.
        case ignoredCancellation
        /// A queue stays full.
        case fullQueue
        /// A task waits for long.
        case longWait
        /// A resource was let go without being closed.
        case unclosedResource
    }

    /// The kind.
    public var kind: Kind
    /// What it is about: `task "import" (#12)`, `TCPStream(10.0.0.1:80)`.
    public var subject: String
    /// What was found, in words.
    public var finding: String
    /// What to do about it.
    public var remedy: String
    /// Where the thing was made, innermost function first; empty if nobody saw it.
    public var madeAt: [Frame]
    /// Where the task is; empty if it is no task, or runs.
    public var stack: [Frame]

    /// A line for each of what is known.
    public var description: String {
        var text = "\(finding). \(remedy)"
        if let place = madeAt.first { text += "\n    made by \(place)" }
        for frame in madeAt.dropFirst() { text += "\n        from \(frame)" }
        for (index, frame) in stack.enumerated() { text += "\n    \(index) \(frame)" }
        return text
    }
}
