import AsyncIO
import AsyncIOLoop

/// A call has suspended where it should not, or has not where it should.
public struct CheckpointError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was called.
    public let call: String
    /// How many times the loop ran another job meanwhile: zero means that the call has not suspended.
    public let turns: UInt64

    /// One line.
    public var description: String {
        turns == 0
            ? "\(call) has not suspended: others cannot run meanwhile, and a loop around it would keep the thread"
            : "\(call) has suspended: the loop took \(turns) turns before it returned"
    }
}

/// Runs a body that has to let others run at least once, whatever it ends with, and returns its value.
///
/// For calls that promise to be a place where others get their turn. Throws ``CheckpointError`` if the body has not
/// suspended, else the body's error; `EventLoopError.noLoop` where no loop runs.
@discardableResult
public func expectSuspends<Success>(
    _ call: String = "the call", _ body: nonisolated(nonsending) () async throws -> Success
) async throws -> Success {
    let (result, turns) = try await countingTurns(body)
    if turns == 0 { throw CheckpointError(call: call, turns: 0) }
    return try result.get()
}

/// Runs a body that must not let others run: it has to be over in one breath. Returns its value.
///
/// For calls that promise an answer at once, so that nothing can change meanwhile. Throws ``CheckpointError`` if the
/// body has suspended, else the body's error; `EventLoopError.noLoop` where no loop runs.
@discardableResult
public func expectDoesNotSuspend<Success>(
    _ call: String = "the call", _ body: nonisolated(nonsending) () async throws -> Success
) async throws -> Success {
    let (result, turns) = try await countingTurns(body)
    if turns > 0 { throw CheckpointError(call: call, turns: turns) }
    return try result.get()
}

/// A task that suspends comes back as a new job of its loop; one that does not is the same job.
private func countingTurns<Success>(
    _ body: nonisolated(nonsending) () async throws -> Success
) async throws -> (Result<Success, any Error>, UInt64) {
    guard let loop = EventLoop.current else { throw EventLoopError.noLoop }
    let before = loop.jobsRun
    let result: Result<Success, any Error>
    do { result = .success(try await body()) } catch { result = .failure(error) }
    return (result, loop.jobsRun &- before)
}
