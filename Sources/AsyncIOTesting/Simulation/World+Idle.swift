import AsyncIO
import AsyncIOLoop

extension World {
    /// Suspends until everything else in the world waits: for a time, for another task, or for the network. Time does
    /// not pass.
    ///
    /// Tells that a task has come as far as it can, in whatever order the seed lets tasks run. Throws
    /// `CancellationError`.
    public func waitUntilIdle() async throws {
        let idle = AsyncEvent(name: "idle world")
        idlers.append(idle)
        do { try await idle.wait() } catch {
            idlers.removeAll { $0 === idle }
            throw error
        }
    }

    /// The world in which the caller runs: nil outside of a simulation.
    ///
    /// For a test's body that a trait or ``withSimulation(_:_:)`` has brought there, and for code of its hosts.
    public static var current: World? { (EventLoop.simulator as? SimulatedDriver)?.world }
}
