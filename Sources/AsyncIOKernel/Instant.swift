import CAsyncIO

/// A point in time on a loop's clock: nanoseconds since an arbitrary start, never set back, not counting the time in
/// which the machine was suspended (CLOCK_MONOTONIC of clock_gettime(2)).
///
/// Arithmetic saturates: a deadline further away than 292 years is ``distantFuture``, which never comes.
public struct Instant: InstantProtocol, Hashable, Sendable, CustomStringConvertible {
    /// Nanoseconds since the clock's start.
    public let nanoseconds: Int64

    /// Creates an instant from the clock's nanoseconds.
    public init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    /// The instant that never comes.
    public static let distantFuture = Instant(nanoseconds: .max)
    /// The instant before all others.
    public static let distantPast = Instant(nanoseconds: .min)

    /// The kernel's monotonic clock, now.
    package static var monotonicNow: Instant { Instant(nanoseconds: casyncio_monotonic_nanoseconds()) }

    /// The instant that lies a duration later; saturates.
    public func advanced(by duration: Duration) -> Instant {
        let (sum, overflow) = nanoseconds.addingReportingOverflow(duration.saturatedNanoseconds)
        guard overflow else { return Instant(nanoseconds: sum) }
        return duration < .zero ? .distantPast : .distantFuture
    }

    /// The time from this instant to the other; saturates.
    public func duration(to other: Instant) -> Duration {
        let (difference, overflow) = other.nanoseconds.subtractingReportingOverflow(nanoseconds)
        guard overflow else { return .nanoseconds(difference) }
        return .nanoseconds(other.nanoseconds < nanoseconds ? Int64.min : Int64.max)
    }

    /// Orders by time.
    public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

    /// Seconds since the clock's start.
    public var description: String { "\(Duration.nanoseconds(nanoseconds))" }
}

extension Duration {
    /// Whole nanoseconds, rounded up so that a timer never fires early; the ends of `Int64` stand for anything beyond.
    package var saturatedNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return seconds < 0 ? .min : .max }
        let part = attoseconds / 1_000_000_000 + (attoseconds % 1_000_000_000 > 0 ? 1 : 0)
        let (sum, carry) = scaled.addingReportingOverflow(part)
        return carry ? (part < 0 ? .min : .max) : sum
    }
}
