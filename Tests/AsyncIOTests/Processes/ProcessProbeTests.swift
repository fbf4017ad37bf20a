import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("Children of a program with habits")
struct ProcessProbeTests {
    @Test("where another part reaps all children, nothing hangs and no status is invented")
    func thief() async throws {
        let count = Stress.count("stolen children", few: 200, many: 10_000)
        let run = try await ProbeRun.of("probe-processes", "thief", "\(count)")
        #expect(run.lines.last == "\(count) of \(count)")
        // From Linux 6.15 on the kernel remembers; before, the error says what has happened.
        for line in run.lines.dropLast() { #expect(line.contains("another part of this program has reaped it")) }
        #expect(run.ending == .exited(0))
    }

    @Test("where SIGCHLD is ignored, a spawn is an error that says so")
    func ignored() async throws {
        let run = try await ProbeRun.of("probe-processes", "ignored")
        #expect(run.lines.first?.hasPrefix("spawn true: SIGCHLD is ignored in this process") == true)
        #expect(["then exited with 0", "then lost"].contains(run.lines.last))
        #expect(run.ending == .exited(0))
    }

    @Test("inherited streams stay as they are, and are complete")
    func inherit() async throws {
        let run = try await ProbeRun.of("probe-processes", "inherit")
        #expect(run.lines.count == 300_001)
        #expect(run.lines.first == "1")
        #expect(run.lines.last == "exited with 0, flags unchanged")
    }

    @Test("children of every fate leave no descriptor and no zombie, and have no thread of their own")
    func flat() async throws {
        let count = Stress.count("children", few: 200, many: 10_000)
        let run = try await ProbeRun.of("probe-processes", "flat", "\(count)")
        #expect(run.lines.prefix(2) == ["descriptors flat", "threads few"])
        let quarter = count / 4
        #expect(run.lines.last == "fates \(quarter + 1) \(quarter) \(quarter) \(quarter)")
        #expect(run.ending == .exited(0))
    }

    /// In a namespace where the test says which number comes next: `ns_last_pid` of pid_namespaces(7).
    @Test("a handle reaches nobody when its number is another child's")
    func recycled() async throws {
        let count = Stress.count("numbers that come again", few: 50, many: 5_000)
        let program = ProbeProcess.folder + "/probe-processes"
        let run = try await ProbeRun.of(
            "/usr/bin/env", "unshare", "--pid", "--fork", program, "recycle", "\(count)")
        guard run.lines.first == "process 1" else { return print("skipped: no namespaces of processes here") }
        guard run.lines.last != "no choice" else { return print("skipped: ns_last_pid cannot be written here") }
        #expect(run.lines == ["process 1", "\(count) numbers came again, 0 of their new owners were reached"])
        #expect(run.ending == .exited(0))
    }

    @Test("where the kernel has no pidfd, a spawn is an error that says so, and leaves no child")
    func noHandles() async throws {
        let program = ProbeProcess.folder + "/probe-processes"
        let fault = "inject=pidfd_open:error=ENOSYS"
        let run = try await ProbeRun.of(
            "/usr/bin/env", "strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=pidfd_open", "-e", fault, program,
            "no-handles")
        guard run.ending != .exited(127) else { return print("skipped: strace is not installed") }
        let words = "the kernel has no pidfd: Linux 5.4 or newer is needed"
        #expect(run.lines.count == 2)
        #expect(run.lines.first?.hasPrefix("pidfd_open sleep (process ") == true)
        #expect(run.lines.first?.hasSuffix(words) == true, "\(run.lines)")
        #expect(run.lines.last == "then 0 children, and the loop goes on")
        #expect(run.ending == .exited(0))
    }

    @Test("the child of a fork that touches a loop gets a clear error, and its parent goes on")
    func fork() async throws {
        let run = try await ProbeRun.of("probe-processes", "fork")
        let answers = [
            "asks for the loop: exits with 40", "starts another: exits with 41", "calls the loop: is ended",
            "calls another loop: is ended", "reads: is ended", "parent: whole",
        ]
        // Between them stands what the children have said to standard error.
        #expect(run.lines.filter { answers.contains($0) } == answers)
        let words = "this process was forked by one that runs an event loop"
        let refusals = run.lines.count { $0.contains(words) }
        #expect(refusals == 3)
    }
}
