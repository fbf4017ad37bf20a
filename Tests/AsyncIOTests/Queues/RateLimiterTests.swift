import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Testing

@Suite("A rate limiter")
struct RateLimiterTests {
    /// When each of so many acquisitions in a row is granted, in milliseconds.
    static func grants(_ setting: Setting, _ limiter: RateLimiter, _ counts: [Int]) async throws -> [Int] {
        try await withVirtualTime(setting) { loop async throws in
            let start = loop.now
            var times: [Int] = []
            for count in counts {
                try await limiter.acquire(count)
                times.append(start.milliseconds(to: loop.now))
            }
            return times
        }
    }

    @Test("a full bucket first, then one permit after the other", arguments: Setting.timeless)
    func steady(setting: Setting) async throws {
        let limiter = RateLimiter(permits: 10, per: .seconds(1), burst: 3)
        #expect(
            try await Self.grants(setting, limiter, Array(repeating: 1, count: 7)) == [0, 0, 0, 100, 200, 300, 400])
    }

    @Test("without a burst of its own, as many at once as the rate says", arguments: Setting.timeless)
    func wholeRate(setting: Setting) async throws {
        let limiter = RateLimiter(permits: 2, per: .seconds(1))
        #expect(limiter.burst == 2)
        #expect(try await Self.grants(setting, limiter, [1, 1, 1, 2]) == [0, 0, 500, 1500])
    }

    @Test("several permits at a time take as long as one after the other", arguments: Setting.timeless)
    func several(setting: Setting) async throws {
        let limiter = RateLimiter(permits: 10, per: .seconds(1), burst: 5)
        #expect(try await Self.grants(setting, limiter, [5, 5, 1, 4]) == [0, 500, 600, 1000])
    }

    @Test("a quiet while fills the bucket to the burst, not beyond", arguments: Setting.timeless)
    func refills(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let limiter = RateLimiter(permits: 10, per: .seconds(1), burst: 3)
            for _ in 0..<3 { try await limiter.acquire() }
            #expect(limiter.available == 0)
            try await loop.sleep(for: .milliseconds(250))
            #expect(limiter.available == 2)
            try await loop.sleep(for: .seconds(3600))
            #expect(limiter.available == 3)
            #expect(try limiter.tryAcquire(3))
            #expect(try !limiter.tryAcquire(1))
        }
    }

    @Test("nothing is lost to rounding, however often somebody asks", arguments: Setting.timeless)
    func exact(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let limiter = RateLimiter(permits: 3, per: .seconds(1), burst: 1)
            try await limiter.acquire()
            let start = loop.now
            for number in 1...30 {
                // Looks at odd moments, which must not cost a part of a permit.
                for _ in 0..<7 {
                    _ = limiter.available
                    try await loop.sleep(for: .microseconds(1))
                }
                try await limiter.acquire()
                let expected = (Int64(number) * 1_000_000_000 + 2) / 3
                #expect(loop.now.nanoseconds - start.nanoseconds == expected)
            }
        }
    }

    @Test("tryAcquire takes what is there, and nothing while somebody waits", arguments: Setting.timeless)
    func tries(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let limiter = RateLimiter(permits: 10, per: .seconds(1), burst: 5)
            #expect(try limiter.tryAcquire(3))
            let waiter = loop.spawn {
                try await limiter.acquire(5); return true
            }
            await until { limiter.statistics.waiting == 1 }
            #expect(limiter.available == 2)
            #expect(try !limiter.tryAcquire(1))
            #expect(await waiter.queueEnding == .value(true))
            #expect(limiter.statistics.used == 8 && limiter.statistics.waits == 1)
        }
    }

    @Test("one who asks for many is not overtaken by those who ask for few", arguments: Setting.timeless)
    func fair(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let limiter = RateLimiter(permits: 10, per: .seconds(1), burst: 5)
            #expect(try limiter.tryAcquire(5))
            let start = loop.now
            let order = Log<String>()
            for (index, count) in [5, 1, 2, 1].enumerated() {
                loop.spawn {
                    try await limiter.acquire(count)
                    order.add("\(count) at \(start.milliseconds(to: loop.now))")
                }
                await until { limiter.statistics.waiting == index + 1 }
            }
            try await loop.sleep(for: .seconds(2))
            #expect(order.all == ["5 at 500", "1 at 600", "2 at 800", "1 at 900"])
        }
    }

    @Test(
        "when the first is cancelled, the next who can go on does so at once, or at its own time",
        arguments: Setting.timeless)
    func firstCancelled(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let limiter = RateLimiter(permits: 10, per: .seconds(1), burst: 5)
            #expect(try limiter.tryAcquire(5))
            let start = loop.now
            var waiters: [BackgroundTask<Int>] = []
            for (index, count) in [5, 2, 2].enumerated() {
                waiters.append(
                    loop.spawn {
                        try await limiter.acquire(count)
                        return start.milliseconds(to: loop.now)
                    })
                await until { limiter.statistics.waiting == index + 1 }
            }
            try await loop.sleep(for: .milliseconds(250))
            waiters[0].cancel()
            #expect(await waiters[0].queueEnding == .cancelled)
            #expect(await waiters[1].queueEnding == .value(250))
            #expect(await waiters[2].queueEnding == .value(400))
            #expect(limiter.statistics.used == 9)
        }
    }

    @Test(
        "when the first is cancelled on a loop that is busy, the next does not wait for that loop",
        arguments: Setting.onRealLoop)
    func firstCancelledElsewhere(setting: Setting) async throws {
        try await withLoop(setting) { loop async throws in
            let other = try LoopThread(options: .guest(name: "busy"))
            let limiter = RateLimiter(permits: 1000, per: .seconds(1), burst: 500)
            #expect(try limiter.tryAcquire(500))
            let first = other.loop.submit { try await limiter.acquire(500) }
            await until { limiter.statistics.waiting == 1 }
            let (isBusy, end) = (Gate(), Gate())
            defer { end.open() }
            other.loop.callSoon {
                isBusy.open()
                end.block()
            }
            await isBusy.pass()
            let second = loop.submit { try await limiter.acquire(2) }
            await until { limiter.statistics.waiting == 2 }
            first.cancel()
            try await withTimeout(.seconds(20)) { try await second.value }
            end.open()
            await #expect(throws: CancellationError.self) { try await first.value }
            await other.shutdown()
        }
    }

    @Test("the timer of the first who waits outlives its loop")
    func timerOutlivesLoop() async throws {
        let limiter = RateLimiter(permits: 4, per: .seconds(1), burst: 1)
        let done = Gate()
        try await Guest.run(.guest(grace: .milliseconds(1), errors: Errors())) { loop async throws in
            #expect(try limiter.tryAcquire())
            Task.detached(executorPreference: loop) {
                try await limiter.acquire()
                done.open()
            }
            await until { limiter.statistics.waiting == 1 }
        }
        try await Watchdog.watch("the timer of the first who waits outlives its loop") { await done.pass() }
        #expect(limiter.statistics.used == 2)
    }

    @Test(
        "a cancelled task uses up nothing: before, while it waits, and in the tick of its grant",
        arguments: Setting.timeless)
    func cancelled(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let limiter = RateLimiter(permits: 1, per: .seconds(1), burst: 1)
            let early = loop.spawn {
                try await limiter.acquire(); return true
            }
            early.cancel()
            #expect(await early.queueEnding == .cancelled)
            #expect(try limiter.tryAcquire())
            let waiter = loop.spawn {
                try await limiter.acquire(); return true
            }
            await until { limiter.statistics.waiting == 1 }
            // Its own timer was set later than this one, for the same instant.
            loop.callLater(.seconds(1)) { waiter.cancel() }
            let ending = await waiter.queueEnding
            #expect(limiter.statistics.used == (ending == .value(true) ? 2 : 1))
            let late = loop.spawn {
                try await limiter.acquire(); return true
            }
            await until { limiter.statistics.waiting == 1 || limiter.statistics.used > 1 }
            late.cancel()
            _ = await late.queueEnding
            #expect(limiter.waitingTasks.isEmpty)
        }
    }

    @Test("more permits than the burst are refused at once, with a remedy", arguments: Setting.timeless)
    func tooMany(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let limiter = RateLimiter(permits: 10, per: .seconds(1), burst: 5, name: "requests")
            let error = await #expect(throws: RateLimitError.self) { try await limiter.acquire(6) }
            #expect(error == RateLimitError(subject: "requests", requested: 6, burst: 5))
            #expect(error.map { "\($0)" }?.contains("its burst is 5; ask for fewer at a time") == true)
            #expect(throws: RateLimitError.self) { try limiter.tryAcquire(6) }
            #expect(limiter.available == 5 && "\(limiter)" == "RateLimiter(requests, 5 of 5 permits)")
        }
    }

    @Test("none, or less, is granted at once and changes nothing", arguments: Setting.timeless)
    func none(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let limiter = RateLimiter(permits: 1, per: .seconds(1))
            #expect(try limiter.tryAcquire())
            let start = loop.now
            try await limiter.acquire(0)
            try await limiter.acquire(-3)
            #expect(loop.now == start && limiter.statistics.used == 1)
        }
    }

    @Test("while tasks wait, one timer is set; when none waits any more, none", arguments: Setting.timeless)
    func oneTimer(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let limiter = RateLimiter(permits: 1, per: .seconds(1), burst: 1)
            #expect(try limiter.tryAcquire())
            let before = await loop.statistics.pendingTimers
            let waiters = (0..<20).map { _ in
                loop.spawn {
                    try await limiter.acquire(); return true
                }
            }
            await until { limiter.statistics.waiting == 20 }
            #expect(await loop.statistics.pendingTimers == before + 1)
            for waiter in waiters { waiter.cancel() }
            for waiter in waiters { #expect(await waiter.queueEnding == .cancelled) }
            #expect(await loop.statistics.pendingTimers == before)
        }
    }

    @Test("rates and times at the ends of their types do not overflow", arguments: Setting.timeless)
    func extremes(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let fast = RateLimiter(permits: .max, per: .nanoseconds(1))
            try await fast.acquire(.max)
            try await loop.sleep(for: .seconds(86_400 * 365 * 100))
            try await fast.acquire(.max)
            let slow = RateLimiter(permits: 1, per: .seconds(Int64.max), burst: .max)
            try await slow.acquire(.max)
            let waiter = loop.spawn {
                try await slow.acquire(.max); return true
            }
            try await loop.sleep(for: .seconds(86_400 * 365 * 100))
            waiter.cancel()
            #expect(await waiter.queueEnding == .cancelled)
        }
    }

    @Test("random acquisitions are granted at the instants that a simple reckoning gives", arguments: Setting.timeless)
    func model(setting: Setting) async throws {
        for seed in Randomness.seeds {
            var random = Randomness(seed: seed)
            let (permits, burst) = (Int.random(in: 1...50, using: &random), Int.random(in: 1...20, using: &random))
            let counts = (0..<300).map { _ in Int.random(in: 1...burst, using: &random) }
            // The bucket as a debt in seconds times permits: each grant waits until what is owed fits into the burst.
            var expected: [Int64] = []
            var taken: Int64 = 0
            for count in counts {
                taken += Int64(count)
                let missing = max(0, taken - Int64(burst)) * 1_000_000_000
                expected.append((missing + Int64(permits) - 1) / Int64(permits))
            }
            let limiter = RateLimiter(permits: permits, per: .seconds(1), burst: burst)
            let times = try await withVirtualTime(setting) { loop async throws in
                let start = loop.now.nanoseconds
                var times: [Int64] = []
                for count in counts {
                    try await limiter.acquire(count)
                    times.append(loop.now.nanoseconds - start)
                }
                return times
            }
            let note = random.note
            #expect(times == expected, "\(note)")
        }
    }

    @Test("tasks on several loops never get more than the rate allows", arguments: Setting.onRealLoop)
    func acrossThreads(setting: Setting) async throws {
        try await withLoop(setting) { loop async throws in
            let limiter = RateLimiter(permits: 20_000, per: .seconds(1), burst: 10)
            let threads = try (0..<3).map { _ in try LoopThread() }
            let start = loop.now
            let tasks = threads.map { thread in
                thread.loop.spawn { for number in 0..<200 { try await limiter.acquire(number % 3 + 1) } }
            }
            for task in tasks { try await task.value }
            let seconds = Double(loop.now.nanoseconds - start.nanoseconds) / 1e9
            let used = limiter.statistics.used
            #expect(used == 1197 && Double(used) <= 10 + seconds * 20_000 + 1)
            for thread in threads { await thread.shutdown() }
        }
    }

    @Test("without a loop, it says that one is missing")
    func noLoop() async throws {
        let limiter = RateLimiter(permits: 1, per: .seconds(1))
        await #expect(throws: EventLoopError.self) { try await limiter.acquire() }
        #expect(throws: EventLoopError.self) { try limiter.tryAcquire() }
    }

    @Test("a rate of nothing is a mistake that says so", arguments: [0, 1, 2])
    func noRate(which: Int) async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { [which] in
            switch which {
            case 0: _ = RateLimiter(permits: 0, per: .seconds(1))
            case 1: _ = RateLimiter(permits: 1, per: .zero)
            default: _ = RateLimiter(permits: 1, per: .seconds(1), burst: 0)
            }
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains(["allow at least one", "the time must be more than zero", "at least one"][which]))
    }
}

extension Instant {
    /// Whole milliseconds from here to there.
    fileprivate func milliseconds(to other: Instant) -> Int {
        Int((other.nanoseconds - nanoseconds) / 1_000_000)
    }
}
