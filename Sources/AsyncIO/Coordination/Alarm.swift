import AsyncIOLoop

/// A limit in time for what waits here: one place, so that all limits of this chapter mean the same clock.
enum Alarm {
    /// Calls back on the loop when the duration is over, unless the call is cancelled before.
    static func set(
        after duration: Duration, on loop: EventLoop, _ ring: @escaping @Sendable () -> Void
    ) -> ScheduledCall {
        loop.callLater(duration, ring)
    }
}
