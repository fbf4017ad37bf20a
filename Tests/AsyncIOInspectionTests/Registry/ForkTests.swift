import AsyncIOTestSupport
import Testing

@Suite("A child that was forked")
struct ForkTests {
    @Test("is inspected as its parent was, once a loop of its own runs")
    func child() async throws {
        let run = try await ProbeRun.of("probe-inspected", "fork")
        #expect(
            run.lines == [
                "the watchdog has seen the child's loop", "debug mode has found what the child let go of",
                "the child sees 1 loop", "at SIGQUIT it prints its loop", "the child has ended with 0",
            ])
        #expect(run.ending == .exited(0))
    }
}
