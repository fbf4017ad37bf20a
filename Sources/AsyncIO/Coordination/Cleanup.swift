import AsyncIOLoop

/// Runs a body, and then, whatever became of it, asynchronous clean-up that is not cancelled with the caller.
///
/// ```swift
/// try await withCleanup(limit: .seconds(5)) {
///     try await use(connection)
/// } cleanup: { outcome in
///     try await connection.sayGoodbye()
/// }
/// ```
///
/// The body runs in the calling task. The clean-up runs in a task of its own, with the caller's task locals and
/// priority but neither its cancellation nor its deadlines, and always: also if the calling task is cancelled before
/// the call, whose body then runs and sees that. It is told how the body ended. When the limit is over it is cancelled;
/// the call returns when it has ended.
///
/// Returns the body's value or throws its error. If the clean-up throws, or exceeds its limit, the call throws
/// ``CleanupError``, which has the body's error, too. Throws `EventLoopError.noLoop`, before the body, where no loop
/// runs.
///
/// trio's `with move_on_after(5, shield=True)` in a `finally`.
public func withCleanup<Success: Sendable>(
    limit: Duration, name: String = "cleanup", _ body: nonisolated(nonsending) () async throws -> Success,
    cleanup: @escaping @Sendable (Result<Success, any Error>) async throws -> Void
) async throws -> Success {
    let loop = try EventLoop.required()
    let outcome = await Result.of(body)
    let task = UncancelledTask.start(name: name) { try await cleanup(outcome) }
    let hasExceeded = OnceFlag()
    let alarm = loop.alarm(after: limit) {
        hasExceeded.set()
        task.cancel()
    }
    let end = await task.result
    alarm.cancel()
    let problem: CleanupError.Problem
    switch (end, hasExceeded.isSet) {
    case (.success, false): return try outcome.get()
    case (.failure(let error), false): problem = .failed(error)
    // Its limit has cancelled it: that it says so is no news.
    case (.success, true), (.failure(is CancellationError), true): problem = .exceeded(limit, error: nil)
    case (.failure(let error), true): problem = .exceeded(limit, error: error)
    }
    var bodyError: (any Error)?
    if case .failure(let error) = outcome { bodyError = error }
    throw CleanupError(name: name, problem: problem, bodyError: bodyError)
}

/// Clean-up has failed: see ``withCleanup(limit:name:_:cleanup:)``.
public struct CleanupError: Error, CustomStringConvertible {
    /// What went wrong.
    public enum Problem: Sendable {
        /// It threw.
        case failed(any Error)
        /// It took longer than its limit and was cancelled. The error is what it threw then, other than
        /// `CancellationError`.
        case exceeded(Duration, error: (any Error)?)
    }

    /// The name of the clean-up.
    public let name: String
    /// What went wrong.
    public let problem: Problem
    /// The error of the body, if it threw one.
    public let bodyError: (any Error)?

    /// Creates the error of a clean-up.
    public init(name: String, problem: Problem, bodyError: (any Error)?) {
        self.name = name
        self.problem = problem
        self.bodyError = bodyError
    }

    /// `cleanup "goodbye" took longer than 5.0 seconds and was cancelled; before that, the body failed: …`.
    public var description: String {
        let before = bodyError.map { "; before that, the body failed: \($0)" } ?? ""
        switch problem {
        case .failed(let error): return "cleanup \"\(name)\" failed: \(error)\(before)"
        case .exceeded(let limit, let error):
            let then = error.map { ", and then failed: \($0)" } ?? ""
            return "cleanup \"\(name)\" took longer than \(limit) and was cancelled\(then)\(before)"
        }
    }
}
