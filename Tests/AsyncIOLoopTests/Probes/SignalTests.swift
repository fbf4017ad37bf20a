import AsyncIOTestSupport
import Glibc
import Testing

@Suite("Signals during a run")
struct SignalTests {
    @Test("the first Ctrl-C cancels the body, which cleans up, and run throws")
    func interrupt() async throws {
        let run = try await ProbeRun.of("probe-takeover", "interrupt", sending: [("ready", SIGINT)])
        #expect(run.ending == .exited(0))
        #expect(run.lines == ["ready", "cleaned up, cancelled true", "interrupted by 2", "handler restored: true"])
    }

    @Test("SIGTERM does the same where it is asked for")
    func terminate() async throws {
        let run = try await ProbeRun.of("probe-takeover", "terminate", sending: [("ready", SIGTERM)])
        #expect(run.ending == .exited(0))
        #expect(run.lines == ["ready", "cleaned up, cancelled true", "interrupted by 15", "handler restored: true"])
    }

    @Test("SIGTERM keeps its own action where it is not asked for")
    func terminateIsNotOurs() async throws {
        let run = try await ProbeRun.of("probe-takeover", "interrupt", sending: [("ready", SIGTERM)])
        #expect(run.ending == .signalled(SIGTERM))
        #expect(run.lines == ["ready"])
    }

    @Test(
        "a second Ctrl-C ends the process at once, even in a loop that never suspends",
        .enabled(if: !Sanitizer.isThread, "it keeps signals back until the next system call"))
    func busy() async throws {
        let signals: [(after: String, signal: CInt)] = [("ready", SIGINT), ("cancelled", SIGINT)]
        let run = try await ProbeRun.of("probe-takeover", "busy", sending: signals)
        #expect(run.ending == .signalled(SIGINT))
        #expect(run.lines == ["ready", "cancelled"])
    }

    @Test("a run that cannot watch for Ctrl-C says so, and does not begin")
    func outOfDescriptors() async throws {
        let run = try await ProbeRun.of("probe-takeover", "out-of-descriptors")
        #expect(run.lines == ["eventfd signals: Too many open files", "the body ran later"])
    }

    @Test("a signal that the process was started to ignore stays ignored")
    func ignored() async throws {
        let run = try await ProbeRun.of("probe-takeover", "ignored")
        #expect(run.ending == .exited(0))
        #expect(run.lines == ["cancelled: false", "still ignored: true"])
    }

    @Test("a body that answers its cancellation with a value has that value returned")
    func answered() async throws {
        let run = try await ProbeRun.of("probe-takeover", "answered")
        #expect(run.ending == .exited(0))
        #expect(run.lines == ["value 17"])
    }

    @Test("a signal just before the loop goes to sleep is not slept through")
    func race() async throws {
        let run = try await ProbeRun.of("probe-takeover", "race")
        #expect(run.ending == .exited(0))
        #expect(run.lines == ["interrupted 200 times", "handler restored: true"])
    }

    @Test("a program's own handler is put back after the run")
    func ownHandler() async throws {
        let run = try await ProbeRun.of("probe-takeover", "own-handler")
        #expect(run.ending == .exited(0))
        #expect(run.lines == ["own handler"])
    }

    @Test("two runs at once do not take each other's signals away")
    func twoRuns() async throws {
        let run = try await ProbeRun.of("probe-takeover", "two-runs")
        #expect(run.ending == .exited(0))
        #expect(run.lines == ["interrupted by 2", "handler restored: true"])
    }

    @Test("a thousand SIGALRM a second disturb neither timers nor input and output")
    func alarms() async throws {
        let run = try await ProbeRun.of("probe-takeover", "alarms")
        #expect(run.ending == .exited(0))
        #expect(
            run.lines == [
                "slept long enough: true", "slept not too long: true", "echoed: 2000", "offloaded: 5",
                "alarms came: true",
            ])
    }

    @Test("Ctrl-C in an asynchronous main that has taken over ends what the loop owns, then the process")
    func interruptedMain() async throws {
        let run = try await ProbeRun.of("probe-main", "interrupt", sending: [("ready", SIGINT)])
        #expect(run.ending == .signalled(SIGINT))
        #expect(run.lines == ["ready", "background cleaned up"])
    }
}
