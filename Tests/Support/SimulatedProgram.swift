import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTesting

/// Runs a test's body as the program of the only host of a simulated world, under the watchdog.
enum SimulatedProgram {
    static func run<Success: Sendable>(
        seed: UInt64, _ faults: SimulationFaults, name: String, errors: Errors, limit: Duration,
        _ body: @escaping @Sendable (EventLoop) async throws -> Success
    ) async throws -> Success {
        var simulation = Simulation(seed: seed)
        simulation.faults = faults
        // Some let centuries pass, and all are under the watchdog.
        simulation.timeLimit = .nanoseconds(Int64.max)
        simulation.turnLimit = 100_000
        let run = simulation
        return try await Watchdog.watch(name, limit: limit) {
            try await run.runForCaller(prepare: { $0.errorHandler = { errors.add($0) } }) { _ in
                guard let loop = EventLoop.current else { throw EventLoopError.noLoop }
                return try await body(loop)
            }
        }
    }
}
