import AsyncIOKernel
import CAsyncIOInspection

/// What a watchdog has seen of each loop, look by look. It decides who is overdue, and knows no thread and no clock.
struct LoopSights {
    /// A step of a loop's that it has been at for some looks.
    struct Sight {
        var sequence: UInt64
        /// The time in which the loop was seen to stand still.
        var observed = Duration.zero
        /// The processor time that its thread had used at the first look.
        var processorTime: Int64
        /// How often it has been reported.
        var reports = 0
    }

    let limit: Duration
    let period: Duration
    private var sights: [ObjectIdentifier: Sight] = [:]
    private var before: Instant

    init(limit: Duration, period: Duration, now: Instant) {
        self.limit = limit
        self.period = period
        before = now
    }

    /// Looks at the loops, and tells of each that is overdue; whoever does not take that is told again with the next
    /// look. False if all of them rest.
    mutating func look(
        at cells: [WatchCell], now: Instant, overdue: (WatchCell, WatchCell.Reading, Sight) -> Bool
    ) -> Bool {
        // A look that comes late says nothing of the time before it.
        let passed = min(before.duration(to: now), period * 2)
        before = now
        var someoneIsAwake = false
        var seen: [ObjectIdentifier: Sight] = [:]
        for cell in cells {
            guard let reading = cell.reading else {
                someoneIsAwake = true
                continue
            }
            if reading.phase == .rests { continue }
            someoneIsAwake = true
            let key = ObjectIdentifier(cell)
            guard var sight = sights[key], sight.sequence == reading.sequence else {
                seen[key] = Sight(sequence: reading.sequence, processorTime: casyncio_thread_time(cell.thread))
                continue
            }
            sight.observed += passed
            if min(sight.observed + period, reading.since.duration(to: now)) >= due(sight.reports) {
                sight.reports += 1
                if !overdue(cell, reading, sight) { sight.reports -= 1 }
            }
            seen[key] = sight
        }
        sights = seen
        return someoneIsAwake
    }

    /// When a run is reported for the next time, after so many reports of it.
    private func due(_ reports: Int) -> Duration {
        switch reports {
        case 0: limit
        case 1: max(.seconds(1), limit * 2)
        case 2: max(.seconds(10), limit * 4)
        default: max(.seconds(60), limit * 8) * (reports - 2)
        }
    }
}
