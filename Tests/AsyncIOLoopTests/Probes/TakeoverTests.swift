import AsyncIOTestSupport
import Testing

@Suite("Takeover")
struct TakeoverTests {
    @Test("everything that Swift runs is on the loop", arguments: ["probe-takeover", "probe-main"])
    func executors(program: String) async throws {
        let run = try await ProbeRun.of(program, "executors")
        #expect(run.ending == .exited(0))
        let threads = run.lines.filter { $0.contains(": same thread ") }
        #expect(threads.filter { !$0.hasSuffix("true") } == [])
        // A scene that stopped early would say nothing false.
        #expect(threads.count == 42)
        #expect(
            run.lines.filter { !$0.contains(": same thread ") } == [
                "slept long enough: true", "sleepers at home: 1000", "a cancelled sleep ends: true",
                "stream fed by a foreign thread: 100 items, 100 at home", "another loop is elsewhere: true",
                "its actor is elsewhere: true", "it stays there after a visit here: true", "is current: true",
            ])
    }

    @Test("tasks that are started between two runs are not lost")
    func between() async throws {
        let run = try await ProbeRun.of("probe-takeover", "between")
        #expect(run.ending == .exited(0))
        #expect(
            run.lines == [
                "first run: 1", "isolated between runs: true", "plain task between runs: 2",
                "main actor task between runs: same thread true", "Task{} in the second run: same thread true",
                "after sleep in the second run: same thread true", "third run: true",
            ])
    }

    @Test("a task that was started between two runs comes to the second one's loop")
    func comingHome() async throws {
        let run = try await ProbeRun.of("probe-takeover", "coming-home")
        #expect(run.ending == .exited(0))
        #expect(run.lines == ["task from between: same thread true"])
    }

    @Test("a task of a runner's first body goes on in the second")
    func runner() async throws {
        let run = try await ProbeRun.of("probe-takeover", "runner")
        #expect(run.ending == .exited(0))
        #expect(run.lines == ["task of the first body: same thread true"])
    }

    @Test("plain tasks are cancelled and awaited at the end, and who does not stop is named")
    func ending() async throws {
        let run = try await ProbeRun.of("probe-takeover", "ending")
        #expect(run.ending == .exited(0))
        #expect(run.lines.contains("obedient: cancelled true, true"))
        #expect(run.lines.contains("on main: cancelled true"))
        let report = try #require(run.lines.first { $0.hasPrefix("unhandled: loop main: ") })
        let names = report.split(separator: ": ").last?.split(separator: ", ").map(String.init) ?? []
        #expect(names.filter { $0 == "stubborn spawned" }.count == 1)
        #expect(names.filter { $0 == "stubborn plain" }.count == 1)
        #expect(names.filter { $0.hasPrefix("a plain task without a name") }.count == 1)
        #expect(names.count == 3)
        #expect(run.lines.last == "second run: 1")
    }

    @Test("main actor code that outlives its run stays off other threads")
    func mainActor() async throws {
        let run = try await ProbeRun.of("probe-takeover", "ending")
        #expect(run.lines.contains("run has ended"))
        #expect(!run.lines.contains("main actor code on another thread"))
    }

    @Test(
        "plain tasks that end on another loop's thread are forgotten, too",
        .enabled(if: Sanitizer.isNone, "counts memory"))
    func forgotten() async throws {
        let run = try await ProbeRun.of("probe-takeover", "forgotten")
        #expect(run.ending == .exited(0))
        #expect(run.lines.first?.hasPrefix("memory stays: true") == true, "\(run.lines)")
    }

    @Test(
        "hundreds of thousands of timers take little memory, and no more after being cancelled and armed again",
        .enabled(if: Sanitizer.isNone, "counts memory"))
    func timers() async throws {
        let run = try await ProbeRun.of("probe-takeover", "timers")
        #expect(run.ending == .exited(0))
        #expect(run.lines.count == 3)
        #expect(run.lines.allSatisfy { $0.hasSuffix("true") }, "\(run.lines)")
    }

    @Test("a run inside an asynchronous main that has taken over is refused")
    func nested() async throws {
        let run = try await ProbeRun.of("probe-main", "nested")
        #expect(run.ending == .exited(0))
        #expect(run.lines == ["refused: true"])
    }

    @Test("thousands of loops leave neither descriptors nor threads behind")
    func churn() async throws {
        let count = Stress.count("loops that come and go", few: 1000, many: 10_000)
        let run = try await ProbeRun.of("probe-takeover", count == 1000 ? "churn" : "churn-long")
        #expect(run.ending == .exited(0))
        #expect(run.lines == ["descriptors: 0 more", "threads: 0 more"])
    }
}
