public import AsyncIOKernel
import Synchronization

extension EventLoop {
    /// Queues a callback: it runs with the next tick, on the loop's thread, after what is queued already.
    ///
    /// Does not suspend. The handle can cancel the call until it has begun. If the loop is closed, the call never runs
    /// and the handle says that it is cancelled.
    @discardableResult
    public func callSoon(_ body: @escaping @Sendable () -> Void) -> ScheduledCall { queue(.isCancelled, body) }

    /// Queues a callback, as ``callSoon(_:)``, that is also made if the loop closes before: then where its tasks go on.
    package func callSoonOrElsewhere(_ body: @escaping @Sendable () -> Void) { _ = queue(.callsElsewhere, body) }

    private func queue(_ fate: ScheduledCall.Fate, _ body: @escaping @Sendable () -> Void) -> ScheduledCall {
        let call = ScheduledCall(loop: self, ifItCloses: fate, body)
        let word = ReadyWord(retaining: call)
        if isCurrent {
            core.enqueue(word)
        } else if !post(.ready(word)) {
            word.takeCall()?.loopHasClosed(timeLeft: .zero)
        }
        return call
    }

    /// Calls back after a duration; one that is zero or negative means with the next tick.
    @discardableResult
    public func callLater(_ delay: Duration, _ body: @escaping @Sendable () -> Void) -> ScheduledCall {
        callAt(now.advanced(by: delay), body)
    }

    /// Calls back at an instant of the loop's clock; one that has passed means with the next tick, and
    /// `Instant.distantFuture` means never.
    @discardableResult
    public func callAt(_ deadline: Instant, _ body: @escaping @Sendable () -> Void) -> ScheduledCall {
        let call = ScheduledCall(loop: self, body)
        let word = ReadyWord(retaining: call)
        if isCurrent {
            call.armed(core.addTimer(at: deadline, .makeReady(word)), in: core)
        } else if !post(.arm(deadline, word, call)) {
            word.takeCall()?.cancel()
        }
        return call
    }

    /// Calls back after a duration, as ``callLater(_:_:)``, and also if the loop closes before: then where its tasks go
    /// on. For limits, whose end somebody waits for.
    package func alarm(after delay: Duration, _ body: @escaping @Sendable () -> Void) -> ScheduledCall {
        alarm(at: now.advanced(by: delay), body)
    }

    /// Calls back at an instant of the loop's clock, as ``alarm(after:_:)``.
    package func alarm(at deadline: Instant, _ body: @escaping @Sendable () -> Void) -> ScheduledCall {
        let call = ScheduledCall(loop: self, ifItCloses: .callsElsewhere, body)
        let word = ReadyWord(retaining: call)
        if isCurrent {
            call.armed(core.addTimer(at: deadline, .makeReady(word)), in: core)
        } else if !post(.arm(deadline, word, call)) {
            word.takeCall()?.loopHasClosed(timeLeft: now.duration(to: deadline))
        }
        return call
    }

    /// Queues a job of Swift's runtime later.
    func arm(_ word: ReadyWord, after delay: Duration) {
        let deadline = now.advanced(by: delay)
        if isCurrent {
            _ = core.addTimer(at: deadline, .makeReady(word))
        } else if !post(.arm(deadline, word, nil)) {
            Afterlife.loop.arm(word, after: delay)
        }
    }
}

/// A callback that a loop will make: the handle that ``EventLoop/callSoon(_:)`` and its siblings return.
///
/// Letting go of the handle does not cancel the call.
public final class ScheduledCall: Sendable {
    private enum Phase: UInt8, AtomicRepresentable { case waiting, finished, cancelled }
    /// What becomes of a call whose loop closes first.
    enum Fate { case isCancelled, callsElsewhere }

    // No lock: a call is made for every callback, and a mutex would cost as much as all the rest of it.
    private let phase = Atomic(Phase.waiting)
    /// The timer's name, or none.
    private let timer = Atomic(TimerID.noBits)
    /// Belongs to whoever ends the waiting.
    @safe private nonisolated(unsafe) var body: (@Sendable () -> Void)?
    private let loop: EventLoop
    private let fate: Fate

    init(loop: EventLoop, ifItCloses fate: Fate = .isCancelled, _ body: @escaping @Sendable () -> Void) {
        self.loop = loop
        self.fate = fate
        self.body = body
    }

    /// Whether the call was cancelled before it began.
    public var isCancelled: Bool { phase.load(ordering: .acquiring) == .cancelled }

    /// Cancels the call if it has not begun. From any thread; its timer leaves the loop's list at once.
    public func cancel() {
        // What the body has captured is let go last: it may come back to this handle.
        guard let body = takeBody(for: .cancelled) else { return }
        defer { withExtendedLifetime(body) {} }
        // Whoever comes second, this or ``armed(_:in:)``, sees both the cancellation and the timer. Both may.
        guard let timer = TimerID(bits: timer.load(ordering: .sequentiallyConsistent)) else { return }
        if loop.isCurrent { loop.core.removeTimer(timer) } else { loop.post(.cancelTimer(timer)) }
    }

    /// The loop has armed the call's timer.
    func armed(_ timer: TimerID, in core: LoopCore) {
        self.timer.store(timer.bits, ordering: .sequentiallyConsistent)
        if phase.load(ordering: .sequentiallyConsistent) != .waiting { core.removeTimer(timer) }
    }

    /// The loop has closed before it made the call.
    func loopHasClosed(timeLeft: Duration) {
        switch fate {
        case .isCancelled: cancel()
        case .callsElsewhere: Afterlife.loop.callLater(timeLeft) { self.run() }
        }
    }

    /// Runs the call, unless it was cancelled. Once.
    func run() { takeBody(for: .finished)?() }

    /// Ends the waiting. Nil if somebody else has.
    private func takeBody(for ending: Phase) -> (@Sendable () -> Void)? {
        let (isOurs, _) = phase.compareExchange(
            expected: .waiting, desired: ending, ordering: .sequentiallyConsistent)
        guard isOurs else { return nil }
        defer { body = nil }
        return body
    }
}
