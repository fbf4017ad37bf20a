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
