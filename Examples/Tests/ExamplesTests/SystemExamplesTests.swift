import AsyncIO
import Glibc
import Testing

@Suite("The examples of files, processes and signals", .serialized, .timeLimit(.minutes(2)))
struct SystemExamplesTests {
    @Test("the hasher finds every file below a folder, and its checksum is that of gzip")
    func hasher() async throws {
        try await withFolder { folder in
            try await Folder.makeAll(folder.appending("a/b"))
            try await put("123456789", in: folder.appending("a/nine"))
            try await put("", in: folder.appending("empty"))
            let big = (0..<1_500_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 9) }
            try await File.writeAll(folder.appending("a/b/big"), big)
            let packed = try await Process.run("gzip", ["-1"], input: .bytes(big)).checked().output
            // Its last eight bytes are the checksum and the length, the lowest byte first.
            let sum = packed.suffix(8).prefix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            let digits = String(UInt64(sum) | 1 << 32, radix: 16).dropFirst()

            let result = try await Process.run(program("20-file-hasher"), [folder.string, "3"])
            #expect(result.status.isSuccess && result.errorText == "")
            #expect(
                result.outputText.split(separator: "\n") == [
                    "\(digits)  \(folder)/a/b/big", "cbf43926  \(folder)/a/nine", "00000000  \(folder)/empty",
                ])

            let terminal = try await PseudoTerminal.open()
            let process = try await Process.spawn(
                Command(program("20-file-hasher"), [folder.string]), at: terminal)
            var seen: [UInt8] = []
            while let bytes = try await terminal.read() { seen += bytes }
            let bar = "[\(String(repeating: "#", count: 30))] 3/3 files, 1464 KiB"
            #expect(String(decoding: seen, as: UTF8.self).contains(bar))
            #expect(try await process.wait().isSuccess)
        }
    }

    @Test("the hasher says what it cannot read, and ends with 1")
    func hasherFails() async throws {
        try await withFolder { folder in
            let result = try await Process.run(program("20-file-hasher"), [folder.string + "/nowhere"])
            #expect(result.status == .exited(1))
            #expect(result.errorText.hasSuffix("/nowhere: No such file or directory\n"))
        }
    }

    @Test("tail follows a file that grows, is cut, is replaced, is away and comes back")
    func tail() async throws {
        try await withFolder { folder in
            let log = folder.appending("log")
            try await put((1...20).map { "\($0)\n" }.joined(), in: log)
            try await Process.spawn(
                Command(program("21-tail-follow"), [log.string, "3"]), output: .pipe, error: .merge,
                termination: Termination(grace: .zero)
            ) { process in
                let lines = try process.lines.makeAsyncIterator()
                func expect(_ wanted: String...) async throws {
                    for line in wanted { #expect(try await lines.next() == line) }
                }
                try await expect("18", "19", "20")
                try await append("more\n", to: log)
                try await expect("more")
                try await put("cut\n", in: log)
                try await expect("21-tail-follow: \(log) has been cut", "cut")
                try await File.rename(log, to: folder.appending("log.1"))
                try await append("old\n", to: folder.appending("log.1"))
                try await append("new\n", to: log)
                try await expect("old", "21-tail-follow: \(log) has been replaced", "new")
                try await File.remove(log)
                try await append("again\n", to: log)
                try await expect("21-tail-follow: \(log) has been replaced", "again")
                try process.signal(.terminate)
            }
        }
    }

    @Test("the log rotator keeps so many full files, and cuts no line")
    func rotatesBySize() async throws {
        try await withFolder { folder in
            let text = (1...2000).map { "line \($0)\n" }.joined()
            let log = folder.appending("log")
            let result = try await Process.run(
                program("22-log-rotator"), [log.string, "2000", "3"], input: .text(text))
            #expect(result.status.isSuccess && result.errorText == "")
            var kept = ""
            for name in ["log.3", "log.2", "log.1", "log"] {
                let bytes = try await File.readAll(folder.appending(name))
                #expect(bytes.count <= 2000 && bytes.last == UInt8(ascii: "\n"))
                if name != "log" { #expect(bytes.count > 1980) }
                kept += String(decoding: bytes, as: UTF8.self)
            }
            #expect(text.hasSuffix("\n" + kept))
            #expect(try await !File.exists(at: folder.appending("log.4")))
        }
    }

    @Test("the log rotator begins a new file at SIGHUP, and writes the last words before it follows SIGTERM")
    func rotatesBySignal() async throws {
        try await withFolder { folder in
            let log = folder.appending("log"), old = folder.appending("log.1")
            let process = try await Process.spawn(program("22-log-rotator"), [log.string], input: .pipe)
            let input = try #require(process.input)
            let watcher = try await FileWatcher.open(folder)
            func waitFor(_ text: String, in path: FilePath) async throws {
                for try await _ in watcher where try await self.text(of: path) == text { return }
            }
            try await input.write("one\n")
            try await waitFor("one\n", in: log)
            try process.signal(.hangup)
            try await waitFor("one\n", in: old)
            try await input.write("two\n")
            try await waitFor("two\n", in: log)
            try process.signal(.terminate)
            // It hears of the end, and still listens.
            try await input.write("last words\n")
            #expect(try await process.wait().isSuccess)
            #expect(try await text(of: log) == "two\nlast words\n")
        }
    }

    @Test("the job runner says how each has ended, in their order, and gives none more time than it has")
    func jobRunner() async throws {
        try await withFolder { _ in
            let long = "echo $$; sleep 1000 & wait"
            let result = try await Process.run(
                program("23-job-runner"), ["2", "1.5", "echo a; echo b >&2", long, "seq 1 9999; exit 3", "kill -9 $$"])
            #expect(result.status == .exited(1))
            let lines = result.outputText.split(separator: "\n")
            #expect(lines.prefix(3) == ["echo a; echo b >&2: exited with 0", "    a", "    b"])
            #expect(lines.dropFirst(3).first == "\(long): timed out after 1.5 seconds")
            #expect(lines.dropFirst(4).first == "seq 1 9999; exit 3: exited with 3")
            #expect(lines.suffix(2) == ["    ... and more", "kill -9 $$: ended by SIGKILL (Killed)"])
        }
    }

    @Test("the pipeline writes all of its numbers, in order, and packed; and says what fails")
    func pipeline() async throws {
        try await withFolder { folder in
            let file = folder.appending("numbers.gz")
            let result = try await Process.run(program("24-pipeline"), ["50000", file.string])
            #expect(result.status.isSuccess)
            #expect(result.outputText.hasPrefix("50000 numbers, "))
            let unpacked = try await Process.run("gzip", ["-dc", file.string]).checked()
            let numbers = unpacked.outputText.split(separator: "\n").compactMap { UInt32($0) }
            #expect(numbers.count == 50_000)
            #expect(zip(numbers, numbers.dropFirst()).allSatisfy { $0 <= $1 })

            let failed = try await Process.run(program("24-pipeline"), ["1", folder.string + "/no/where"])
            #expect(failed.status == .exited(1))
            #expect(failed.outputText.contains("No such file or directory"))
        }
    }

    @Test("the one that looks at itself prints its tree, names a deadlock, and leaves a trace")
    func inspection() async throws {
        try await withFolder { folder in
            let page = folder.appending("trace.html")
            let result = try await Process.run(program("34-inspection"), [page.string])
            #expect(result.status.isSuccess, "\(result.errorText)")
            let lines = result.outputText.split(separator: "\n")
            #expect(lines.contains { $0.hasPrefix("reader #") && $0.contains("for queue \"letters\"") }, "\(lines)")
            #expect(lines.contains { $0.hasPrefix("sleeper #") && $0.contains("for sleep, ") })
            #expect(result.errorText.contains("├─ reader #"))
            let deadlock = lines.first { $0.hasPrefix("deadlock: ") } ?? ""
            for name in ["accounts", "journal", "anna", "bob"] { #expect(deadlock.contains(name), "\(deadlock)") }
            let text = String(decoding: try await File.readAll(page.string), as: UTF8.self)
            #expect(text.hasPrefix("<!doctype html>") && text.contains("34-inspection"))
            #expect(text.contains("\"sleeper\""))
        }
    }

    @Test("the watcher runs again after a change, ends what still runs, and all at Ctrl-C")
    func watchAndRerun() async throws {
        try await withFolder { folder in
            let script = "echo $$; exec sleep 1000"
            let process = try await Process.spawn(
                program("25-watch-and-rerun"), [folder.string, "sh", "-c", script], input: .null, output: .pipe)
            let lines = try process.lines.makeAsyncIterator()
            #expect(try await lines.next() == "-- sh -c '\(script)'")
            var running = try #require(Int32(try await lines.next() ?? ""))
            #expect(kill(running, 0) == 0)
            for name in ["a", "b", "c"] { try await put("x", in: folder.appending(name)) }
            // One run for all three, unless the machine was busy for long.
            var changed: String?
            repeat {
                changed = try await lines.next()
                #expect(changed?.hasPrefix("-- \(folder)/") == true && changed?.hasSuffix(" has changed") == true)
                #expect(try await lines.next() == "-- sh -c '\(script)'")
                #expect(kill(running, 0) == -1)
                running = try #require(Int32(try await lines.next() ?? ""))
            } while changed != "-- \(folder)/c has changed"
            try process.signal(.interrupt)
            #expect(try await process.wait().shellCode == 130)
            #expect(kill(running, 0) == -1)
            #expect(try await lines.next() == nil)
        }
    }

    private func put(_ text: String, in path: FilePath) async throws {
        try await File.writeAll(path, Array(text.utf8))
    }

    private func append(_ text: String, to path: FilePath) async throws {
        let file = try await File.open(path, .appending)
        try await file.write(text)
        try await file.close()
    }

    private func text(of path: FilePath) async throws -> String? {
        guard try await File.exists(at: path) else { return nil }
        return String(decoding: try await File.readAll(path), as: UTF8.self)
    }
}

/// Runs a body on a loop, with a folder of its own.
private func withFolder(_ body: @escaping @Sendable (FilePath) async throws -> Void) async throws {
    try await withClients { loop in
        try await loop.submit(name: "test") { try await withTemporaryFolder { try await body($0) } }.value
    }
}

/// The path of an example, which lies beside the bundle of the tests.
private func program(_ name: String) -> String {
    FilePath(CommandLine.arguments[0]).removingLastComponent().appending(name).string
}
