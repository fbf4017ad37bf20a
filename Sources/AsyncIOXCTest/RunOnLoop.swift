public import AsyncIO
import AsyncIOLoop
public import AsyncIOTesting
public import XCTest

extension XCTestCase {
    /// Runs a body on a loop of its own, on a thread of its own, and blocks the test meanwhile: for test methods that
    /// are not `async`.
    ///
    /// ```swift
    /// func testEcho() throws {
    ///     try runOnLoop { loop in
    ///         let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
    ///         listener.close()
    ///     }
    /// }
    /// ```
    ///
    /// An `async` test method uses `withEventLoop(options:_:)`. The loop never takes the process over: XCTest waits on
    /// the main thread. After the limit, in real time, the body is cancelled and ``IOError`` with `ETIMEDOUT` thrown;
    /// what is left is named to the options' error handler. Throws what the body throws.
    @discardableResult
    public func runOnLoop<Success: Sendable>(
        options: EventLoop.Options = .test(), limit: Duration = .seconds(60),
        _ body: @escaping @concurrent @Sendable (EventLoop) async throws -> Success
    ) throws -> Success {
        try BlockingRun.run(name: name, limit: limit) { try await withEventLoop(options: options, body) }
    }

    /// Runs a body in virtual time, and blocks the test meanwhile: for test methods that are not `async`.
    ///
    /// As `withVirtualTime(options:mode:_:)`, which an `async` test method uses; the limit is that of real time.
    @discardableResult
    public func runInVirtualTime<Success: Sendable>(
        options: EventLoop.Options = .test(), mode: VirtualTime.Mode = .jumps, limit: Duration = .seconds(60),
        _ body: @escaping @concurrent @Sendable (VirtualTime) async throws -> Success
    ) throws -> Success {
        try BlockingRun.run(name: name, limit: limit) {
            try await withVirtualTime(options: options, mode: mode, body)
        }
    }
}

extension XCTestCase {
    /// Runs a body in a simulated world, on a host of its own called `test`, and blocks the test meanwhile: for test
    /// methods that are not `async`. Others use `withSimulation(_:_:)`.
    ///
    /// ```swift
    /// func testFailover() throws {
    ///     try runInSimulation { world in
    ///         let server = try world.addHost("server")
    ///         …
    ///     }
    /// }
    /// ```
    ///
    /// The simulation runs on the calling thread, with its seed, or without one given with seed 1 or the one that
    /// `ASYNCIO_SEED` asks for. Throws `SimulationFailure`, which names the seed.
    @discardableResult
    public func runInSimulation<Success: Sendable>(
        _ simulation: Simulation? = nil, _ body: @escaping @Sendable (World) async throws -> Success
    ) throws -> Success {
        try (simulation ?? Simulation(seed: Randomness.wanted ?? 1)).run { world in
            try await world.addHost("test").run("test") { try await body(world) }
        }
    }

    /// As ``runInSimulation(_:_:)``, once for each seed, until one fails; with `ASYNCIO_SEED` in the environment, for
    /// that seed alone.
    ///
    /// An assertion that fails in the body does not throw: another failure names its seed then.
    public func runInSimulations(
        seeds: ClosedRange<UInt64>, _ simulation: Simulation = Simulation(), file: StaticString = #filePath,
        line: UInt = #line, _ body: @escaping @Sendable (World) async throws -> Void
    ) throws {
        var simulation = simulation
        for seed in Randomness.wanted.map({ $0...$0 }) ?? seeds {
            let failures = testRun?.totalFailureCount ?? 0
            simulation.seed = seed
            try runInSimulation(simulation, body)
            guard testRun?.totalFailureCount ?? 0 == failures else {
                return XCTFail("that was seed \(seed); to see it again: ASYNCIO_SEED=\(seed)", file: file, line: line)
            }
        }
    }
}

/// A loop whose thread waits for a body: XCTest's own thread blocks in the meantime.
private enum BlockingRun {
    static func run<Success: Sendable>(
        name: String, limit: Duration, _ body: @escaping @concurrent @Sendable () async throws -> Success
    ) throws -> Success {
        let thread = try LoopThread(options: .test(name: name))
        defer { thread.close() }
        return try thread.loop.submit(name: name) { try await body() }.wait(timeout: limit)
    }
}
