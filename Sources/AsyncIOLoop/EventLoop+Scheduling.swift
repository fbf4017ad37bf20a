public import AsyncIOKernel
import Synchronization

extension EventLoop {
    /// Queues a callback: it runs with the next tick, on the loop's thread, after what is queued already.
    ///
    /// Does not suspend. The handle can cancel the call until it has begun. If the loop is closed, the call never runs
    /// and the handle says that it is cancelled.
    @discardableResult
    public func callSoon(_ body: @escaping @Sendable () -> Void) -> ScheduledCall {
        let call = ScheduledCall(loop: self, body)
        let word = ReadyWord(retaining: call)
        if isCurrent {
            core.enqueue(word)
        } else if !post(.ready(word)) {
            word.takeCall()?.cancel()
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
    private enum State {
        case waiting((@Sendable () -> Void), TimerID?)
        case finished
        case cancelled
    }

    private let state: Mutex<State>
    private let loop: EventLoop

    init(loop: EventLoop, _ body: @escaping @Sendable () -> Void) {
        self.loop = loop
        state = Mutex(.waiting(body, nil))
    }

    /// Whether the call was cancelled before it began.
    public var isCancelled: Bool {
        state.withLock { state in
            guard case .cancelled = state else { return false }
            return true
        }
    }

    /// Cancels the call if it has not begun. From any thread; its timer leaves the loop's list at once.
    public func cancel() {
        // What the body has captured is let go outside of the lock: it may come back to this handle.
        let (body, timer): ((@Sendable () -> Void)?, TimerID?) = state.withLock { state in
            guard case .waiting(let body, let timer) = state else { return (nil, nil) }
            state = .cancelled
            return (body, timer)
        }
        defer { withExtendedLifetime(body) {} }
        guard let timer else { return }
        if loop.isCurrent { loop.core.removeTimer(timer) } else { loop.post(.cancelTimer(timer)) }
    }

    /// The loop has armed the call's timer.
    func armed(_ timer: TimerID, in core: LoopCore) {
        let isStillWanted = state.withLock { state in
            guard case .waiting(let body, _) = state else { return false }
            state = .waiting(body, timer)
            return true
        }
        if !isStillWanted { core.removeTimer(timer) }
    }

    /// Runs the call, unless it was cancelled. Once.
    func run() {
        let body: (@Sendable () -> Void)? = state.withLock { state in
            guard case .waiting(let body, _) = state else { return nil }
            state = .finished
            return body
        }
        body?()
    }
}
