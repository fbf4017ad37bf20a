import AsyncIO
import AsyncIOLoop

extension Simulation {
    /// Runs a body on a host of a simulated world again and again, each time in a new world of the same seed, and
    /// cancels it at its first, its second, … its last suspension: for what works with sockets, files, names and
    /// children, as the function of the same name for what needs a loop alone.
    ///
    /// ```swift
    /// try await Simulation(seed: 1).cancelAtEveryAwait(
    ///     setUp: { world, host in
    ///         let server = try world.addHost("server")
    ///         try server.program { try await serveEcho(port: 7) }
    ///         return server
    ///     },
    ///     body: { _ in try await withConnection("server", 7) { try await $0.write("hello") } })
    /// ```
    ///
    /// Besides what is told there, no run may leave a descriptor open on its host that was not open before the body.
    /// What ends within a second of simulated time after the check is no leak. A call that is not simulated, and an
    /// error that nobody awaits on any host, fails the simulation, and this function with it.
    ///
    /// - Parameters:
    ///   - moments: When the cancellations come.
    ///   - limit: How long a run may take, in simulated time.
    ///   - atMost: How many suspensions are visited; a body that has more has failed.
    ///   - accepting: Which errors a cancelled body may throw besides `CancellationError`.
    ///   - setUp: Builds the rest of the world, on the host, and makes what the body works on; once for each run.
    ///   - body: What is cancelled. It runs on the host.
    ///   - check: What has to be true afterwards. It runs on the host, and nobody cancels it.
    /// - Returns: What was done.
    /// - Throws: ``CancellationFailures`` that name each run that went wrong, and what `setUp` throws.
    @discardableResult
    public func cancelAtEveryAwait<Subject: Sendable>(
        at moments: [CancellationPoint.Moment] = [.waiting, .answered], limit: Duration = .seconds(600),
        atMost: Int = 10_000, accepting: @escaping @Sendable (any Error) -> Bool = { _ in false },
        setUp: @escaping @Sendable (World, SimulatedHost) async throws -> Subject,
        body: @escaping @concurrent @Sendable (Subject) async throws -> Void,
        check: @escaping @concurrent @Sendable (Subject, CancellationSweep.Run) async throws -> Void = { _, _ in }
    ) async throws -> CancellationSweep {
        try await CancellationSweep.perform(at: moments, atMost: atMost) { point in
            try await run { world in
                let host = try world.addHost("host")
                return try await host.run("cancelled at every await") {
                    try await SweptRun.perform(
                        point, SweepGround(host), limit, accepting, { try await setUp(world, host) }, body, check)
                }
            }
        }
    }
}
