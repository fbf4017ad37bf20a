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

    @Test(
        "a second Ctrl-C ends the first process of a container, too, which the kernel spares",
        .enabled(if: !Sanitizer.isThread, "it keeps signals back until the next system call"))
    func firstProcess() async throws {
        let program = ProbeProcess.folder + "/probe-takeover"
        let run = try await ProbeRun.of("/usr/bin/env", "unshare", "--pid", "--fork", program, "second")
        guard run.lines.first == "process 1" else { return print("skipped: no PID namespaces here") }
        #expect(run.lines == ["process 1"])
        #expect(run.ending == .exited(128 + SIGINT))
    }

    @Test(
        "a second Ctrl-C does what it did before the run: here the program's own handler",
        .enabled(if: !Sanitizer.isThread, "it keeps signals back until the next system call"))
    func secondOfOthers() async throws {
        let run = try await ProbeRun.of("probe-takeover", "second-of-others")
        #expect(run.lines.prefix(2) == ["own handler", "not ended"])
    }

    @Test("a signal that is sent twice at once, as timeout(1) does, cancels the body and no more")
    func doubled() async throws {
        let run = try await ProbeRun.of("probe-takeover", "doubled")
        #expect(run.lines == ["cancelled"])
        #expect(run.ending == .exited(0))
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

    @Test(
        "a signal just before the loop goes to sleep is not slept through",
        .enabled(if: !Sanitizer.isThread, "it keeps signals back until a system call that it knows"))
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

    /// D8.
    @Test(
        "a flood of SIGUSR1 interrupts no call that anybody hears of",
        .enabled(if: !Sanitizer.isThread, "it keeps signals back until the next system call"))
    func flood() async throws {
        let count = Stress.count("signals in a flood", few: 50_000, many: 1_000_000)
        let run = try await ProbeRun.of("probe-takeover", count == 50_000 ? "flood-short" : "flood")
        #expect(run.ending == .exited(0))
        #expect(
            run.lines == [
                "slept long enough: true", "echoed: 2000", "flooded: true", "signals came: true",
                "and one after the last: true",
            ])
    }

    /// C14. A step of the clock has no test: timers count CLOCK_MONOTONIC, which clock_settime(2) cannot step.
    @Test("timers that became due while the process was stopped fire once each, in order, and none early")
    func stopped() async throws {
        let run = try await Watchdog.onThread(limit: .seconds(120)) {
            var process = try ProbeProcess("probe-takeover", ["stopped"])
            let isReady = process.waits(for: "ready")
            process.stop()
            usleep(1_000_000)  // sleeps: the process has to be stopped until its timers are due
            process.send(SIGCONT)
            let ending = process.end()
            return (isReady, ending, process.lines)
        }
        #expect(run.0 && run.1 == .exited(0))
        let order = (1...20).map(String.init).joined(separator: " ")
        #expect(run.2 == ["ready", "fired: \(order)", "early: 0", "was stopped: true"])
    }

    /// D9.
    @Test(
        "at a terminal the first Ctrl-C cancels the body, and the second one ends the process",
        // The thread sanitizer keeps the second one back until the next system call.
        arguments: Sanitizer.isThread ? [1] : [1, 2])
    func terminal(presses: Int) async throws {
        let run = try await ProbeRun.atTerminal("probe-takeover", presses == 1 ? "interrupt" : "busy", presses: presses)
        guard run.ending != .exited(127) else { return print("skipped: python3 is not installed") }
        #expect(run.ending == .exited(0), "\(run.lines)")
        #expect(
            run.lines
                == (presses == 1
                    ? [
                        "ready", "^Ccleaned up, cancelled true", "interrupted by 2", "handler restored: true", "exit 0",
                    ] : ["ready", "^Ccancelled", "^Csignal 2"]))
    }

    @Test("Ctrl-C in an asynchronous main that has taken over ends what the loop owns, then the process")
    func interruptedMain() async throws {
        let run = try await ProbeRun.of("probe-main", "interrupt", sending: [("ready", SIGINT)])
        #expect(run.ending == .signalled(SIGINT))
        #expect(run.lines == ["ready", "background cleaned up"])
    }
}
