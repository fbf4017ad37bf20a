import AsyncIOKernel

/// How often a watchdog may speak: on a machine that is too busy every run is a long one, and to tell of each would
/// keep it busier. Those that are not told of are counted.
struct ReportPace {
    /// A stretch in which a loop is kept: by the step that it is at.
    struct Run: Hashable {
        let loop: ObjectIdentifier
        let step: UInt64
    }

    /// The least time between two reports.
    let interval: Duration
    private var last = Instant.distantPast
    private var untold = 0
    /// The runs that were refused last, each of which is counted once.
    private var refused: [ObjectIdentifier: UInt64] = [:]

    init(interval: Duration) { self.interval = interval }

    /// How many other runs were not told of since the last report, if this one may be told now; nil if it is too soon.
    mutating func mayTell(_ run: Run, at now: Instant) -> Int? {
        guard last == .distantPast || last.duration(to: now) >= interval else {
            if refused.updateValue(run.step, forKey: run.loop) != run.step { untold += 1 }
            return nil
        }
        // It has been refused itself, and goes on.
        if refused.removeValue(forKey: run.loop) == run.step { untold -= 1 }
        defer { untold = 0 }
        refused = [:]
        return max(untold, 0)
    }

    /// A report is out.
    mutating func hasTold(at now: Instant) { last = now }
}
