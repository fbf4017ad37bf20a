import AsyncIO
import Synchronization

extension Work {
    /// What timers cost.
    static let timers = [
        Work("timers", "set, and taken back", count: 300_000, most: 10_000_000) { count in
            let loop = try EventLoop.here()
            var calls: [ScheduledCall] = []
            calls.reserveCapacity(count)
            let stopwatch = Stopwatch()
            let start = loop.now.advanced(by: .seconds(60))
            for number in 0..<count { calls.append(loop.callAt(scatter(number, over: 60, from: start)) {}) }
            let inserted = stopwatch.wall
            for call in calls { call.cancel() }
            let measurement = stopwatch.stop(after: count)
            return measurement.adding("insert_ns", inserted).adding("cancel_ns", measurement.wall - inserted)
        },
        Work("timers-fire", "fires, 1 to 2 s from now", count: 300_000, most: 10_000_000, warmUp: 0, pace: .sleeping) {
            count in
            let loop = try EventLoop.here()
            let firing = Firing(count, on: loop)
            let measurement = try await Measurement.of(count) {
                let start = loop.now.advanced(by: .seconds(1))
                for number in 0..<count { firing.setTimer(at: scatter(number, over: 1, from: start)) }
                try await firing.isOver.wait()
            }
            return measurement.adding("late_ns", firing.late).adding("early", firing.early)
        },
        Work("sleepers", "asleep for 3 s with all others", count: 100_000, most: 10_000_000, warmUp: 0, pace: .sleeping)
        {
            count in
            let loop = try EventLoop.here()
            let before = Memory.peak
            return await Measurement.of(count) {
                await withDiscardingTaskGroup { group in
                    for _ in 0..<count { group.addTask { try? await loop.sleep(for: .seconds(3)) } }
                }
            }.addingBytesEach(since: before)
        },
        Work("task-sleepers", "the same by Task.sleep", count: 100_000, most: 10_000_000, warmUp: 0, pace: .sleeping) {
            count in
            let before = Memory.peak
            return await Measurement.of(count) {
                await withDiscardingTaskGroup { group in
                    for _ in 0..<count { group.addTask { try? await Task.sleep(for: .seconds(3)) } }
                }
            }.addingBytesEach(since: before)
        },
    ]

    /// Deadlines in no order but evenly over some seconds, the same each time: by Knuth's multiplicative hash.
    private static func scatter(_ number: Int, over seconds: UInt64, from start: Instant) -> Instant {
        let part = UInt64(UInt32(truncatingIfNeeded: number &* 2_654_435_761)) << 32
        let offset = (seconds * 1_000_000_000).multipliedFullWidth(by: part).high
        return Instant(nanoseconds: start.nanoseconds + Int64(offset))
    }
}

/// Timers, until all have fired.
private final class Firing: Sendable {
    let isOver = AsyncEvent(name: "all have fired")
    private let loop: EventLoop
    private let count: Int
    private let fired = Atomic(0)
    private let tooEarly = Atomic(0)
    private let lateness = Atomic(0)

    init(_ count: Int, on loop: EventLoop) {
        self.loop = loop
        self.count = count
    }

    /// How many fired before their time.
    var early: Int { tooEarly.load(ordering: .relaxed) }
    /// How long after the last one's time all had fired, in nanoseconds.
    var late: Int { lateness.load(ordering: .relaxed) }

    func setTimer(at due: Instant) {
        loop.callAt(due) { self.fire(due) }
    }

    private func fire(_ due: Instant) {
        let late = due.duration(to: loop.now)
        if late < .zero { tooEarly.add(1, ordering: .relaxed) }
        guard fired.add(1, ordering: .relaxed).newValue == count else { return }
        // Timers fire in the order of their deadlines: this is the last one's.
        lateness.store(Int(late / .nanoseconds(1)), ordering: .relaxed)
        isOver.set()
    }
}
