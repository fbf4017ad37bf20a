public import AsyncIO
import AsyncIOLoop

/// Where a run was cancelled.
public struct CancellationPoint: Hashable, Sendable, CustomStringConvertible {
    /// When, around a suspension of the body, the cancellation comes.
    public enum Moment: Hashable, Sendable, CaseIterable {
        /// Right after the body has suspended: it waits, and nobody has answered yet.
        case waiting
        /// Right before the body goes on: it has its answer, and has not seen it yet. Who throws now, and forgets what
        /// it was given, loses it.
        case answered
        /// Between two jobs of whatever task on the loop, wherever the body is.
        case betweenJobs
    }

    /// The suspension, from 1; 0 is the run that nobody cancels.
    public let number: Int
    /// The moment.
    public let moment: Moment

    /// Names a point.
    public init(number: Int, moment: Moment) {
        self.number = number
        self.moment = moment
    }

    /// `while await 3 waits`.
    public var description: String {
        if number == 0 { return "without a cancellation" }
        switch moment {
        case .waiting: return "cancelled while await \(number) waits"
        case .answered: return "cancelled as await \(number) is answered"
        case .betweenJobs: return "cancelled after job \(number) of the loop"
        }
    }
}

/// What ``cancelAtEveryAwait(at:options:limit:atMost:accepting:setUp:body:check:)`` has seen.
public struct CancellationSweep: Sendable, CustomStringConvertible {
    /// How a run ended.
    public enum Ending: Sendable {
        /// The body returned: it had what it came for.
        case returned
        /// The body threw `CancellationError`.
        case cancelled
        /// The body threw another error.
        case threw(any Error)
        /// The body did not end, though nothing was left that it could wait for.
        case hung
        /// The body did not end, and no time passed, since tasks were always ready.
        case spins
    }

    /// One run of the body.
    public struct Run: Sendable {
        /// Where it was cancelled.
        public let point: CancellationPoint
        /// Whether the cancellation came before the body's end.
        public let wasCancelled: Bool
        /// How the body ended.
        public let ending: Ending
    }

    /// All runs, the one without a cancellation first.
    public let runs: [Run]
    /// How often the body suspends if nobody cancels it.
    public let suspensions: Int

    /// How many runs were cancelled.
    public var cancellations: Int { runs.count { $0.wasCancelled } }

    /// `3 suspensions, 6 of 9 runs cancelled`.
    public var description: String {
        let noun = suspensions == 1 ? "suspension" : "suspensions"
        return "\(suspensions) \(noun), \(cancellations) of \(runs.count) runs cancelled"
    }
}

/// Runs that ended as no cancelled task may end.
public struct CancellationFailures: Error, Sendable, CustomStringConvertible {
    /// One run that went wrong.
    public struct Failure: Sendable, CustomStringConvertible {
        /// Where it was cancelled.
        public let point: CancellationPoint
        /// What was wrong.
        public let detail: String
        /// One line.
        public var description: String { "\(point): \(detail)" }
    }

    /// Each of them, at least one.
    public let failures: [Failure]
    /// How many runs there were.
    public let runs: Int

    /// A line for each of the first twenty.
    public var description: String {
        let lines = failures.prefix(20).map { "- \($0)" }.joined(separator: "\n")
        return "\(failures.count) of \(runs) runs went wrong:\n\(lines)"
    }
}

/// Runs a body again and again, each time on a loop of its own in virtual time, and cancels it at its first, its
/// second, … its last suspension: while it waits, and once more when it has been answered and has not seen it yet.
///
/// ```swift
/// try await cancelAtEveryAwait(
///     setUp: { _ in AsyncLock() },
///     body: { lock in try await lock.withLock { await EventLoop.yield() } },
///     check: { lock, _ in guard lock.tryLock() else { throw StillLocked() } })
/// ```
///
/// Every run has to end, in ``CancellationSweep/Ending/returned`` or ``CancellationSweep/Ending/cancelled`` (or with an
/// error that `accepting` names), has to leave nothing behind on the loop (``Leaks``), and has to pass the check, which
/// nobody cancels: what a cancelled task gives up must not be lost, and what it held must be free. A run that hangs is
/// noticed by the limit, in virtual time. Of the body only its own task is cancelled, and its children with it; what
/// `setUp` starts has to end by itself, or by the check.
///
/// Suspensions are those of the body's own task on the loop, and are counted by the loop: the same body suspends at the
/// same places in each run, unless it uses other threads.
///
/// - Parameters:
///   - moments: When the cancellations come.
///   - options: What the loops are made with.
///   - limit: How long a run may take, in virtual time.
///   - atMost: How many suspensions are visited; a body that has more has failed.
///   - accepting: Which errors a cancelled body may throw besides `CancellationError`.
///   - setUp: Makes what the body works on; once for each run.
///   - body: What is cancelled.
///   - check: What has to be true afterwards.
/// - Returns: What was done, to be looked at: a body with no suspension at all was not put to the test.
/// - Throws: ``CancellationFailures`` that name each run that went wrong, and what `setUp` throws.
@discardableResult
public func cancelAtEveryAwait<Subject: Sendable>(
    at moments: [CancellationPoint.Moment] = [.waiting, .answered], options: EventLoop.Options = .test(),
    limit: Duration = .seconds(86_400), atMost: Int = 10_000,
    accepting: @Sendable (any Error) -> Bool = { _ in false },
    setUp: @concurrent @Sendable (VirtualTime) async throws -> Subject,
    body: @escaping @concurrent @Sendable (Subject) async throws -> Void,
    check: @escaping @concurrent @Sendable (Subject, CancellationSweep.Run) async throws -> Void = { _, _ in }
) async throws -> CancellationSweep {
    try await CancellationSweep.perform(at: moments, atMost: atMost) { point in
        try await withVirtualTime(options: options) { time in
            try await SweptRun.perform(
                point, SweepGround(time), limit, accepting, { try await setUp(time) }, body, check)
        }
    }
}

extension CancellationSweep {
    /// Visits each point, by a run.
    static func perform(
        at moments: [CancellationPoint.Moment], atMost: Int, _ perform: (CancellationPoint) async throws -> SweptRun
    ) async throws -> CancellationSweep {
        var runs: [CancellationSweep.Run] = []
        var failures: [CancellationFailures.Failure] = []
        var suspensions = 0

        func visit(_ point: CancellationPoint) async throws -> Bool {
            let visit = try await perform(point)
            runs.append(visit.run)
            if point.number == 0 { suspensions = visit.suspensions }
            failures += visit.faults.map { CancellationFailures.Failure(point: point, detail: $0) }
            return visit.run.wasCancelled
        }

        _ = try await visit(CancellationPoint(number: 0, moment: .waiting))
        for moment in failures.isEmpty ? moments : [] {
            var number = 1
            while try await visit(CancellationPoint(number: number, moment: moment)) {
                number += 1
                guard number <= atMost else {
                    let point = CancellationPoint(number: number, moment: moment)
                    failures.append(.init(point: point, detail: "the body has more than \(atMost) suspensions"))
                    break
                }
            }
        }
        if !failures.isEmpty { throw CancellationFailures(failures: failures, runs: runs.count) }
        return CancellationSweep(runs: runs, suspensions: suspensions)
    }
}

/// Runs a body that brings everything it works on again and again, cancelled at each of its suspensions.
///
/// See ``cancelAtEveryAwait(at:options:limit:atMost:accepting:setUp:body:check:)``.
@discardableResult
public func cancelAtEveryAwait(
    at moments: [CancellationPoint.Moment] = [.waiting, .answered], options: EventLoop.Options = .test(),
    limit: Duration = .seconds(86_400), atMost: Int = 10_000,
    accepting: @Sendable (any Error) -> Bool = { _ in false },
    _ body: @escaping @concurrent @Sendable (VirtualTime) async throws -> Void
) async throws -> CancellationSweep {
    try await cancelAtEveryAwait(
        at: moments, options: options, limit: limit, atMost: atMost, accepting: accepting, setUp: { $0 }, body: body)
}
