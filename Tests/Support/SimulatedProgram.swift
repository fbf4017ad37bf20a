import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTesting

/// Runs a test's body as the program of the only host of a simulated world, under the watchdog.
enum SimulatedProgram {
    /// A failed expectation says which test it belongs to only in a task that the test has made. So the body is such a
    /// task, and its jobs wait at an ``Entrance`` until the simulation, on its own thread, has a loop for them.
    static func run<Success: Sendable>(
        seed: UInt64, _ faults: SimulationFaults, name: String, errors: Errors, limit: Duration,
        _ body: @escaping @Sendable (EventLoop) async throws -> Success
    ) async throws -> Success {
        var simulation = Simulation(seed: seed)
        simulation.faults = faults
        // Some let centuries pass, and all are under the watchdog.
        simulation.timeLimit = .nanoseconds(Int64.max)
        simulation.turnLimit = 100_000
        let entrance = Entrance()
        let program = Task(name: "test", executorPreference: entrance) {
            let loop = try entrance.loop
            return try await withTaskExecutorPreference(loop) { try await body(loop) }
        }
        // The body of a world that could not be made throws, elsewhere.
        defer { entrance.close() }
        return try await Watchdog.watch(name, limit: limit) {
            try await simulation.run { world in
                world.errorHandler = { errors.add($0) }
                let host = try world.addHost("test")
                let loop = try host.loop
                return try await host.run {
                    entrance.open(to: loop)
                    return try await withTaskCancellationHandler {
                        try await program.value
                    } onCancel: {
                        program.cancel()
                    }
                }
            }
        }
    }
}

/// Keeps the jobs of a task until there is a loop that they go to.
private final class Entrance: TaskExecutor {
    private enum State { case shut([UnownedJob]), open(EventLoop), closed }

    private let state = Condition<State>(.shut([]))

    /// Throws ``EventLoopError/noLoop`` if there is none, and will not be one.
    var loop: EventLoop {
        get throws {
            guard case .open(let loop) = state.withLock({ $0 }) else { throw EventLoopError.noLoop }
            return loop
        }
    }

    func open(to loop: EventLoop) {
        for job in leave(for: .open(loop)) { loop.enqueue(job) }
    }

    func close() {
        guard case .shut = state.withLock({ $0 }) else { return }
        for job in leave(for: .closed) { unsafe job.runSynchronously(on: asUnownedTaskExecutor()) }
    }

    private func leave(for next: State) -> [UnownedJob] {
        state.withLock { state in
            defer { state = next }
            return if case .shut(let jobs) = state { jobs } else { [] }
        }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let now = state.withLock { state in
            if case .shut(let jobs) = state { state = .shut(jobs + [job]) }
            return state
        }
        switch now {
        case .shut: return
        case .open(let loop): loop.enqueue(job)
        case .closed: unsafe job.runSynchronously(on: asUnownedTaskExecutor())
        }
    }
}
