/// A child that the scope's owner has to start.
struct ScopeJob: Sendable {
    let name: String
    let run: @Sendable () async -> Void
}

/// Decides what a scope's owner does next, and what counts as an error. No threads, tasks or time.
struct ScopeMachine {
    enum Step { case start([ScopeJob]), cancel, end }
    /// Why body and children were cancelled, the first reason first; but the owner's cancellation is told above all.
    enum Cause { case failure, request, owner }

    private(set) var cause: Cause?
    private(set) var errors: [TaskScopeError.Failure] = []
    /// Children that have not ended, started or not.
    private(set) var running = 0
    /// Whether a child has ended with `CancellationError` after the scope was cancelled.
    private(set) var wasCutShort = false
    /// Whether a child has ended with `CancellationError` before anybody had told of a cancellation: the owner's
    /// reaches the children first.
    private(set) var sawCancellation = false
    private var jobs: [ScopeJob] = []
    private var mustCancel = false
    private var hasEnded = false

    var isCancelled: Bool { cause != nil }

    /// Takes a child in. False if the scope has ended.
    mutating func add(_ job: ScopeJob) -> Bool {
        guard !hasEnded else { return false }
        running += 1
        jobs.append(job)
        return true
    }

    /// A child has ended.
    mutating func hasEnded(_ name: String, _ error: (any Error)?) {
        running -= 1
        if running == 0 { hasEnded = true }
        guard let error else { return }
        if error is CancellationError {
            sawCancellation = true
            if isCancelled { wasCutShort = true }
        } else {
            errors.append(TaskScopeError.Failure(name: name, error: error))
            cancel(by: .failure)
        }
    }

    mutating func cancel(by cause: Cause) {
        guard !hasEnded else { return }
        if self.cause == nil {
            self.cause = cause
            // The owner's group has been cancelled with it.
            mustCancel = cause != .owner
        } else if cause == .owner {
            self.cause = .owner
        }
    }

    var hasStep: Bool { mustCancel || !jobs.isEmpty || hasEnded }

    /// What the owner does next; nil if it has to wait.
    mutating func nextStep() -> Step? {
        // First: what is started after that is cancelled from the start.
        if mustCancel {
            mustCancel = false
            return .cancel
        }
        if !jobs.isEmpty {
            defer { jobs = [] }
            return .start(jobs)
        }
        return hasEnded ? .end : nil
    }
}

/// What went wrong in a scope: all of it.
public struct TaskScopeError: Error, CustomStringConvertible {
    /// An error and who threw it.
    public struct Failure: Sendable {
        /// The name of the child, or `body`.
        public let name: String
        /// What it threw.
        public let error: any Error

        /// Creates one.
        public init(name: String, error: any Error) {
            self.name = name
            self.error = error
        }
    }

    /// The name of the scope.
    public let scope: String
    /// Every error, the one that came first in front.
    public let errors: [Failure]

    /// Creates the error of a scope.
    public init(scope: String, errors: [Failure]) {
        self.scope = scope
        self.errors = errors
    }

    /// `2 errors in scope "service": server: address in use; client: connection refused`.
    public var description: String {
        let count = errors.count == 1 ? "1 error" : "\(errors.count) errors"
        return "\(count) in scope \"\(scope)\": \(errors.map { "\($0.name): \($0.error)" }.joined(separator: "; "))"
    }
}
