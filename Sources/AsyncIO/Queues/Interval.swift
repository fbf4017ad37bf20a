import AsyncIOKernel
import AsyncIOLoop

/// A tick every so often, on the current loop's clock.
///
/// ```swift
/// for try await _ in Interval(every: .seconds(1)) { try await refresh() }
/// ```
///
/// Each tick is the instant for which it was planned. The plan begins with the first call of ``tick()`` and goes on
/// from plan to plan, not from tick to tick: what the body of the loop takes does not add up. What happens when the
/// body takes longer than the period is for the policy to say.
///
/// It ends only by cancellation: ``tick()`` throws `CancellationError` then, and the tick is still to come. Several
/// tasks that share an interval share the ticks among them.
///
/// tokio's `interval`.
public final class Interval: Sendable, CustomStringConvertible {
    /// What becomes of the ticks for which nobody came in time: tokio's `MissedTickBehavior`.
    public enum Policy: Sendable {
        /// They come one after the other, without a pause, until the plan is met again. No tick is lost.
        case burst
        /// The plan moves: the next tick comes a period after the late one.
        ///
        /// Late by less than five milliseconds and less than half a period is not late.
        case delay
        /// They are left out: the next tick is the next one of the plan that lies ahead.
        case skip
    }

    /// When the first tick comes.
    public enum First: Sendable {
        /// With the first call of ``Interval/tick()``.
        case atOnce
        /// A period after it.
        case afterPeriod
    }

    /// The time between two ticks of the plan.
    public let period: Duration
    /// What becomes of the ticks for which nobody came in time.
    public let policy: Policy
    private let first: First
    /// When the next tick is due; nil before the plan has begun.
    private let plan = Locked<Instant?>(nil)

    /// Makes an interval whose plan begins with the first call of ``tick()``.
    ///
    /// A period that is zero or negative is a mistake in the program and stops it with a message.
    public init(every period: Duration, policy: Policy = .burst, first: First = .atOnce) {
        demand(period > .zero, "an interval of \(period): the time between two ticks must be more than zero")
        self.period = period
        self.policy = policy
        self.first = first
    }

    /// Suspends until the next tick, and returns the instant for which it was planned.
    ///
    /// A tick that is due lets the others run first, once. Throws `CancellationError`, and `EventLoopError.noLoop`
    /// where no loop runs; the tick is still to come then.
    public func tick() async throws -> Instant {
        let loop = try EventLoop.required()
        while true {
            let due = plan.withLock { plan in
                let due = plan ?? (first == .atOnce ? loop.now : loop.now.advanced(by: period))
                plan = due
                return due
            }
            try await loop.sleep(until: due)
            let now = loop.now
            let isMine = plan.withLock { plan in
                // Another task may have had this tick, or the plan may have been begun anew.
                guard plan == due else { return false }
                plan = following(due, at: now)
                return true
            }
            if isMine { return due }
        }
    }

    /// Begins the plan anew: the next tick comes a period from now. Also for a task that waits.
    ///
    /// Does nothing where no loop runs.
    public func reset() {
        guard let loop = EventLoop.current else { return }
        let due = loop.now.advanced(by: period)
        plan.withLock { $0 = due }
    }

    /// `Interval(every 1.0 seconds, burst)`.
    public var description: String { "Interval(every \(period), \(policy))" }

    /// The tick of the plan that follows the one at `due`, which came about `now`.
    private func following(_ due: Instant, at now: Instant) -> Instant {
        let next = due.advanced(by: period)
        let lateness = due.duration(to: now)
        switch policy {
        case .burst: return next
        case .delay:
            let isLate = lateness > Swift.min(.milliseconds(5), period / 2)
            return isLate ? now.advanced(by: period) : next
        case .skip:
            guard next <= now else { return next }
            let step = period.saturatedNanoseconds
            // Not late by 292 years or more: the period is shorter than that, and the clock began with the machine.
            return now.advanced(by: .nanoseconds(step - lateness.saturatedNanoseconds % step))
        }
    }
}

extension Interval: AsyncSequence {
    /// Ticks until its task is cancelled.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let interval: Interval

        /// See ``Interval/tick()``. Never nil.
        public func next() async throws -> Instant? { try await interval.tick() }

        /// See ``Interval/tick()``. Never nil.
        public func next(isolation actor: isolated (any Actor)?) async throws -> Instant? {
            try await interval.tick()
        }
    }

    /// An iterator that goes on with the interval's plan.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(interval: self) }
}
