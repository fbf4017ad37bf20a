import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import SystemPackage
import Testing

@testable import AsyncIO

/// D10: getaddrinfo(3) cannot be interrupted, and may take minutes.
@Suite("The resolver's threads", .timeLimit(.minutes(30)))
struct ResolverLaneTests {
    /// A system that answers when its gate opens.
    private final class SlowSystem: Sendable {
        let gate = Gate()
        let asked = Counter()
        let running = Counter()
        let peak = Condition(0)

        func lane(threads: Int) -> ResolverLane {
            ResolverLane(
                threads: threads,
                system: SystemNames { host, _ in
                    self.asked.add()
                    let now = self.running.add()
                    self.peak.withLock { $0 = max($0, now) }
                    self.gate.block()
                    self.running.add(-1)
                    return [.loopback(port: 0)]
                })
        }
    }

    @Test(
        "a system that never answers, asked 100 times, keeps no offloaded work waiting", arguments: Setting.all)
    func neverAnswers(setting: Setting) async throws {
        let system = SlowSystem()
        defer { system.gate.open() }
        let lane = system.lane(threads: 8)
        try await withLoop(setting) { loop async throws in
            let resolver = SystemResolver(timeout: nil, lane: lane)
            let askers = (0..<100).map { number in
                loop.submit { try await lookUp("host-\(number).test", resolver: resolver) }
            }
            await until { lane.statistics.running.count == 8 && lane.statistics.queued == 92 }
            // The best of three: what counts is that nothing waits for a thread, not what else the machine does.
            var best = Duration.seconds(1_000)
            for _ in 0..<3 {
                let start = loop.now
                #expect(try await loop.offload { 42 } == 42)
                best = min(best, start.duration(to: loop.now))
            }
            #expect(best < .milliseconds(50))
            #expect(await loop.statistics.blocking.running.isEmpty)
            for asker in askers { asker.cancel() }
            for asker in askers { await #expect(throws: CancellationError.self) { _ = try await asker.value } }
            // Those that queued have left; the others hold their threads.
            let statistics = lane.statistics
            #expect(statistics.queued == 0 && statistics.abandoned == 8 && statistics.threads == 8)
        }
        #expect(system.asked.value == 8)
    }

    @Test(
        "checks names itself, since not everybody asks by way of lookUp", arguments: [false, true], Setting.onRealLoop)
    func checksNames(caches: Bool, setting: Setting) async throws {
        let asked = Counter()
        let lane = ResolverLane(
            threads: 1,
            system: SystemNames(
                addresses: { _, _ in
                    asked.add()
                    return [.loopback(port: 0)]
                }, name: { _ in "10.0.0.1\0.example.org" }))
        let system = SystemResolver(lane: lane)
        let resolver: any Resolver = caches ? CachingResolver(system) : system
        try await withLoop(setting) { _ async throws in
            for name in ["10.0.0.1\0.example.org", "example.org\0", "127.1", "0x7f.1", "2130706433", "", "a b"] {
                let error = await #expect(throws: ResolutionError.self, "\(name)") {
                    try await resolver.addresses(of: name, version: nil)
                }
                #expect(error?.reason == .invalidName, "\(name)")
            }
            #expect(try await resolver.addresses(of: "10.0.0.1", version: .v4) == [.ipv4(10, 0, 0, 1, port: 0)])
            let none = await #expect(throws: ResolutionError.self) {
                try await resolver.addresses(of: "10.0.0.1", version: .v6)
            }
            #expect(none?.reason == .noAddress)
            #expect(asked.value == 0)
            #expect(try await resolver.addresses(of: "example.org", version: nil) == [.loopback(port: 0)])
            let unnamed = try SocketAddress.unix(path: "/nowhere")
            let noName = await #expect(throws: ResolutionError.self) { try await resolver.name(of: unnamed) }
            #expect(noName?.reason == .noSuchName)
            let answer = await #expect(throws: ResolutionError.self) {
                try await resolver.name(of: .loopback(port: 0))
            }
            #expect(answer?.reason == .failed)
        }
    }

    @Test("no more threads than the limit, and everybody gets an answer", arguments: [1, 3], Setting.onRealLoop)
    func limit(threads: Int, setting: Setting) async throws {
        let system = SlowSystem()
        let lane = system.lane(threads: threads)
        try await withLoop(setting) { loop async throws in
            let askers = (0..<50).map { number in
                loop.submit { try await lookUp("host-\(number).test", 80, resolver: SystemResolver(lane: lane)) }
            }
            // A question leaves the queue before its thread has asked it: the peak wants all of them inside.
            await until { lane.statistics.queued == 50 - threads && system.running.value == threads }
            system.gate.open()
            for asker in askers { #expect(try await asker.value == [.loopback(port: 80)]) }
            let statistics = lane.statistics
            #expect(statistics.answered == 50 && statistics.abandoned == 0 && statistics.running.isEmpty)
            #expect(statistics.threads <= threads && statistics.limit == threads)
        }
        #expect(system.peak.withLock { $0 } == threads)
    }

    @Test("a late answer is dropped, and its thread is there for the next", arguments: Setting.all)
    func late(setting: Setting) async throws {
        let system = SlowSystem()
        let lane = system.lane(threads: 1)
        try await withLoop(setting) { loop async throws in
            let first = loop.submit { try await lookUp("first.test", resolver: SystemResolver(lane: lane)) }
            await until { lane.statistics.running == ["first.test"] }
            let second = loop.submit { try await lookUp("second.test", 9, resolver: SystemResolver(lane: lane)) }
            await until { lane.statistics.queued == 1 }
            first.cancel()
            await #expect(throws: CancellationError.self) { _ = try await first.value }
            #expect(lane.statistics.abandoned == 1)
            #expect(lane.statistics.running == ["first.test"])
            system.gate.open()
            #expect(try await second.value == [.loopback(port: 9)])
            let statistics = lane.statistics
            #expect(statistics.abandoned == 0 && statistics.running.isEmpty && statistics.answered == 2)
        }
    }

    @Test(
        "the timeout ends the wait, in the queue as on a thread, and says how long it was", arguments: Setting.virtual)
    func timeout(setting: Setting) async throws {
        let system = SlowSystem()
        let lane = system.lane(threads: 1)
        defer { system.gate.open() }
        try await withVirtualTime(setting) { loop async throws in
            for (name, timeout) in [("asked.test", Duration.seconds(10)), ("queued.test", .seconds(3))] {
                let start = loop.now
                let asker = loop.submit {
                    try await lookUp(name, resolver: SystemResolver(timeout: timeout, lane: lane))
                }
                // Virtual time stands still meanwhile.
                await until { lane.statistics.running.count + lane.statistics.queued == (name == "asked.test" ? 1 : 2) }
                await until { lane.statistics.running == ["asked.test"] }
                let error = await #expect(throws: ResolutionError.self) { _ = try await asker.value }
                #expect(error?.reason == .timedOut && error?.isTemporary == true)
                #expect(error.map { "\($0)" } == "resolve \(name): no answer within \(timeout)")
                #expect(start.duration(to: loop.now) == timeout)
            }
            #expect(lane.statistics.abandoned == 1 && lane.statistics.queued == 0)
        }
    }

    @Test("a loop ends while the system does not answer", arguments: Drivers.available)
    func loopEnds(driver: DriverChoice) async throws {
        let system = SlowSystem()
        let lane = system.lane(threads: 2)
        defer { system.gate.open() }
        let errors = Errors()
        let thread = try LoopThread(options: .guest(driver, grace: .seconds(50), errors: errors))
        for number in 0..<5 {
            thread.loop.spawn(name: "asker") {
                _ = try await lookUp("host-\(number).test", resolver: SystemResolver(timeout: nil, lane: lane))
            }
        }
        await until { lane.statistics.queued == 3 }
        let start = Instant.monotonicNow
        await thread.shutdown()
        #expect(start.duration(to: .monotonicNow) < .seconds(20), "the grace period is for those who do not stop")
        #expect(errors.all.isEmpty)
        #expect(lane.statistics.abandoned == 2)
    }

    @Test("a cancelled task asks nobody", arguments: Setting.onRealLoop)
    func cancelledBefore(setting: Setting) async throws {
        let system = SlowSystem()
        let lane = system.lane(threads: 1)
        try await withLoop(setting) { loop async throws in
            let asker = loop.submit {
                await until { Task.isCancelled }
                return try await lookUp("a.test", resolver: SystemResolver(lane: lane))
            }
            asker.cancel()
            await #expect(throws: CancellationError.self) { _ = try await asker.value }
        }
        #expect(system.asked.value == 0 && lane.statistics.queued == 0)
    }

    @Test(
        "where no thread can be had, the question fails and says so, and the loop's own thread never asks",
        arguments: Setting.onRealLoop)
    func noThreads(setting: Setting) async throws {
        let (hasThreads, asked) = (Gate(), Counter())
        let lane = ResolverLane(
            threads: 2,
            system: SystemNames { _, _ in
                asked.add()
                return [.loopback(port: 0)]
            },
            source: ThreadSource { (name, body) throws(IOError) in
                guard hasThreads.isOpen else {
                    throw IOError(.resourceTemporarilyUnavailable, operation: "pthread_create", subject: name)
                }
                try SystemThread.start(name: name, body).detach()
            })
        try await withLoop(setting) { _ async throws in
            for _ in 0..<3 {
                let error = await #expect(throws: ResolutionError.self) {
                    try await lookUp("a.test", resolver: SystemResolver(lane: lane))
                }
                #expect(error?.reason == .system(.resourceTemporarilyUnavailable) && error?.isTemporary == true)
                #expect(error.map { "\($0)".contains("no thread to ask on: pthread_create resolver") } == true)
            }
            let statistics = lane.statistics
            #expect(statistics.abandoned == 0 && statistics.queued == 0 && statistics.threads == 0)
            #expect(asked.value == 0)
            hasThreads.open()
            #expect(try await lookUp("a.test", 5, resolver: SystemResolver(lane: lane)) == [.loopback(port: 5)])
        }
    }

    @Test("a lane that nobody has any more ends its threads at once", arguments: Setting.onRealLoop)
    func letGo(setting: Setting) async throws {
        // Asked by nobody else, so that the name in the list of threads is this test's own.
        let name = "lane-\(UInt16.random(in: 0 ... .max))"
        @Sendable func threads() -> Int { ProcessTable.threads(named: name) }
        try await withLoop(setting) { _ async throws in
            var lane: ResolverLane? = ResolverLane(name: name, threads: 4)
            for _ in 0..<3 {
                let resolver = lane.map { SystemResolver(lane: $0) }
                _ = try await lookUp("localhost", resolver: resolver)
            }
            #expect((1...3).contains(threads()))
            lane = nil
            let start = Instant.monotonicNow
            await until { threads() == 0 }
            #expect(start.duration(to: .monotonicNow) < .seconds(8), "idle threads wait for ten seconds")
        }
    }

    @Test(
        "answers, cancellations and timeouts in any order leave nothing behind", arguments: Randomness.seeds,
        Setting.onRealLoop)
    func random(seed: UInt64, setting: Setting) async throws {
        var random = Randomness(seed: seed)
        let answered = Counter()
        let lane = ResolverLane(
            threads: 3,
            system: SystemNames { host, _ in
                // A bit of work of different length, so that answers meet departures at all points.
                for _ in 0..<(host.utf8.count % 7 * 3_000) { answered.add(0) }
                return [.loopback(port: 0)]
            })
        let plan = (0..<3_000).map { _ in
            (Int.random(in: 1...60, using: &random), Int.random(in: 0...40, using: &random))
        }
        try await withLoop(setting) { loop async throws in
            await withDiscardingTaskGroup { group in
                for (length, patience) in plan {
                    group.addTask {
                        let name = String(repeating: "x", count: length)
                        let timeout: Duration? = patience % 5 == 0 ? .microseconds(patience * 20) : nil
                        let asker = loop.submit {
                            try await lookUp(name, resolver: SystemResolver(timeout: timeout, lane: lane))
                        }
                        for _ in 0..<patience { await EventLoop.yield() }
                        if patience % 3 == 0 { asker.cancel() }
                        do { #expect(try await asker.value == [.loopback(port: 0)]) } catch {
                            let isExpected =
                                error is CancellationError || (error as? ResolutionError)?.reason == .timedOut
                            #expect(isExpected, "\(error), seed \(seed)")
                        }
                    }
                }
            }
            await until { lane.statistics.running.isEmpty }
            await until { lane.statistics.abandoned == 0 }
            #expect(lane.statistics.queued == 0, "seed \(seed)")
        }
    }
}
