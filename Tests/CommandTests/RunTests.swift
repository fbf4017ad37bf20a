import AsyncIOTestSupport
import Foundation
import Testing

@Suite("asyncio run")
struct RunTests {
    @Test("runs so many at once, and no more", arguments: ["epoll", "auto"])
    func bounded(driver: String) async throws {
        try await withFolder { folder in
            // Three that wait for each other, and many that come and go. Each tells how many it has seen.
            let count = "ls \(folder)/now | wc -l >> \(folder)/counts"
            let meeting = "touch \(folder)/now/$$; until [ $(ls \(folder)/now | wc -l) -ge 3 ]; do sleep 0.01; done"
            let three = Array(repeating: "\(meeting); \(count); sleep 0.05; rm \(folder)/now/$$", count: 3)
            let many = Array(repeating: "touch \(folder)/now/$$; \(count); rm \(folder)/now/$$", count: 30)
            try FileManager.default.createDirectory(atPath: "\(folder)/now", withIntermediateDirectories: true)
            // The first three leave only when all are there, and the others come only when one has left.
            let end = try finish(["--jobs", "3", "--driver", driver, "--"] + three + many)
            #expect((end.code, end.errors) == (0, ""))
            #expect(end.output.contains("33 jobs in ") && end.output.hasSuffix(": 33 ok, 0 failed\n"))
            let text = try String(contentsOfFile: "\(folder)/counts", encoding: .utf8)
            let counts = text.split(separator: "\n").compactMap { Int($0.filter(\.isNumber)) }
            #expect(counts.count == 33)
            #expect(counts.max() == 3)
        }
    }

    @Test("lists what has failed, in the order of the jobs, shows what that has written, and exits with 1")
    func failures() async throws {
        try await withFolder { folder in
            let wait = "until [ -e \(folder)/go ]; do sleep 0.01; done"
            let end = try finish([
                "--jobs", "4", "--", "\(wait); echo one; exit 7", "echo fine", "echo out; echo wrong >&2; kill -9 $$",
                "touch \(folder)/go",
            ])
            #expect(end.code == 1)
            #expect(end.output.contains("\n[3] out\n[3] wrong\n"))
            #expect(end.output.contains("\n[1] one\n"))
            #expect(!end.output.contains("[2] fine\n"))
            let list = end.output.split(separator: "\n").drop { $0 != "failed:" }
            #expect(list.count == 4)
            #expect(list.dropFirst().first?.hasPrefix("  [1] exited with 7 after ") == true)
            #expect(list.dropFirst(2).first?.hasPrefix("  [3] ended by SIGKILL (Killed) after ") == true)
            #expect(list.last?.hasPrefix("4 jobs in ") == true && list.last?.hasSuffix(": 2 ok, 2 failed") == true)
        }
    }

    @Test("is plain where nobody sees a line drawn again, and shows all output on demand, whole lines or not")
    func plain() async throws {
        try await blocking {
            let end = try finish(["--jobs", "1", "--show-output", "--", "printf 'a\\nb'", "cat; echo \"[$1]\""])
            #expect(end.code == 0)
            #expect(!end.output.contains("\u{1b}") && !end.output.contains("\r"))
            let lines = end.output.split(separator: "\n").filter { !$0.contains(" ok") }
            // No input, and no arguments.
            #expect(lines == ["[1] a", "[1] b", "[2] []"])
        }
    }

    @Test("a job that ignores SIGTERM is killed with all that it has started when its time is over; its words stay")
    func timeout() async throws {
        try await blocking {
            let stubborn = "trap '' TERM; sh -c 'echo $$; while :; do sleep 1; done' & echo $$; wait; wait"
            let end = try finish(["--timeout", "300ms", "--grace", "100ms", "--", stubborn])
            #expect(end.code == 1)
            #expect(end.output.contains("1/1 [1] timed out after 0.3 s: trap"))
            let processes = end.output.split(separator: "\n").compactMap {
                $0.hasPrefix("[1] ") ? pid_t($0.dropFirst(4)) : nil
            }
            #expect(processes.count == 2)
            for process in processes { #expect(try hasEnded(process)) }
        }
    }

    @Test("Ctrl-C, SIGTERM and SIGHUP end all jobs with all that they have started", arguments: [2, 15, 1])
    func interrupt(signal: Int32) async throws {
        try await withFolder { folder in
            let long = "sleep 1000 & echo $! >> \(folder)/pids; echo $$ >> \(folder)/pids; wait"
            let ready = "until [ $(cat \(folder)/pids | wc -l) -ge 4 ]; do sleep 0.01; done"
            let command = try RunningCommand(["run", "--jobs", "3", "--", long, long, ready, long, long, "true"])
            #expect(try command.line().hasPrefix("1/6 [3] ok in "))
            command.signal(signal)
            let end = try command.finish()
            #expect(end.code == 128 + signal)
            #expect(end.output.contains("interrupted: ending what runs\n"))
            #expect(end.output.contains("[1] stopped after "))
            #expect(!end.output.contains("failed:"))
            let text = try String(contentsOfFile: "\(folder)/pids", encoding: .utf8)
            let processes = text.split(separator: "\n").compactMap { pid_t($0) }
            #expect(processes.count >= 4)
            for process in processes { #expect(try hasEnded(process)) }
        }
    }

    @Test("a second Ctrl-C waits for nobody's grace")
    func secondInterrupt() async throws {
        try await withFolder { folder in
            let stubborn = "trap '' TERM; echo $$ > \(folder)/pid; while :; do sleep 1; done"
            let ready = "until [ -s \(folder)/pid ]; do sleep 0.01; done"
            let command = try RunningCommand(["run", "--jobs", "2", "--grace", "1h", "--", stubborn, ready])
            #expect(try command.line().hasPrefix("1/2 [2] ok in "))
            command.interrupt()
            #expect(try command.line() == "interrupted: ending what runs")
            command.interrupt()
            #expect(try command.finish().code == 130)
            let text = try String(contentsOfFile: "\(folder)/pid", encoding: .utf8)
            #expect(try hasEnded(#require(pid_t(text.filter(\.isNumber)))))
        }
    }

    @Test("the first failure stops the run on demand")
    func stopOnFailure() async throws {
        try await blocking {
            let end = try finish(["--jobs", "2", "--stop-on-failure", "--", "sleep 1000", "exit 2", "true", "true"])
            #expect(end.code == 1)
            #expect(end.output.contains("[1] stopped after "))
            #expect(end.output.hasSuffix(": 0 ok, 1 failed, 1 stopped, 2 not run\n"))
        }
    }

    @Test("keeps the last of a job's output, in whole lines, and lets it write on")
    func outputLimit() async throws {
        try await blocking {
            let end = try finish(["--output-limit", "20", "--", "seq 1 200000; exit 1"])
            let shown = end.output.split(separator: "\n").filter { $0.hasPrefix("[1] ") }
            #expect(shown == ["[1] ... 1288881 bytes before this are left out", "[1] 199999", "[1] 200000"])
        }
    }

    @Test("leaves no zombie behind, and takes no part in a job's background")
    func zombies() async throws {
        try await blocking {
            // The last one looks at its siblings.
            let look = "cat /proc/[0-9]*/stat 2>/dev/null | grep -c \"Z $PPID \"; true"
            let quick = Array(repeating: "true", count: 50)
            let background = "sleep 1000 & echo $!"
            let end = try finish(["--jobs", "1", "--show-output", "--"] + quick + [background, look])
            #expect(end.code == 0)
            #expect(end.output.contains("\n[52] 0\n"))
            let line = end.output.split(separator: "\n").first { $0.hasPrefix("[51] ") && !$0.contains("ok") }
            let left = try #require(line.flatMap { pid_t($0.dropFirst(5)) })
            #expect(kill(left, 0) == 0)
            kill(left, SIGKILL)
        }
    }

    @Test("reads commands from its input or from a file, but for empty lines and comments", arguments: [true, false])
    func list(isFile: Bool) async throws {
        try await withFolder { folder in
            let text = "# what is to be done\n\n  echo one  \n\techo two"
            let end: (code: Int32, output: String, errors: String)
            if isFile {
                try text.write(toFile: "\(folder)/list", atomically: false, encoding: .utf8)
                end = try finish(["--jobs", "1", "--from", "\(folder)/list"])
            } else {
                let input = try Ends()
                input.write(text)
                input.finish()
                let command = try RunningCommand(["run", "--jobs", "1"], input: .descriptor(input.reading))
                end = try command.finish()
                Foundation.close(input.reading)
            }
            let lines = end.output.split(separator: "\n")
            #expect(lines.count == 3)
            #expect(lines.first?.hasPrefix("1/2 [1] ok in ") == true && lines.first?.hasSuffix(": echo one") == true)
            #expect(lines.last?.hasSuffix(": 2 ok, 0 failed") == true)
            #expect(end.code == 0)
        }
    }

    @Test("is interrupted also while it waits for its list")
    func interruptedList() async throws {
        try await blocking {
            let input = try Ends()
            let command = try RunningCommand(["run"], input: .descriptor(input.reading))
            // Nothing tells that it listens by now, other than the mask of the signals that it catches: bit 1, SIGINT.
            try keepLooking { try caught(by: command.number) & 2 != 0 }
            command.interrupt()
            let end = try command.finish()
            #expect((end.code, end.output) == (130, ""))
            input.close()
        }
    }

    @Test("goes on when nobody reads what it says any more")
    func deaf() async throws {
        try await withFolder { folder in
            let output = try Ends()
            Foundation.close(output.reading)
            let command = try RunningCommand(
                ["run", "--jobs", "1", "--", "true", "true", "touch \(folder)/done"],
                output: .descriptor(output.writing))
            #expect(try command.finish().code == 0)
            #expect(FileManager.default.fileExists(atPath: "\(folder)/done"))
            output.finish()
        }
    }

    @Test("draws one line again on a terminal, cut to its width, below what has failed")
    func terminal() async throws {
        try await withFolder { folder in
            let terminal = try Terminal(columns: 40)
            let wait = "until [ -e \(folder)/go ]; do sleep 0.01; done"
            let command = try RunningCommand(
                ["run", "--jobs", "2", "--", "\(wait) # " + String(repeating: "long ", count: 20), "echo no; exit 1"],
                environment: ["PATH=/usr/bin:/bin", "TERM=xterm"], output: .descriptor(terminal.other))
            var seen = try terminal.read(until: "[2] no\r\n")
            seen += try terminal.read(until: "…")
            try Data().write(to: URL(filePath: "\(folder)/go"))
            seen += try terminal.read(until: "1 failed\r\n")
            #expect(try command.finish().code == 1)
            #expect(seen.contains("1/2 [2] exited with 1 after "))
            #expect(seen.contains("[2] no\r\n"))
            let drawn = seen.split(separator: "\r\u{1b}[K").filter { $0.contains(" running, ") }
            #expect(!drawn.isEmpty)
            for line in drawn { #expect(line.reversed().prefix { $0 != "\r\n" }.count <= 39) }
            #expect(seen.hasSuffix(": 1 ok, 1 failed\r\n"))
        }
    }

    @Test(
        "explains what it does not understand",
        arguments: [
            (["--jobs", "0", "--", "true"], "--jobs is a number from 1 to 1024"),
            (["--timeout", "0", "--", "true"], "--timeout is a span of time above 0"),
            (["--timeout", "5 parsecs", "--", "true"], "'5 parsecs' is invalid"),
            (["--output-limit=-1", "--", "true"], "--output-limit is a number of bytes"),
            (["--from", "list", "--", "true"], "and not from both"),
            (["--keep-going", "--stop-on-failure", "--", "true"], "Value to be set with flag"),
        ])
    func usage(arguments: [String], remedy: String) async throws {
        try await blocking {
            let (code, _, errors) = try finish(arguments)
            #expect(code == 64)
            #expect(errors.contains(remedy), "\(errors)")
        }
    }

    @Test("names a list that cannot be read")
    func noList() async throws {
        try await blocking {
            let (code, _, errors) = try finish(["--from", "/nowhere/list"])
            #expect((code, errors) == (1, "Error: open /nowhere/list: No such file or directory\n"))
        }
    }
}

private func finish(_ arguments: [String]) throws -> (code: Int32, output: String, errors: String) {
    try RunningCommand(["run"] + arguments).finish()
}

/// Runs a body that may block with a folder of its own.
private func withFolder(_ body: @Sendable (String) throws -> Void) async throws {
    let folder = try Scratch()
    try await blocking { try body(folder.path) }
}

/// Looks again and again until something is so, for as long as the tests have patience.
private func keepLooking(_ isSo: () throws -> Bool) throws {
    let deadline = Date(timeIntervalSinceNow: RunningCommand.patience)
    while try !isSo() {
        guard deadline.timeIntervalSinceNow > 0 else { throw Waiting.TimedOut() }
        sched_yield()
    }
}

/// Whether a process is gone, or a zombie that somebody else has to reap: a grandchild belongs to the system's first
/// process, which may take its time.
private func hasEnded(_ process: pid_t) throws -> Bool {
    try keepLooking {
        guard kill(process, 0) == 0 else { return true }
        let status = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
        return status?.contains(") Z ") != false
    }
    return true
}

/// The signals that a process catches, one bit each.
private func caught(by process: pid_t) throws -> UInt64 {
    let status = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
    let line = status.split(separator: "\n").first { $0.hasPrefix("SigCgt:") }
    return UInt64(line?.dropFirst(7).trimmingCharacters(in: .whitespaces) ?? "", radix: 16) ?? 0
}

/// A terminal of the test's own.
private final class Terminal: Sendable {
    private let own: Int32
    let other: Int32

    init(columns: UInt16) throws {
        var (own, other): (Int32, Int32) = (-1, -1)
        var size = winsize(ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        try #require(unsafe openpty(&own, &other, nil, nil, &size) == 0)
        for end in [own, other] { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        (self.own, self.other) = (own, other)
    }

    deinit {
        close(own)
        close(other)
    }

    func read(until wanted: String) throws -> String {
        let deadline = Date(timeIntervalSinceNow: RunningCommand.patience)
        var bytes: [UInt8] = []
        while !String(decoding: bytes, as: UTF8.self).contains(wanted) {
            bytes += try #require(try Waiting.read(own, until: deadline))
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
