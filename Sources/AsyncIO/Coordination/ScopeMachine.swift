/// A child that the scope's owner has to start.
struct ScopeJob: Sendable {
    let name: String
    let run: @Sendable () async -> Void
}

/// Decides what a scope's owner does next, and what counts as an error.
struct ScopeMachine: WaitMachine, ~Copyable {
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
    /// The owner, while it has nothing to do.
    private var owner = ParkingLot()
    private var mustCancel = false
    private var hasEnded = false

    var isCancelled: Bool { cause != nil }

    /// Takes a child in. False if the scope has ended.
    mutating func add(_ job: ScopeJob, waking woken: inout WakeList) -> Bool {
        guard !hasEnded else { return false }
        running += 1
        jobs.append(job)
        callOwner(waking: &woken)
        return true
    }

    /// A child has ended.
    mutating func hasEnded(_ name: String, _ error: (any Error)?, waking woken: inout WakeList) {
        running -= 1
        if running == 0 {
            hasEnded = true
            callOwner(waking: &woken)
        }
        guard let error else { return }
        if error is CancellationError {
            sawCancellation = true
            if isCancelled { wasCutShort = true }
        } else {
            errors.append(TaskScopeError.Failure(name: name, error: error))
            cancel(by: .failure, waking: &woken)
        }
    }

    mutating func cancel(by cause: Cause, waking woken: inout WakeList) {
        guard !hasEnded else { return }
        if self.cause == nil {
            self.cause = cause
            // The owner's group has been cancelled with it.
            mustCancel = cause != .owner
            callOwner(waking: &woken)
        } else if cause == .owner {
            self.cause = .owner
        }
    }

    private var hasStep: Bool { mustCancel || !jobs.isEmpty || hasEnded }

    /// The owner waits for something to do.
    mutating func wait(_ visitor: ParkedTask) -> Arrival {
        guard !hasStep else {
            visitor.grant()
            return .answered
        }
        owner.append(visitor)
        return .parked
    }

    private mutating func callOwner(waking woken: inout WakeList) {
        if hasStep { owner.grantAll(waking: &woken) }
    }

    mutating func leave(_ waiter: ParkedTask, waking woken: inout WakeList) {
        owner.remove(waiter)
    }

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
