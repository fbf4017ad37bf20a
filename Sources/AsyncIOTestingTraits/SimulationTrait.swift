import AsyncIO
import AsyncIOLoop
public import AsyncIOTesting
public import Testing

/// Runs the body of a test in a simulated world: ``Testing/Trait/simulated``,
/// ``Testing/Trait/simulated(seeds:_:)``.
///
/// The body runs on a host of its own, `test`, with a network, a disk and time that jumps; `World.current` is the
/// world, to add hosts, links and faults. `#expect`, `confirmation` and the like work as ever, in the body and in what
/// it runs on hosts. Each test, and each of a parameterized test's arguments, has a world of its own. So has each seed,
/// and the suite's instance is a new one each time.
///
/// An issue that the body records has the seed and the command that repeats it among its comments. What goes wrong in
/// the world besides, from a deadlock to an error on a host that nobody awaits, is an issue of the test.
public struct SimulationTrait: TestTrait, SuiteTrait, TestScoping {
    private let seeds: ClosedRange<UInt64>
    private let simulation: Simulation

    init(_ seeds: ClosedRange<UInt64>, _ change: (inout Simulation) -> Void) {
        self.seeds = seeds
        var simulation = Simulation()
        change(&simulation)
        self.simulation = simulation
    }

    /// A suite's trait is that of its tests.
    public var isRecursive: Bool { true }

    /// Only tests have a world: a suite has none for all of them together.
    public func scopeProvider(for test: Test, testCase: Test.Case?) -> SimulationTrait? {
        testCase == nil ? nil : self
    }

    /// Runs the test, seed after seed, until one fails. Called by Swift Testing.
    public func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        for seed in seeds {
            let hasFailed = try await run(seed, test, testCase, function)
            if hasFailed || Task.isCancelled { return }
        }
    }

    /// Runs the test with one seed. Whether an issue was recorded.
    private func run(
        _ seed: UInt64, _ test: Test, _ testCase: Test.Case?,
        _ function: @concurrent @Sendable () async throws -> Void
    ) async throws -> Bool {
        let failures = Counter()
        let note = "seed \(seed); to see it again: ASYNCIO_SEED=\(seed) swift test --filter \(test.pattern)"
        let witness = IssueHandlingTrait.compactMapIssues { issue in
            if issue.isFailure { failures.add() }
            var issue = issue
            issue.comments.append(Comment(rawValue: note))
            return issue
        }
        var simulation = simulation
        simulation.seed = seed
        let run = simulation
        try await witness.provideScope(for: test, testCase: testCase) {
            do {
                try await withSimulation(run) { _ in try await function() }
            } catch let failure as SimulationFailure where failure.error is ExpectationFailedError {
                // `#require` has recorded it.
            } catch let failure as SimulationFailure where Task.isCancelled && !(failure.error is SimulationError) {
                throw failure.error
            } catch {
                Issue.record(error, sourceLocation: test.sourceLocation)
            }
        }
        return failures.value > 0
    }
}

extension Trait where Self == SimulationTrait {
    /// Runs the test in a simulated world, with seed 1 or the one that `ASYNCIO_SEED` asks for.
    ///
    /// ```swift
    /// @Test("the client finds another server", .simulated)
    /// func failover() async throws {
    ///     let world = try #require(World.current)
    ///     let (first, second) = (try world.addHost("first"), try world.addHost("second"))
    ///     for host in [first, second] { try host.program { try await serve(port: 80) } }
    ///     let client = try await Client.connect("first", "second")
    ///     first.crash()
    ///     #expect(try await client.ask() == "pong")
    /// }
    /// ```
    public static var simulated: Self { simulated() }

    /// As ``simulated``, in a world that the closure describes: it sets what the simulation is to be like. The seed is
    /// not its affair.
    public static func simulated(_ change: (inout Simulation) -> Void = { _ in }) -> Self {
        let seed = Randomness.wanted ?? 1
        return SimulationTrait(seed...seed, change)
    }

    /// As ``simulated``, always with this seed: for one that has shown a bug.
    public static func simulated(seed: UInt64, _ change: (inout Simulation) -> Void = { _ in }) -> Self {
        SimulationTrait(seed...seed, change)
    }

    /// Runs the test once for each seed, until one fails; with `ASYNCIO_SEED` in the environment, for that seed alone.
    ///
    /// ```swift
    /// @Suite("orders", .simulated(seeds: 1...100) { $0.faults = .stormy })
    /// ```
    public static func simulated(
        seeds: ClosedRange<Int>, _ change: (inout Simulation) -> Void = { _ in }
    ) -> Self {
        // Swift 6.3 takes a range of literals among the arguments of `@Test` for one of `Int`, whatever is asked for.
        let wide = UInt64(clamping: seeds.lowerBound)...UInt64(clamping: seeds.upperBound)
        return SimulationTrait(Randomness.wanted.map { $0...$0 } ?? wide, change)
    }
}

extension Test {
    /// What `swift test --filter` finds the test by: its function's name.
    fileprivate var pattern: Substring { name.prefix { $0 != "(" } }
}
