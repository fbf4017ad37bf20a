import AsyncIOKernel
import AsyncIOTestSupport
import Testing

@Suite("Points in time")
struct TimeTests {
    @Test(
        "arithmetic saturates instead of trapping",
        arguments: [
            (Int64.max, Duration.nanoseconds(1), Int64.max), (.max, .seconds(Int64.max), .max),
            (.min, .nanoseconds(-1), .min),
            (.min, .seconds(Int64.min), .min), (0, .seconds(Int64.max), .max), (0, .seconds(Int64.min), .min),
            (-5, .seconds(Int64.max), .max - 5), (.max, .seconds(-1), .max - 1_000_000_000),
            (0, .seconds(1), 1_000_000_000),
            (1, .zero, 1), (.max, .seconds(Int64.min), -1), (0, .seconds(9_223_372_036), 9_223_372_036_000_000_000),
            (0, .seconds(9_223_372_037), .max), (0, .seconds(-9_223_372_037), .min),
        ])
    func advanced(start: Int64, duration: Duration, end: Int64) {
        #expect(Instant(nanoseconds: start).advanced(by: duration).nanoseconds == end)
    }

    @Test("the time between the ends of time is as long as can be said")
    func durations() {
        #expect(Instant.distantPast.duration(to: .distantFuture) == .nanoseconds(Int64.max))
        #expect(Instant.distantFuture.duration(to: .distantPast) == .nanoseconds(Int64.min))
        #expect(Instant(nanoseconds: 5).duration(to: Instant(nanoseconds: 3)) == .nanoseconds(-2))
    }

    @Test(
        "parts of a nanosecond are rounded up, so that no timer fires early",
        arguments: [
            (1, 1), (999_999_999, 1), (1_000_000_000, 1), (1_000_000_001, 2), (0, 0), (-1, 0), (-1_500_000_000, -1),
        ])
    func rounding(attoseconds: Int64, nanoseconds: Int64) {
        #expect(Duration(secondsComponent: 0, attosecondsComponent: attoseconds).saturatedNanoseconds == nanoseconds)
    }

    @Test("instants are ordered by time, and the clock does not go back")
    func ordered() {
        #expect(Instant.distantPast < Instant(nanoseconds: 0))
        #expect(Instant(nanoseconds: 0) < Instant.distantFuture)
        var last = Instant.monotonicNow
        for _ in 0..<10_000 {
            let now = Instant.monotonicNow
            #expect(now >= last)
            last = now
        }
    }
}
