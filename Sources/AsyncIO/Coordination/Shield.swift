public import AsyncIOLoop

/// Runs work that goes on when the calling task is cancelled: the caller then gets `CancellationError` at once.
///
/// ```swift
/// try await shield(name: "commit") { try await transaction.commit() }
/// ```
///
/// The work is a task of the loop's, and inherits the caller's task locals and priority,
/// but not its deadlines. An error that comes after the
/// caller has left goes to the loop's error handler. The loop's end does not cancel the work at first: it waits for it
/// within the grace period, and then cancels it and names it. A task that is cancelled already throws and starts
/// nothing; for clean-up that has to run even then, see ``withCleanup(limit:name:_:cleanup:)``.
///
/// Suspends until the work has ended. Throws its error, `CancellationError`, and `EventLoopError.noLoop` where no loop
/// runs and none is named.
///
/// asyncio's `shield`.
public func shield<Success: Sendable>(
    name: String? = nil, on loop: EventLoop? = nil, file: StaticString = #fileID, line: UInt = #line,
    _ work: sending @escaping () async throws -> Success
) async throws -> Success {
    try Task.checkCancellation()
    let loop = try EventLoop.required(loop)
    let work = SentWork(work)
    // The caller's deadlines end his wait, and do not bind the work.
    let task = Deadline.$current.withValue(nil) {
        loop.spawnShielded(name: name, place: "\(file):\(line)") { try await work.run() }
    }
    return try await task.ownersValue
}
