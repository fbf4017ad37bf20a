public import AsyncIOKernel

extension EventLoop {
    /// The loop's clock, for `Task.sleep(until:clock:)` and everything else that takes one. Virtual in a simulation.
    public var clock: LoopClock { LoopClock(loop: self) }

    /// Suspends for a duration; zero or less lets the others run first, once.
    ///
    /// Throws `CancellationError` at once if the task is or becomes cancelled; the timer leaves the loop's list with
    /// it.
    public func sleep(for duration: Duration) async throws {
        try await sleep(until: now.advanced(by: duration))
    }

    /// Suspends until an instant of the loop's clock. Never ends early; `Instant.distantFuture` never ends by itself.
    public func sleep(until deadline: Instant) async throws {
        try await check(perform(.sleep(deadline)), "sleep", "")
    }
}

/// A loop's time as a `Clock`: monotonic, not counting the time in which the machine was suspended.
public struct LoopClock: Clock {
    let loop: EventLoop

    /// The loop's time.
    public var now: Instant { loop.now }

    /// One nanosecond. Timers fire at their instant or later, never earlier.
    public var minimumResolution: Duration { .nanoseconds(1) }

    /// Suspends until the instant; the tolerance is not used. Throws `CancellationError`.
    public func sleep(until deadline: Instant, tolerance: Duration? = nil) async throws {
        try await loop.sleep(until: deadline)
    }
}
