import AsyncIOKernel
import Synchronization

/// Runs a body for at most so long, and leaves it behind if it does not end: for code that ignores cancellation.
///
/// ```swift
/// let rows = try await withTimeout(.seconds(2), orAbandon: "legacy query") { try await legacy.query() }
/// ```
///
/// Prefer ``withTimeout(_:isolation:_:)``, which waits for the body and leaks nothing. This one returns at the expiration
/// in any case, with ``TimeoutError``, and at once with `CancellationError` if the calling task is cancelled. The body is
/// cancelled then, and goes on in the background for as long as it likes: its task, and everything that it holds
/// (memory, locks, connections), stays in use until it ends by itself, and a value that it still returns is dropped.
/// `LoopStatistics.abandonedTasks` counts such bodies; an error that one throws later goes to the loop's error handler
/// with the name; the loop's end waits for them for the grace period, and names those that are left.
///
/// The body runs in a task of the loop's, not in the caller's isolation.
public func withTimeout<Success: Sendable>(
    _ timeout: Duration, orAbandon name: String, _ body: sending @escaping () async throws -> Success
) async throws -> Success {
    let loop = EventLoop.ambient
    let fate = Fate()
    let work = Carried(body)
    let task = loop.submit(name: name) {
        do {
            let value = try await work.body()
            if fate.hasEnded() { loop.abandonedTaskEnded() }
            return value
        } catch {
            if fate.hasEnded() {
                loop.abandonedTaskEnded()
                if !(error is CancellationError) { loop.report(error, context: name, place: "after its timeout") }
            }
            throw error
        }
    }
    do {
        return try await withTimeout(timeout) { try await task.value }
    } catch {
        // An error of the body itself means that it has ended: there is nobody to abandon.
        guard error is TimeoutError || error is CancellationError, fate.isAbandoned() else { throw error }
        loop.taskWasAbandoned()
        task.cancel()
        throw error
    }
}

/// What becomes first of a task: its end, or its abandonment.
private final class Fate: Sendable {
    private let phase = Atomic(0)

    /// The caller turns away. True if the task had not ended.
    func isAbandoned() -> Bool {
        phase.compareExchange(expected: 0, desired: 1, ordering: .acquiringAndReleasing).exchanged
    }

    /// The task ends. True if it had been abandoned.
    func hasEnded() -> Bool {
        !phase.compareExchange(expected: 0, desired: 2, ordering: .acquiringAndReleasing).exchanged
    }
}

/// Carries a body that may capture anything into the one task that runs it.
private final class Carried<Success>: @unchecked Sendable {
    let body: () async throws -> Success
    init(_ body: sending @escaping () async throws -> Success) { self.body = body }
}
