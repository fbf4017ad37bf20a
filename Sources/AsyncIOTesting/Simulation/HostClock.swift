import AsyncIOKernel

/// A host's monotonic clock: it goes with the world's, or a little faster or slower, and never back.
struct HostClock {
    private var worldStart = World.start
    private var hostStart = World.start
    /// Seconds of the host in a second of the world.
    private(set) var rate = 1.0

    /// Goes on at another rate from here on.
    mutating func setRate(_ rate: Double, at now: Instant) {
        hostStart = time(at: now)
        worldStart = now
        self.rate = rate
    }

    /// What the clock shows at an instant of the world.
    func time(at now: Instant) -> Instant {
        guard rate != 1 else { return hostStart.advanced(by: worldStart.duration(to: now)) }
        return hostStart.advanced(by: worldStart.duration(to: now) * rate)
    }

    /// When the clock will show an instant: an instant of the world, at most a few nanoseconds late.
    func worldTime(of time: Instant) -> Instant {
        guard time != .distantFuture else { return time }
        let left = hostStart.duration(to: time)
        guard rate != 1 else { return worldStart.advanced(by: left) }
        return worldStart.advanced(by: left / rate + .nanoseconds(2))
    }
}

/// How time goes on for a host.
final class HostPace {
    /// The host's own clock.
    @safe @exclusivity(unchecked) var clock = HostClock()
    /// Until when nothing runs there.
    @safe @exclusivity(unchecked) var pausedUntil = Instant.distantPast
}
