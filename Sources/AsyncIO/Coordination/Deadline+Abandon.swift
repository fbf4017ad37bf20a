import AsyncIOKernel
import AsyncIOLoop

/// Runs a body for at most so long, and leaves it behind if it does not end: for code that ignores cancellation.
///
/// ```swift
/// let rows = try await withTimeout(.seconds(2), orAbandon: "legacy query") { try await legacy.query() }
/// ```
///
/// Prefer ``withTimeout(_:isolation:_:)``, which waits for the body and leaks nothing. This one returns at the
/// expiration in any case, with ``TimeoutError``, and at once with `CancellationError` if the calling task is
/// cancelled. The body is cancelled then, and goes on in the background for as long as it likes: its task, and
/// everything that it holds (memory, locks, connections), stays in use until it ends by itself, and a value that it
/// still returns is dropped. `LoopStatistics.abandonedTasks` counts such bodies; an error that one throws later goes to
/// the loop's error handler with the name; the loop's end waits for them for the grace period, and names those that are
/// left.
///
/// The body runs in a task of the loop's, with the caller's task locals and priority, not in its isolation.
public func withTimeout<Success: Sendable>(
    _ timeout: Duration, orAbandon name: String, file: StaticString = #fileID, line: UInt = #line,
    _ body: sending @escaping () async throws -> Success
) async throws -> Success {
    let loop = EventLoop.ambient
    let fate = Fate<Success>()
    let work = SentWork(body)
    let task = loop.spawnForCaller(name: name, place: "\(file):\(line)") {
        let result = await Result.of { try await work.run() }
        if fate.end(result) == .afterAbandonment {
            loop.abandonedTaskEnded()
            if case .failure(let error) = result, !(error is CancellationError) {
                loop.report(error, context: name, place: "\(file):\(line), after its timeout")
            }
        }
    }
    do {
        try await withTimeout(timeout) { try await task.value }
    } catch {
        if fate.abandon() {
            loop.taskWasAbandoned()
            task.cancel()
            throw error
        }
    }
    // It has ended: in time, or so late that it met the limit at the door.
    return try fate.result.get()
}

/// What becomes first of a task: its end, or its abandonment.
private final class Fate<Success: Sendable>: Sendable {
    enum End { case inTime, afterAbandonment }
    private enum Phase { case running, ended(Result<Success, any Error>), abandoned }

    private let phase = Locked(Phase.running)

    /// The caller turns away. False if the task has ended.
    func abandon() -> Bool {
        phase.withLock { phase in
            guard case .running = phase else { return false }
            phase = .abandoned
            return true
        }
    }

    /// The task ends.
    func end(_ result: Result<Success, any Error>) -> End {
        phase.withLock { phase in
            guard case .running = phase else { return .afterAbandonment }
            phase = .ended(result)
            return .inTime
        }
    }

    /// How it ended.
    var result: Result<Success, any Error> {
        phase.withLock { phase in
            guard case .ended(let result) = phase else { return .failure(CancellationError()) }
            return result
        }
    }
}
