import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTesting
import AsyncIOTestingTraits
import Testing

@Suite("Traits: a whole suite in simulated worlds", .simulated)
struct SimulatedSuiteTests {
    @Test("each test has a world of its own, whose time jumps")
    func world() async throws {
        let world = try #require(World.current)
        #expect(world.hosts.map(\.name) == ["test"])
        try await EventLoop.current?.sleep(for: .seconds(3_600))
        #expect(world.elapsed == .seconds(3_600))
    }

    @Test("the test runs on a host: it has a loopback interface, and other hosts find it by its name")
    func network() async throws {
        let world = try #require(World.current)
        let listener = try await TCPListener.bind("0.0.0.0", 7)
        let client = try world.addHost("client")
        async let greeting = client.run { try await TCPStream.connect("test", 7).read() }
        let connection = try await listener.accept()
        try await connection.write("hello")
        connection.close()
        #expect(try await greeting == Array("hello".utf8))
        let near = try await TCPStream.connect("127.0.0.1", 7)
        near.close()
        listener.close()
    }

    @Test("arguments have worlds of their own", arguments: 1...3)
    func arguments(hours: Int) async throws {
        try await EventLoop.current?.sleep(for: .seconds(3_600 * hours))
        #expect(World.current?.elapsed == .seconds(3_600 * hours))
    }

    @Test("the main actor is in the world, too")
    @MainActor func mainActor() async throws {
        let world = try #require(World.current)
        try await Task.sleep(for: .seconds(100))  // sleeps: on the simulated clock
        #expect(world.elapsed == .seconds(100))
    }
}

@Suite("Traits: a test in a simulated world")
struct SimulationTraitTests {
    @Test("outside of a simulation there is no world")
    func none() { #expect(World.current == nil) }

    private static let seeds = Notes<UInt64>()

    @Test(
        "the test runs once for each seed",
        .issues {
            #expect($0.isEmpty)
            #expect(seeds.all == Array(Randomness.wanted.map { $0...$0 } ?? 3...7))
        },
        .simulated(seeds: 3...7))
    func sweep() async throws { Self.seeds.record(try #require(World.current).seed) }

    private static let seedsUntil = Notes<UInt64>()

    @Test(
        "a seed that fails is the last one, and its issue says how to see it again",
        .enabled(if: Randomness.wanted == nil),
        .issues { issues in
            #expect(seedsUntil.all == [1, 2, 3])
            #expect(issues.count == 1)
            #expect(issues.first?.notes.contains("three fails") == true)
            #expect(issues.first?.notes.contains("ASYNCIO_SEED=3 swift test --filter failing") == true)
        },
        .simulated(seeds: 1...10))
    func failing() async throws {
        let world = try #require(World.current)
        Self.seedsUntil.record(world.seed)
        #expect(world.seed != 3, "three fails")
    }

    @Test("a seed that is named is taken whatever the environment asks for", .simulated(seed: 99))
    func named() async throws { #expect(World.current?.seed == 99) }

    @Test(
        "the world is as the closure describes it",
        .simulated(seed: 1) { $0.faults = .stormy })
    func described() async throws { #expect(World.current?.faults.shortTransfers == 0.2) }

    @Test(
        "a requirement that fails is one issue",
        .issues { #expect($0.count == 1) },
        .simulated)
    func requirement() async throws {
        let world: World? = nil
        _ = try #require(world)
    }

    @Test(
        "what fails on another host is an issue of the test",
        .issues { #expect($0.map(\.notes).contains { $0.contains("over there") }) },
        .simulated)
    func elsewhere() async throws {
        let host = try #require(World.current).addHost("elsewhere")
        await #expect(throws: Never.self) { try await host.run { Issue.record("over there") } }
    }

    @Test(
        "a deadlock is an issue of the test, and says who waits",
        .issues { issues in
            #expect(issues.count == 1)
            let error = (issues.first?.error as? SimulationFailure)?.error as? SimulationError
            guard case .deadlock(let waits) = error else {
                Issue.record("\(issues)")
                return
            }
            #expect(waits.contains { $0.contains("waits at a event") }, "\(waits)")
        },
        .simulated)
    func deadlock() async throws { try await AsyncEvent().wait() }

    @Test(
        "an error on a host that nobody awaits is an issue of the test",
        .issues { issues in
            #expect(issues.count == 1)
            #expect(issues.first?.error.map { "\($0)".contains("the pump has failed") } == true)
        },
        .simulated)
    func unhandled() async throws {
        EventLoop.current?.spawn { throw SimulationError.checkFailed("the pump has failed") }
        try await EventLoop.current?.sleep(for: .seconds(1))
    }

    @Test(
        "an error that the body throws is an issue of the test, with the last events",
        .issues { issues in
            #expect(issues.count == 1)
            let failure = issues.first?.error as? SimulationFailure
            #expect(failure?.error as? SimulationError == .checkFailed("it is over"))
            #expect(failure?.timeline.contains("the last act") == true)
        },
        .simulated)
    func thrown() async throws {
        World.current?.note("the last act")
        throw SimulationError.checkFailed("it is over")
    }

    @Test("confirmations and known issues work as ever", .simulated)
    func confirmations() async throws {
        withKnownIssue { Issue.record("known") }
        try await confirmation(expectedCount: 2) { confirm in
            for _ in 0..<2 {
                try await EventLoop.current?.sleep(for: .seconds(1))
                confirm()
            }
        }
    }

    @Test("the calling task's cancellation reaches the body")
    func cancellation() async throws {
        let task = Task {
            try await withSimulation { world in
                // Cancelled from outside of the world, whose clock jumps.
                while !Task.isCancelled { try await EventLoop.current?.sleep(for: .milliseconds(1)) }
                return world.elapsed
            }
        }
        task.cancel()
        _ = await task.result
        #expect(task.isCancelled)
    }
}

@Suite("Traits: errors that nobody awaits")
struct UnhandledErrorTraitTests {
    private struct Lost: Error {}

    @Test(
        "a background task's error is an issue of the test, on a real loop",
        .issues { #expect($0.map { ($0.error as? UnhandledError)?.error is Lost } == [true]) },
        .eventLoop())
    func real() async throws {
        let task = try #require(EventLoop.current).spawn(name: "pump") { throw Lost() }
        try await checkLeaks { _ = task }
    }

    @Test(
        "and in virtual time",
        .issues { #expect($0.map { ($0.error as? UnhandledError)?.error is Lost } == [true]) },
        .virtualTime)
    func virtual() async throws {
        let time = try VirtualTime.current
        time.loop.spawn(name: "pump") { throw Lost() }
        try await time.waitUntilIdle()
    }
}

@Suite("Traits: leaks")
struct LeakCheckTraitTests {
    @Test("a test that leaves nothing passes", .virtualTime, .leakChecked)
    func clean() async throws {
        let time = try VirtualTime.current
        let task = time.loop.spawn(name: "worker") { try await time.loop.sleep(for: .seconds(1)) }
        try await task.value
    }

    @Test(
        "a task that waits where nobody wakes it is named",
        .issues { issues in
            #expect(issues.compactMap { $0.error as? Leaks }.map(\.tasks) == [["waiter"]])
        },
        .virtualTime, .leakChecked)
    func waiter() async throws {
        let time = try VirtualTime.current
        time.loop.spawn(name: "waiter") { try? await AsyncEvent().wait() }
        try await time.waitUntilIdle()
    }

    private static let kept = Notes<TCPListener>()

    @Test(
        "a descriptor that is open in a simulated world is named",
        .issues { issues in
            let leaks = issues.compactMap { $0.error as? Leaks }.first
            #expect(leaks?.descriptors.count == 1)
        },
        .simulated, .leakChecked(of: [.loop, .descriptors]))
    func descriptor() async throws {
        Self.kept.record(try await TCPListener.bind("127.0.0.1", 7))
    }

    @Test(
        "without a loop the test fails, and the issue names the remedy",
        .issues { issues in
            #expect(issues.count == 1)
            #expect(issues.first?.error.map { "\($0)".contains(".virtualTime or .simulated before it") } == true)
        },
        .leakChecked)
    func nothing() async throws {}
}
