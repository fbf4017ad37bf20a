import AsyncIOKernel

extension Inspection {
    /// How loops are watched for jobs that keep everything else from running.
    public struct WatchdogOptions: Sendable {
        /// Whether they are. The watchdog is a thread of its own, which sleeps while the loops do.
        public var isOn = true
        /// How long a job, a callback or the loop's own work may take before it is reported; nil: 100 milliseconds, and
        /// 50 in debug mode.
        public var limit: Duration?
        /// The least time between two reports, of whatever loops: on a machine that is too busy every run is a long
        /// one. The next report says how many there were meanwhile.
        public var leastInterval: Duration
        /// Who is told, on the watchdog's thread, while the loop is blocked; nil: the loop's error handler.
        public var handler: (@Sendable (BlockedLoop) -> Void)?

        /// Creates options.
        public init(
            isOn: Bool = true, limit: Duration? = nil, leastInterval: Duration = .seconds(1),
            handler: (@Sendable (BlockedLoop) -> Void)? = nil
        ) {
            self.isOn = isOn
            self.limit = limit
            self.leastInterval = leastInterval
            self.handler = handler
        }
    }
}
