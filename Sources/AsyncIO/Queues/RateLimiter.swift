import AsyncIOKernel

/// So many permits in so much time, and a few more at once after a quiet while: a token bucket.
///
/// ```swift
/// let limiter = RateLimiter(permits: 100, per: .seconds(1), burst: 20)
/// try await limiter.acquire()                  // suspends until the next request may be made
/// ```
///
/// The bucket holds at most `burst` permits, is full at the beginning and fills up steadily; nothing is lost to
/// rounding. First come, first served: one who asks for many is not overtaken by those who ask for few. Time is that of
/// the loop on which the calling task runs; the first who waits has a timer for the instant at which its permits are
/// there, nobody else has one.
///
/// Permits are used up, not given back: what bounds how many work at a time is a semaphore.
public final class RateLimiter: Sendable, CustomStringConvertible {
    /// What the limiter is called in errors and in the task tree.
    public let name: String
    private let parking: Parking<RateMachine>
    /// The timer of the first who waits, under the lock of the parking.
    @safe @exclusivity(unchecked) nonisolated(unsafe) private var timer: ScheduledCall?
    /// How often a timer was set: the newest counts.
    @safe @exclusivity(unchecked) nonisolated(unsafe) private var timers: UInt64 = 0

    /// Makes a limiter whose bucket is full.
    ///
    /// Numbers below one, and a time that is not more than zero, are mistakes in the program and stop it with a
    /// message.
    ///
    /// - Parameters:
    ///   - permits: How many permits there are in that time.
    ///   - time: The time.
    ///   - burst: How many permits there are at most at once; as many as `permits` if nothing is said.
    ///   - name: What it is called.
    ///   - sharing: Who may use it.
    public init(
        permits: Int, per time: Duration, burst: Int? = nil, name: String = "rate limiter",
        sharing: Sharing = .acrossThreads
    ) {
        let burst = burst ?? permits
        callerMust(permits > 0, "a rate of \(permits) permits: allow at least one")
        callerMust(time > .zero, "a rate of \(permits) permits per \(time): the time must be more than zero")
        callerMust(burst > 0, "a rate with a burst of \(burst): it must be at least one")
        self.name = name
        parking = Parking(
            RateMachine(permits: permits, nanoseconds: time.saturatedNanoseconds, burst: burst), name: name,
            sharing: sharing)
        // Who comes next may have all it needs, now that the one in front has left. A visitor keeps the limiter alive.
        parking.visitorHasLeft = { [unowned self] machine, woken in
            guard let first = machine.waiters.first else { return setTimer(&machine) }
            serve(&machine, at: Self.loop(of: first).now, waking: &woken)
        }
    }

    /// Uses up permits, and suspends until they are there and those who came before have theirs.
    ///
    /// Throws `CancellationError`, ``RateLimitError`` for more permits than ``burst``, and `EventLoopError.noLoop`
    /// where no loop runs; no permit is used up then. None or less is granted at once.
    public func acquire(_ count: Int = 1) async throws {
        try check(count)
        if try Visit.mayGoOnNow() && takeNow(count) { return }
        try await Visit.takeTurns()
        let loop = try EventLoop.required()
        let visitor = await parking.park(note: count) { machine, visitor, _ in
            // The visitor carries the loop whose clock and timer serve it.
            unsafe visitor.slot(for: Unmanaged<EventLoop>.self).initialize(to: .passUnretained(loop))
            machine.fill(at: loop.now)
            guard !machine.take(count) else {
                visitor.grant()
                return .answered
            }
            machine.wait(visitor)
            setTimer(&machine)
            return .parked
        }
        withExtendedLifetime(loop) {}
        defer { parking.recycle(visitor) }
        guard visitor.phase == .granted else { throw CancellationError() }
    }

    /// Uses up permits if they are there now and nobody waits. Never suspends.
    ///
    /// Throws ``RateLimitError`` for more permits than ``burst``, and `EventLoopError.noLoop` where no loop runs.
    public func tryAcquire(_ count: Int = 1) throws -> Bool {
        try check(count)
        return try takeNow(count)
    }

    /// How many permits there are at most at once.
    public var burst: Int { parking.read { $0.burst } }

    /// How many permits are there now; where no loop runs, when somebody last asked for one.
    public var available: Int {
        let now = EventLoop.current?.now
        return parking.read { machine in
            if let now { machine.fill(at: now) }
            return machine.available
        }
    }

    /// The tasks that wait for permits, longest first.
    public var waitingTasks: [TaskID] { parking.read { $0.waiters.tasks } }

    /// What has happened so far, and who waits.
    public var statistics: RateStatistics {
        parking.read { RateStatistics(used: $0.used, waits: $0.waits, waiting: $0.waiters.count) }
    }

    /// `RateLimiter(requests, 3 of 20 permits)`.
    public var description: String { "RateLimiter(\(name), \(available) of \(burst) permits)" }

    private func check(_ count: Int) throws {
        let burst = burst
        if count > burst { throw RateLimitError(subject: name, requested: count, burst: burst) }
    }

    private func takeNow(_ count: Int) throws -> Bool {
        let now = try EventLoop.required().now
        return parking.read { machine in
            machine.fill(at: now)
            return machine.take(count)
        }
    }

    /// The loop whose clock and timer serve a visitor, which keeps it alive.
    private static func loop(of visitor: ParkedTask) -> EventLoop {
        unsafe visitor.slot(for: Unmanaged<EventLoop>.self).pointee.takeUnretainedValue()
    }

    /// Lets all go on whose permits are there.
    private func serve(_ machine: inout RateMachine, at now: Instant, waking woken: inout WakeList) {
        machine.fill(at: now)
        machine.grant(waking: &woken)
        setTimer(&machine)
    }

    /// Sets the timer of the first who waits, if it has none yet, on the loop where it waits.
    private func setTimer(_ machine: inout RateMachine) {
        guard let (first, due) = machine.firstWithoutTimer() else { return }
        timer?.cancel()
        timer = nil
        guard let first else { return }
        let loop = Self.loop(of: first)
        timers += 1
        let number = timers
        timer = loop.alarm(at: due) { [self] in
            parking.visit { machine, woken in
                guard timers == number else { return }
                machine.timerHasFired()
                serve(&machine, at: loop.now, waking: &woken)
            }
        }
    }
}
