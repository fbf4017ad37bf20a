import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@Suite("Running a process")
struct ProcessRunTests {
    @Test("returns its output, its error output and its code", arguments: Setting.all)
    func collects(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let result = try await Process.shell("echo out; echo err >&2; exit 3", on: loop)
            #expect(result.outputText == "out\n")
            #expect(result.errorText == "err\n")
            #expect(result.status == .exited(3))
            #expect(!result.isTruncated)
        }
    }

    @Test("gives it its input and its arguments as they are", arguments: Setting.all)
    func input(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let words = ["a b", "", "\"'$HOME\\", "ü\n"]
            let printed = try await Process.run("printf", ["%s|"] + words, on: loop)
            #expect(printed.outputText == words.map { $0 + "|" }.joined())
            let echoed = try await Process.run("cat", input: .text("typed"), on: loop)
            #expect(echoed.outputText == "typed")
            let silent = try await Process.run("cat", on: loop)
            #expect(silent.output.isEmpty)
        }
    }

    @Test("64 MiB through cat both ways are complete", arguments: Setting.all)
    func bothWays(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            // No multiple of anything that a pipe is made of.
            let block = Bytes.pattern(65_521)
            var bytes: [UInt8] = []
            while bytes.count < 64 << 20 { bytes += block }
            let sent = bytes
            let result = try await Process.run(
                "cat", input: .bytes(sent), limit: OutputLimit(sent.count), on: loop)
            #expect(result.output.count == sent.count)
            let isSame = result.output == sent
            #expect(isSame)
            #expect(result.status.isSuccess)
        }
    }

    @Test("10 MiB on standard error first do not block it", arguments: Setting.all)
    func errorFirst(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let result = try await Process.shell("head -c 10485760 /dev/zero >&2; cat", input: .text("done"), on: loop)
            #expect(result.errorOutput.count == 10 << 20)
            #expect(result.outputText == "done")
        }
    }

    @Test("a child that does not take its input is no error", arguments: Setting.all)
    func untaken(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let bytes = [UInt8](repeating: 0, count: 1 << 20)
            let result = try await Process.run("true", input: .bytes(bytes), on: loop)
            #expect(result.status == .exited(0))
        }
    }

    @Test("a grandchild that keeps standard output does not keep the caller", arguments: Setting.all)
    func grandchild(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let clock = ContinuousClock()
            let start = clock.now
            let result = try await Process.shell("sleep 300 & echo $!; echo hi", on: loop)
            #expect(start.duration(to: clock.now) < .seconds(100))
            let lines = result.outputText.split(separator: "\n")
            #expect(lines.last == "hi")
            #expect(result.status == .exited(0))
            kill(try #require(lines.first.flatMap { pid_t($0) }), SIGKILL)
        }
    }

    @Test("what a grandchild writes within the output's grace is part of it", arguments: Setting.all)
    func lateOutput(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let text = "(read line; echo late) <&3 3<&- & exec 3<&-; echo early"
            let ends = try SystemCall.pipeForChild()
            let gate = Descriptor(owning: ends.reader)
            let key = Descriptor(owning: ends.writer)
            var command = Command.shell(text)
            command.descriptors = [3: gate.number]
            let process = try await Process.spawn(command, output: .pipe, on: loop)
            async let result = process.communicate(outputGrace: .seconds(300))
            #expect(try await process.wait() == .exited(0))
            try SystemCall.writeAll(Array("go\n".utf8), to: key.number)
            #expect(try await result.outputText == "early\nlate\n")
        }
    }

    @Test("more output than the limit ends the child, and the error has what was there", arguments: Setting.all)
    func limit(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            do {
                let result = try await Process.run("yes", limit: OutputLimit(1_000), on: loop)
                Issue.record("\(result)")
            } catch let error as OutputLimitError {
                #expect(error.output.count == 1_000)
                #expect("\(error)".hasPrefix("yes wrote more than 1000 bytes"))
            }
        }
    }

    @Test("more output than the limit can be dropped", arguments: Setting.all)
    func truncation(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let result = try await Process.run("seq", ["100000"], limit: OutputLimit(4, excess: .drop), on: loop)
            #expect(result.outputText == "1\n2\n")
            #expect(result.isTruncated)
            #expect(result.status.isSuccess)
        }
    }

    @Test("an unsuccessful end can be thrown, with the command and its last words", arguments: Setting.all)
    func checked(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let result = try await Process.run(
                "sh", ["-c", "seq 20 >&2; printf 'bad\\033[31m' >&2; exit 7"], on: loop)
            do {
                try result.checked()
                Issue.record("no error")
            } catch let error as ProcessError {
                #expect(error.status == .exited(7))
                #expect(error.lastErrorLines.count == 10)
                #expect(error.lastErrorLines.last == "bad\u{fffd}[31m")
                #expect("\(error)".hasPrefix("sh -c 'seq 20"))
            }
            try await Process.run("true", on: loop).checked()
        }
    }

    @Test("the end by a signal is told apart", arguments: Setting.all)
    func signalled(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let result = try await Process.shell("kill -9 $$", on: loop)
            #expect(result.status == .signalled(.kill, coreDumped: false))
            #expect(result.status.shellCode == 137)
            #expect("\(result.status)" == "ended by SIGKILL (Killed)")
            // One that the C library keeps for itself has no name.
            let nameless = try await Process.shell("kill -32 $$", on: loop)
            #expect("\(nameless.status)".hasPrefix("ended by signal 32"))
        }
    }
}
