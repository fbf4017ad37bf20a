import AsyncIO
import AsyncIOTestSupport
import Glibc
import Testing

/// What can only be seen in a process of its own, since it may end by the signal.
@Suite("Signals of a process")
struct SignalProcessTests {
    @Test("a program that listens to Ctrl-C has it instead of its run, until it listens no more")
    func interrupts() async throws {
        let run = try await ProbeRun.of(
            "probe-takeover", "listened-interrupt",
            sending: [
                ("ready", SIGINT), ("heard SIGINT 1, cancelled false", SIGINT),
                ("heard SIGINT 2, cancelled false", SIGINT),
            ])
        #expect(run.ending == .exited(0))
        #expect(
            run.lines == [
                "ready", "heard SIGINT 1, cancelled false", "heard SIGINT 2, cancelled false",
                "interrupted by signal 2", "handler restored: true",
            ])
    }

    /// D9.
    @Test("so it is at a terminal, where Ctrl-C is pressed")
    func terminal() async throws {
        let run = try await ProbeRun.atTerminal("probe-takeover", "listened-interrupt", presses: 3)
        guard run.ending != .exited(127) else { return print("skipped: python3 is not installed") }
        #expect(
            run.lines == [
                "ready", "^Cheard SIGINT 1, cancelled false", "^Cheard SIGINT 2, cancelled false",
                "^Cinterrupted by signal 2", "handler restored: true", "exit 0",
            ])
    }

    @Test("one that was started with its signals blocked hears them, and has them blocked again at the end")
    func blocked() async throws {
        let line = "heard; blocked again: true, the run's: false"
        let run = try await ProbeRun.of("probe-takeover", "blocked", sending: [("ready", SIGHUP), (line, SIGINT)])
        #expect(run.ending == .exited(0))
        #expect(run.lines == ["ready", line, "interrupted by signal 2; blocked again: true"])
    }

    @Test("a run that Ctrl-C has ended ends the process by the signal, also where that was blocked")
    func blockedEnd() async throws {
        let run = try await ProbeRun.of("probe-takeover", "blocked-end", sending: [("ready", SIGINT)])
        #expect(run.ending == .signalled(SIGINT))
    }

    @Test("our handler, which others have put back when nobody listened any more, is gone with the next listener")
    func handlerPutBack() async throws {
        let run = try await ProbeRun.of("probe-takeover", "handler-put-back")
        #expect(run.lines == ["handler restored: true"])
    }

    @Test("a child has no signal blocked, ignored or caught because its parent listens")
    func children() async throws {
        let run = try await ProbeRun.of("probe-takeover", "children")
        #expect(run.ending == .exited(0))
        let masks = try run.lines.filter { $0.hasPrefix("Sig") }.map { line in
            try #require(UInt64(line.drop { $0 != "\t" }.dropFirst(), radix: 16), "\(line)")
        }
        let ours: UInt64 = [SIGINT, SIGTERM, SIGUSR1, SIGCHLD, SIGPIPE].reduce(0) { $0 | 1 << UInt64($1 - 1) }
        #expect(masks.count == 3 && masks.allSatisfy { $0 & ours == 0 }, "\(run.lines)")
        #expect(masks.first == 0, "nothing is blocked")
        #expect(run.lines.last == "heard SIGCHLD")
    }

    @Test("there is room for 256 listeners, and the next one is told so")
    func many() async throws {
        let run = try await ProbeRun.of("probe-takeover", "many-listeners")
        #expect(
            run.lines == [
                "listen to signals: 256 listeners at once; share one, or end some", "heard 256", "restored: true",
            ])
    }

    /// D15.
    @Test("a child of fork(2) that touches its parent's loop is stopped, and the parent hears nothing of it")
    func forks() async throws {
        let run = try await ProbeRun.of("probe-takeover", "forks")
        #expect(run.ending == .exited(0))
        let message = "this process was forked by one that runs an event loop, and must not touch it"
        #expect(run.lines.count { $0.contains(message) } == 3)
        // A crash may print its stack as well.
        let told = run.lines.filter { line in
            ["callSoon", "sleep", "yield", "run", "nothing", "a signal", "the parent"].contains { line.hasPrefix($0) }
        }
        #expect(
            told == [
                "callSoon: stopped with a message", "sleep: stopped with a message", "yield: stopped with a message",
                "run went through", "run: exit 0", "nothing: exit 7", "a signal to a child: signal \(SIGUSR1)",
                "the parent echoes: 100", "the parent hears: SIGUSR1",
            ])
    }

    /// A1: the kernel's set remembers what is open, not its number.
    @Test("a connection that a child of fork(2) holds a copy of is not reported after its parent has closed it")
    func copies() async throws {
        let run = try await ProbeRun.of("probe-takeover", "copies")
        #expect(run.lines == ["silent", "signal \(SIGKILL)"])
        #expect(run.ending == .exited(0))
    }
}
