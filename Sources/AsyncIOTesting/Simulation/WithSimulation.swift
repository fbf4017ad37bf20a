import AsyncIO
import AsyncIOLoop

/// Runs a test's body in a simulated world, on a host of its own, and returns its value or throws its error.
///
/// ```swift
/// try await withSimulation(Simulation(seed: 7)) { world in
///     let server = try world.addHost("server")
///     try server.program { try await serveEcho(port: 7) }
///     let stream = try await TCPStream.connect("server", 7)
///     try await stream.write("hello")
///     #expect(try await stream.read() == Array("hello".utf8))
/// }
/// ```
///
/// A child of the calling task goes to the simulation and comes back, with its task locals: what fails in the body, or
/// in what the body runs on hosts, is a failure of the test that calls. A cancelled caller cancels the body. The
/// body's host is called `test`, and is one as any other: with addresses, a loopback interface and a disk.
///
/// Throws ``SimulationFailure`` as ``Simulation/run(_:)`` does. When the simulation fails for another reason, the body
/// is cancelled. One that does not end then keeps this function from returning; standard error has the reason.
@discardableResult
public func withSimulation<Success: Sendable>(
    _ simulation: Simulation = Simulation(), _ body: @concurrent @Sendable (World) async throws -> Success
) async throws -> Success {
    try await simulation.runForCaller(body)
}

extension Simulation {
    /// As ``withSimulation(_:_:)``. The preparation sees the world first, on its thread.
    package func runForCaller<Success: Sendable>(
        prepare: @escaping @Sendable (World) -> Void = { _ in },
        _ body: @concurrent @Sendable (World) async throws -> Success
    ) async throws -> Success {
        let passage = Passage()
        async let ended = passage.perform(body)
        do {
            try await lead(passage, prepare)
        } catch {
            _ = await ended
            throw error
        }
        return try await ended.get()
    }

    private func lead(_ passage: Passage, _ prepare: @escaping @Sendable (World) -> Void) async throws {
        let result: Result<Void, any Error>
        do {
            result = try await onOwnThread("simulation") {
                passage.waitForTask()
                let report = perform { world in
                    prepare(world)
                    let host = try world.addHost("test")
                    let loop = try host.loop
                    try await host.run("test") { try await passage.lead(into: loop, of: world) }
                }
                if !passage.close() {
                    let reason = report.result.failureText
                    StandardError.write("asyncio: a simulation's body was cancelled and never ends: \(reason)")
                }
                return report.result
            }
        } catch {
            // There was no thread to be had.
            _ = passage.close()
            throw error
        }
        try result.get()
    }
}

extension Result {
    /// The error, if it is one.
    var error: Failure? { if case .failure(let error) = self { error } else { nil } }
}
