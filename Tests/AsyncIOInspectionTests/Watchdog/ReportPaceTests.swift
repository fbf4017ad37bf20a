import AsyncIOKernel
import Testing

@testable import AsyncIOInspection

@Suite("How often a watchdog speaks")
struct ReportPaceTests {
    private final class Loop {}

    @Test("once in its interval; the next report counts the runs between, each once, and not itself")
    func counts() {
        let loops = [Loop(), Loop()]
        func run(_ loop: Int, _ step: UInt64) -> ReportPace.Run {
            ReportPace.Run(loop: ObjectIdentifier(loops[loop]), step: step)
        }
        var pace = ReportPace(interval: .seconds(1))
        var now = Instant(nanoseconds: 1_000_000_000)
        func tell(_ loop: Int, _ step: UInt64) -> Int? {
            let untold = pace.mayTell(run(loop, step), at: now)
            if untold != nil { pace.hasTold(at: now) }
            return untold
        }
        #expect(tell(0, 2) == 0)
        now = now.advanced(by: .milliseconds(500))
        // Each is asked for again and again, as long as it lasts.
        for _ in 0..<3 { #expect(tell(0, 4) == nil) }
        for _ in 0..<3 { #expect(tell(1, 4) == nil) }
        for _ in 0..<3 { #expect(tell(0, 6) == nil) }
        now = now.advanced(by: .milliseconds(500))
        #expect(tell(0, 6) == 2)
        now = now.advanced(by: .seconds(2))
        #expect(tell(1, 8) == 0)
    }
}
