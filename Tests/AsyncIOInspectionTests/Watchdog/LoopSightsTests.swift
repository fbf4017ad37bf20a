import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Testing

@testable import AsyncIOInspection

/// The watchdog's decisions, look by look, on a clock of the test's own.
@Suite("What a watchdog sees")
struct LoopSightsTests {
    private struct World {
        var now = Instant.monotonicNow
        let cell: WatchCell
        var sights: LoopSights
        var due: [(at: Duration, report: Int)] = []
        /// Whether reports are taken.
        var takes = true
        let start: Instant

        init(_ loop: EventLoop) {
            cell = WatchCell(loop, number: 1, thread: 0, watchdog: LoopWatchdog())
            start = now
            sights = LoopSights(limit: .milliseconds(100), period: .milliseconds(25), now: now)
        }

        mutating func look(after duration: Duration) -> Bool {
            now = now.advanced(by: duration)
            var found: [Int] = []
            let isAwake = sights.look(at: [cell], now: now) { [takes] _, _, sight in
                if takes { found.append(sight.reports) }
                return takes
            }
            due += found.map { (start.duration(to: now), $0) }
            return isAwake
        }

        mutating func expectAwake(after duration: Duration) {
            let isAwake = look(after: duration)
            #expect(isAwake)
        }
    }

    private func inWorld(_ body: @escaping @Sendable (inout World) -> Void) async throws {
        try await Guest.run { loop in
            var world = World(loop)
            body(&world)
        }
    }

    @Test("a loop that goes on is never overdue, however busy")
    func healthy() async throws {
        try await inWorld { world in
            for step in 0..<10_000 {
                world.cell.jobRuns(UInt64(step % 7), 0, at: world.now)
                world.expectAwake(after: .milliseconds(24))
                if step.isMultiple(of: 3) { world.cell.loopGoesOn(at: world.now) }
                world.expectAwake(after: .milliseconds(24))
                world.cell.callbackRuns(at: world.now)
            }
            #expect(world.due.isEmpty)
        }
    }

    @Test("a run is overdue at the limit, after a second, ten seconds, and every minute")
    func stages() async throws {
        try await inWorld { world in
            world.cell.jobRuns(5, 0, at: world.now)
            while world.now < world.start.advanced(by: .seconds(200)) { _ = world.look(after: .milliseconds(25)) }
            #expect(world.due.map(\.report) == [1, 2, 3, 4, 5, 6])
            let wanted: [Duration] = [
                .milliseconds(100), .seconds(1), .seconds(10), .seconds(60), .seconds(120), .seconds(180),
            ]
            for (due, wanted) in zip(world.due, wanted) { #expect(due.at == wanted) }
            // The next one is a new run.
            world.cell.jobRuns(5, 0, at: world.now)
            for _ in 0..<5 { _ = world.look(after: .milliseconds(25)) }
            #expect(world.due.last?.report == 1)
        }
    }

    @Test("a run that was not told of is told of as soon as that may be, and as the first time")
    func refused() async throws {
        try await inWorld { world in
            world.takes = false
            world.cell.jobRuns(5, 0, at: world.now)
            while world.now < world.start.advanced(by: .milliseconds(300)) { _ = world.look(after: .milliseconds(25)) }
            world.takes = true
            for _ in 0..<4 { _ = world.look(after: .milliseconds(25)) }
            #expect(world.due.map(\.report) == [1])
            #expect(world.due.first?.at == .milliseconds(325))
        }
    }

    @Test("a loop that rests is never overdue, and not awake")
    func rest() async throws {
        try await inWorld { world in
            world.cell.rests()
            for _ in 0..<100 {
                let isAwake = world.look(after: .milliseconds(25))
                #expect(!isAwake)
            }
            #expect(world.due.isEmpty)
        }
    }

    @Test("time in which the watchdog itself did not run does not count")
    func stoppedMachine() async throws {
        try await inWorld { world in
            world.cell.jobRuns(5, 0, at: world.now)
            world.expectAwake(after: .milliseconds(1))
            world.expectAwake(after: .seconds(3600))
            #expect(world.due.isEmpty)
            for _ in 0..<2 { _ = world.look(after: .milliseconds(25)) }
            #expect(world.due.map(\.report) == [1])
        }
    }
}

@Suite("A histogram of durations")
struct HistogramTests {
    @Test("every number belongs to the step that names it, and steps follow each other")
    func steps() {
        var next: Int64 = 0
        for step in 0..<248 {
            let numbers = Histogram.numbers(of: step)
            #expect(numbers.lowerBound == next)
            #expect(Histogram.step(of: numbers.lowerBound) == step)
            #expect(Histogram.step(of: numbers.upperBound) == step)
            // Right within a quarter.
            #expect(numbers.upperBound - numbers.lowerBound <= numbers.lowerBound / 4)
            if numbers.upperBound == .max { return }
            next = numbers.upperBound + 1
        }
        Issue.record("the largest number has no step")
    }

    @Test("quantiles are right within a quarter, the largest exactly", arguments: [3, 17, 1_000, 100_000] as [Int64])
    func quantiles(count: Int64) {
        let histogram = Histogram()
        for number in 1...count { histogram.add(number * 37) }
        let found = histogram.distribution
        #expect(found.count == UInt64(count))
        #expect(found.maximum == .nanoseconds(count * 37))
        #expect(found.mean == .nanoseconds((count + 1) * 37 / 2))
        func isNear(_ found: Duration, _ wanted: Int64) -> Bool {
            let ratio = Double(found.saturatedNanoseconds) / Double(wanted)
            return ratio > 0.75 && ratio < 1.26
        }
        #expect(isNear(found.median, (count + 1) / 2 * 37))
        #expect(isNear(found.percentile99, (count * 99 + 99) / 100 * 37))
    }

    @Test("nothing added, nothing found")
    func empty() {
        #expect(Histogram().distribution.count == 0)
        #expect(Histogram().distribution.percentile99 == .zero)
    }

    @Test("a loop tells of its jobs", arguments: Drivers.available)
    func loop(driver: DriverChoice) async throws {
        try await Guest.run(.guest(driver)) { loop in
            let inspector = LoopInspector(loop, number: 1, watchdog: LoopWatchdog())
            for _ in 0..<50 { await EventLoop.yield() }
            #expect(inspector.cell.running.distribution.count >= 49)
            #expect(inspector.cell.readyToRun.distribution.count >= 49)
            #expect(inspector.cell.running.distribution.maximum > .zero)
            inspector.end()
        }
    }
}
