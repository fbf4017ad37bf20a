import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Testing

/// What tokio tests of `interval` and its `MissedTickBehavior`.
@Suite("An interval")
struct IntervalTests {
    /// What happens to a tick: when it was planned and when it came, in milliseconds from the start.
    struct Tick: Equatable, Sendable {
        let planned: Int
        let came: Int
    }

    /// Ticks on virtual time; after each one, that many milliseconds of work.
    static func ticks(_ setting: Setting, of interval: Interval, work: [Int]) async throws -> [Tick] {
        try await withVirtualTime(setting) { loop async throws in
            let start = loop.now
            var ticks: [Tick] = []
            for milliseconds in work {
                let planned = try await interval.tick()
                ticks.append(Tick(planned: start.milliseconds(to: planned), came: start.milliseconds(to: loop.now)))
                try await loop.sleep(for: .milliseconds(milliseconds))
            }
            return ticks
        }
    }

    static func onTime(_ times: Int...) -> [Tick] { times.map { Tick(planned: $0, came: $0) } }

    @Test("ticks at once, then every period", arguments: [Interval.Policy.burst, .delay, .skip], Setting.timeless)
    func atOnce(policy: Interval.Policy, setting: Setting) async throws {
        let interval = Interval(every: .milliseconds(100), policy: policy)
        #expect(
            try await Self.ticks(setting, of: interval, work: [0, 10, 99, 100, 0]) == Self.onTime(0, 100, 200, 300, 400)
        )
    }

    @Test(
        "ticks after a period, if that is wanted", arguments: [Interval.Policy.burst, .delay, .skip], Setting.timeless)
    func afterPeriod(policy: Interval.Policy, setting: Setting) async throws {
        let interval = Interval(every: .milliseconds(100), policy: policy, first: .afterPeriod)
        #expect(try await Self.ticks(setting, of: interval, work: [0, 50, 0]) == Self.onTime(100, 200, 300))
    }

    @Test("burst: missed ticks come one after the other until the plan is met", arguments: Setting.timeless)
    func burst(setting: Setting) async throws {
        let ticks = try await Self.ticks(setting, of: Interval(every: .milliseconds(100)), work: [350, 0, 0, 0, 0, 0])
        let expected = [(0, 0), (100, 350), (200, 350), (300, 350), (400, 400), (500, 500)]
        #expect(ticks == expected.map { Tick(planned: $0.0, came: $0.1) })
    }

    @Test("delay: after a late tick the plan moves", arguments: Setting.timeless)
    func delay(setting: Setting) async throws {
        let interval = Interval(every: .milliseconds(100), policy: .delay)
        let ticks = try await Self.ticks(setting, of: interval, work: [350, 0, 0, 130, 0, 0])
        let expected = [(0, 0), (100, 350), (450, 450), (550, 550), (650, 680), (780, 780)]
        #expect(ticks == expected.map { Tick(planned: $0.0, came: $0.1) })
    }

    @Test("delay: a tick that is late by a breath does not move the plan", arguments: Setting.timeless)
    func delayTolerates(setting: Setting) async throws {
        let interval = Interval(every: .milliseconds(100), policy: .delay)
        let ticks = try await Self.ticks(setting, of: interval, work: [105, 0, 0])
        let expected = [(0, 0), (100, 105), (200, 200)]
        #expect(ticks == expected.map { Tick(planned: $0.0, came: $0.1) })
    }

    @Test("skip: missed ticks are left out, and the next lies on the plan", arguments: Setting.timeless)
    func skip(setting: Setting) async throws {
        let interval = Interval(every: .milliseconds(100), policy: .skip)
        let ticks = try await Self.ticks(setting, of: interval, work: [350, 0, 0, 130, 0, 0])
        let expected = [(0, 0), (100, 350), (400, 400), (500, 500), (600, 630), (700, 700)]
        #expect(ticks == expected.map { Tick(planned: $0.0, came: $0.1) })
    }

    @Test("skip: at a planned instant exactly, the next is the one after it", arguments: Setting.timeless)
    func skipExactly(setting: Setting) async throws {
        let interval = Interval(every: .milliseconds(100), policy: .skip)
        let ticks = try await Self.ticks(setting, of: interval, work: [300, 0, 0])
        let expected = [(0, 0), (100, 300), (400, 400)]
        #expect(ticks == expected.map { Tick(planned: $0.0, came: $0.1) })
    }

    @Test("an hour of ticks does not drift", arguments: [Interval.Policy.burst, .skip], Setting.timeless)
    func noDrift(policy: Interval.Policy, setting: Setting) async throws {
        var random = Randomness()
        let interval = Interval(every: .milliseconds(7), policy: policy)
        let work = (0..<2000).map { _ in Int.random(in: 0...10, using: &random) }
        let ticks = try await Self.ticks(setting, of: interval, work: work)
        let note = random.note
        #expect(ticks.allSatisfy { $0.planned % 7 == 0 }, "\(note)")
        if policy == .burst { #expect(ticks.map(\.planned) == (0..<2000).map { $0 * 7 }, "\(note)") }
        #expect(zip(ticks, ticks.dropFirst()).allSatisfy { $0.planned < $1.planned }, "\(note)")
    }

    @Test("the plan begins with the first tick, not with the making", arguments: Setting.timeless)
    func beginsLate(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let interval = Interval(every: .seconds(1))
            try await loop.sleep(for: .seconds(10))
            let start = loop.now
            #expect(try await interval.tick() == start)
            #expect(try await interval.tick() == start.advanced(by: .seconds(1)))
        }
    }

    @Test("iterated, it ticks until its task is cancelled", arguments: Setting.timeless)
    func iterated(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let start = loop.now
            let ticks = Log<Int>()
            let ticker = loop.spawn {
                for try await tick in Interval(every: .seconds(1)) { ticks.add(start.milliseconds(to: tick)) }
                return true
            }
            try await loop.sleep(for: .milliseconds(2500))
            ticker.cancel()
            #expect(await ticker.queueEnding == .cancelled)
            #expect(ticks.all == [0, 1000, 2000])
        }
    }

    @Test("a tick that was waited for by a cancelled task is still to come", arguments: Setting.timeless)
    func cancelled(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let interval = Interval(every: .seconds(1))
            let start = try await interval.tick()
            let ticker = loop.spawn { try await interval.tick() }
            try await loop.sleep(for: .milliseconds(500))
            ticker.cancel()
            #expect(await ticker.queueEnding == .cancelled)
            #expect(try await interval.tick() == start.advanced(by: .seconds(1)))
            let late = loop.spawn { try await interval.tick() }
            late.cancel()
            #expect(await late.queueEnding == .cancelled)
            #expect(try await interval.tick() == start.advanced(by: .seconds(2)))
        }
    }

    @Test("reset begins the plan anew, also for a task that waits", arguments: Setting.timeless)
    func reset(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let interval = Interval(every: .seconds(1))
            let start = try await interval.tick()
            let ticker = loop.spawn {
                let planned = try await interval.tick()
                return [start.milliseconds(to: planned), start.milliseconds(to: loop.now)]
            }
            try await loop.sleep(for: .milliseconds(600))
            interval.reset()
            #expect(try await ticker.value == [1600, 1600])
            #expect(start.milliseconds(to: try await interval.tick()) == 2600)
            try await loop.sleep(for: .seconds(10))
            interval.reset()
            #expect(start.milliseconds(to: try await interval.tick()) == 13600)
        }
    }

    @Test("reset before the first tick makes it come a period later", arguments: Setting.timeless)
    func resetFirst(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let interval = Interval(every: .seconds(1))
            let start = loop.now
            interval.reset()
            #expect(start.milliseconds(to: try await interval.tick()) == 1000)
        }
    }

    @Test("tasks that share an interval share its ticks", arguments: Setting.timeless)
    func shared(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let interval = Interval(every: .seconds(1))
            let start = loop.now
            let tickers = (0..<3).map { _ in
                loop.spawn { [try await interval.tick(), try await interval.tick()].map(start.milliseconds(to:)) }
            }
            var all: [Int] = []
            for ticker in tickers { all += try await ticker.value }
            #expect(all.sorted() == [0, 1000, 2000, 3000, 4000, 5000])
        }
    }

    @Test("missed ticks of a burst let others run in between", arguments: Setting.timeless)
    func burstTakesTurns(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let interval = Interval(every: .nanoseconds(1))
            _ = try await interval.tick()
            try await loop.sleep(for: .seconds(1))
            let stop = Gate()
            let ticker = loop.spawn { while !stop.isOpen { _ = try await interval.tick() } }
            loop.spawn { stop.open() }
            try await ticker.value
        }
    }

    @Test("a period that never ends ticks once", arguments: [Interval.Policy.burst, .delay, .skip], Setting.timeless)
    func endless(policy: Interval.Policy, setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            for period in [Duration.seconds(Int64.max), .nanoseconds(Int64.max)] {
                let interval = Interval(every: period, policy: policy)
                let start = loop.now
                #expect(try await interval.tick() == start)
                try await loop.sleep(for: .seconds(86_400))
                let ticker = loop.spawn { try await interval.tick() }
                try await loop.sleep(for: .seconds(86_400 * 365))
                ticker.cancel()
                #expect(await ticker.queueEnding == .cancelled)
            }
        }
    }

    @Test(
        "a period of less than a nanosecond is one of a nanosecond", arguments: [Interval.Policy.delay, .skip],
        Setting.timeless)
    func tiny(policy: Interval.Policy, setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let interval = Interval(every: Duration(secondsComponent: 0, attosecondsComponent: 1), policy: policy)
            let start = try await interval.tick()
            #expect(try await interval.tick() == start.advanced(by: .nanoseconds(1)))
            try await loop.sleep(for: .seconds(1))
            _ = try await interval.tick()
            #expect(try await interval.tick() == loop.now)
        }
    }

    @Test("without a loop, it says that one is missing")
    func noLoop() async throws {
        let error = await #expect(throws: EventLoopError.self) {
            try await Interval(every: .seconds(1)).tick()
        }
        guard case .noLoop = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test("a period of nothing, or less, is a mistake that says so", arguments: [0, -1])
    func noPeriod(milliseconds: Int) async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            [milliseconds] in _ = Interval(every: .milliseconds(milliseconds))
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("the time between two ticks must be more than zero"))
    }
}

extension Instant {
    /// Whole milliseconds from here to there.
    fileprivate func milliseconds(to other: Instant) -> Int {
        Int((other.nanoseconds - nanoseconds) / 1_000_000)
    }
}
