public import AsyncIOKernel
import CAsyncIO

/// A limit in time for what runs inside ``withTimeout(_:isolation:_:)`` or ``withDeadline(_:isolation:_:)``.
///
/// The body can read it and move it:
///
/// ```swift
/// try await withTimeout(.seconds(10)) { deadline in
///     while let part = try await stream.read() {
///         deadline.reschedule(in: .seconds(10))       // ten seconds of silence, not ten seconds in all
///     }
/// }
/// ```
///
/// May be used from any thread; after the body has ended it does nothing. asyncio's `Timeout` object.
public final class Deadline: Sendable, CustomStringConvertible {
    /// The innermost deadline around the code that runs now.
    @TaskLocal public static var current: Deadline?

    private enum Phase { case idle, running, expiring, expired, over }

    private enum Timer {
        case none
        /// A timer of the loop's, made on its thread.
        case own(TimerID)
        /// Made from elsewhere.
        case call(ScheduledCall)
    }

    @safe
    private struct State {
        var expiration: Instant
        var phase = Phase.idle
        /// The body has ended: it is no longer in force, wherever it may have been inherited.
        var isOver = false
        var timer = Timer.none
        /// The one around it, when it was made or later: those that are over are left out.
        var outer: Deadline?
        /// The task that runs the body. Valid in the phases `running` and `expiring`: the task leaves through `end`.
        var task: UnsafeMutableRawPointer?
    }

    private let loop: EventLoop
    @safe @exclusivity(unchecked) nonisolated(unsafe) private var state: State
    private let lock = FutexLock()

    /// A deadline on a loop's clock, inside of the one that is in force here.
    package init(_ expiration: Instant, on loop: EventLoop) {
        self.loop = loop
        let outer = Deadline.current?.inForce
        // A task may start the next one inside of its deadline, and so on: what is over must not hang on to it for
        // ever.
        outer?.leaveOutWhatIsOver()
        state = unsafe State(expiration: expiration, outer: outer)
    }

    /// This one, or the next one around it that is in force.
    private var inForce: Deadline? {
        var deadline: Deadline? = self
        while let next = deadline, let outer = next.withLock({ $0.isOver ? .some($0.outer) : nil }) { deadline = outer }
        return deadline
    }

    private func leaveOutWhatIsOver() {
        guard let outer = withLock({ $0.outer }) else { return }
        let inForce = outer.inForce
        guard inForce !== outer else { return }
        // Let go outside of the lock.
        let former = withLock { state in
            defer { state.outer = inForce }
            return state.outer
        }
        withExtendedLifetime(former) {}
    }

    // MARK: Reading

    /// When it expires, on the clock of the loop on which it was made; `Instant.distantFuture` means never.
    public var expiration: Instant { withLock { $0.expiration } }

    /// How much time is left; zero once it has expired.
    public var remaining: Duration { max(loop.now.duration(to: expiration), .zero) }

    /// Whether it has expired and the body was cancelled for it.
    public var hasExpired: Bool { withLock { $0.phase == .expired || $0.phase == .expiring } }

    /// The earliest expiration among the deadlines around the code that runs now; nil if there are none.
    public static var effective: Instant? {
        var earliest: Instant?
        var deadline = current?.inForce
        while let next = deadline {
            earliest = min(earliest ?? .distantFuture, next.expiration)
            deadline = next.withLock({ $0.outer })?.inForce
        }
        return earliest
    }

    /// The time until ``effective``; nil if no deadline is in force. What to hand on to another system.
    public static var timeLeft: Duration? {
        guard let current, let effective else { return nil }
        return max(current.loop.now.duration(to: effective), .zero)
    }

    /// `Deadline(in 2.5 seconds)`.
    public var description: String {
        hasExpired
            ? "Deadline(expired)" : expiration == .distantFuture ? "Deadline(never)" : "Deadline(in \(remaining))"
    }

    // MARK: Moving

    /// Moves the expiration; an instant that has passed means now. False if it has expired already, or is over.
    @discardableResult
    public func reschedule(to expiration: Instant) -> Bool {
        let former: Timer? = withLock { state in
            guard state.phase == .running || state.phase == .idle else { return nil }
            state.expiration = expiration
            return takeTimer(of: &state)
        }
        guard let former else { return false }
        disarm(former)
        arm()
        return true
    }

    /// Moves the expiration to so much time from now.
    @discardableResult
    public func reschedule(in duration: Duration) -> Bool { reschedule(to: loop.now.advanced(by: duration)) }

    // MARK: Its life

    /// The body begins, in the task that runs here.
    package func begin() {
        let isArmed = withLock { state in
            state.phase = .running
            unsafe state.task = swift_task_getCurrent()
            // The common case in one breath: a time to come on this thread's own loop.
            guard loop.isCurrent, state.expiration != .distantFuture, loop.now < state.expiration else { return false }
            state.timer = .own(loop.core.addTimer(at: state.expiration, .expire(self)))
            return true
        }
        if !isArmed { arm() }
    }

    /// The body has ended, in the same task: nobody cancels it any more. False while another thread is just cancelling
    /// the task, which must not go away meanwhile: ask again.
    package func end() -> Bool {
        let timer: Timer? = withLock { state in
            if state.phase == .expiring { return nil }
            unsafe state.task = nil
            state.isOver = true
            if state.phase == .running { state.phase = .over }
            return takeTimer(of: &state)
        }
        guard let timer else { return false }
        disarm(timer)
        return true
    }

    private func arm() {
        let expiration = expiration
        guard expiration != .distantFuture else { return }
        if expiration <= loop.now { return expire() }
        if loop.isCurrent {
            keep(.own(loop.core.addTimer(at: expiration, .expire(self))), for: expiration)
        } else {
            setAlarm(for: expiration)
        }
    }

    private func keep(_ timer: Timer, for expiration: Instant) {
        let isUseful = withLock { state in
            guard state.phase == .running, state.expiration == expiration, case .none = state.timer else {
                return false
            }
            state.timer = timer
            return true
        }
        if !isUseful { disarm(timer) }
    }

    /// A loop may have ended, or end, and its tasks go on where no loop is: so do their limits.
    private func setAlarm(for expiration: Instant) {
        keep(.call(loop.alarm(at: expiration) { self.expire() }), for: expiration)
    }

    /// The loop closes: the timer that it had for this goes elsewhere.
    func moveToAfterlife() {
        disarm(withLock { takeTimer(of: &$0) })
        setAlarm(for: expiration)
    }

    private func disarm(_ timer: Timer) {
        switch timer {
        case .none: break
        case .own(let timer):
            if loop.isCurrent { loop.core.removeTimer(timer) } else { loop.post(.cancelTimer(timer)) }
        case .call(let call): call.cancel()
        }
    }

    private func takeTimer(of state: inout State) -> Timer {
        defer { state.timer = .none }
        return state.timer
    }

    /// The time has come, unless it was moved meanwhile.
    func expire() {
        let now = loop.now
        let task: UnsafeMutableRawPointer? = unsafe withLock { state in
            guard state.phase == .running, state.expiration <= now else { return nil }
            state.phase = .expiring
            return unsafe state.task
        }
        guard let task = unsafe task else { return }
        // Outside of the lock: cancellation handlers may come back to this object.
        unsafe casyncio_task_cancel(task)
        withLock { $0.phase = .expired }
    }

    private func withLock<Result>(_ body: (inout State) -> Result) -> Result {
        lock.acquire()
        defer { lock.release() }
        return body(&state)
    }
}

/// A body did not end within its limit: ``withTimeout(_:isolation:_:)``, ``withDeadline(_:isolation:_:)``.
public struct TimeoutError: Error, Hashable, CustomStringConvertible {
    /// The limit, on the clock of the loop.
    public let expiration: Instant
    /// The time that was given, where it was given as a duration.
    public let timeout: Duration?

    /// Creates the error.
    public init(expiration: Instant, timeout: Duration? = nil) {
        self.expiration = expiration
        self.timeout = timeout
    }

    /// `timed out after 5.0 seconds`.
    public var description: String { timeout.map { "timed out after \($0)" } ?? "the deadline has passed" }
}
