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

    @Test("of more output than the limit the last can be kept", arguments: Setting.all)
    func lastOutput(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let short = try await Process.shell("echo 123; echo err >&2", limit: .keepLast(4), on: loop)
            #expect(short.outputText == "123\n" && short.errorText == "err\n" && !short.isTruncated)
            let long = try await Process.run("seq", ["200000"], limit: .keepLast(7), on: loop)
            #expect(long.outputText == "200000\n" && long.isTruncated)
            // As much as is held meanwhile, and one piece more.
            let text = "head -c 300000 /dev/zero; seq 30000"
            let end = try await Process.shell(text, error: .merge, limit: .keepLast(100_000), on: loop)
            #expect(end.output.count == 100_000 && end.outputText.hasSuffix("\n29999\n30000\n"))
            let nothing = try await Process.shell("echo a", limit: .keepLast(0), on: loop)
            #expect(nothing.output.isEmpty && nothing.isTruncated)
        }
    }

    @Test("what takes too long is ended, and the error has its last words", arguments: Setting.all)
    func timeout(setting: Setting) async throws {
        let text = "trap 'echo bye; echo late >&2; kill $!; exit 5' TERM; echo $$; sleep 300 >/dev/null 2>&1 & wait"
        try await withLoop(setting) { loop in
            // However slow the machine is: in one of these times it says something.
            for milliseconds in [100, 1_000, 10_000, 100_000] {
                do {
                    let result = try await Process.shell(text, timeout: .milliseconds(milliseconds), on: loop)
                    Issue.record("\(result)")
                } catch let error as ProcessTimeoutError where error.output.isEmpty {
                    continue
                } catch let error as ProcessTimeoutError {
                    let lines = error.outputText.split(separator: "\n")
                    #expect(lines.count == 2 && lines.last == "bye" && error.errorText == "late\n")
                    // Its own child has been reaped; those of other tests are none of its business.
                    let child = try #require(lines.first.flatMap { pid_t($0) })
                    #expect(Children.state(of: child) != "Z")
                    #expect(error.status == .exited(5) && !error.isTruncated)
                    #expect(error.timeout == .milliseconds(milliseconds))
                    #expect("\(error)".hasSuffix("seconds, exited with 5: late"))
                }
                break
            }
        }
    }

    @Test("the shell starts where, in what and with which streams one likes", arguments: Setting.all)
    func shellSurroundings(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let scratch = try Scratch()
            let result = try await Process.shell(
                #"echo "$A $1"; pwd >&2; test $$ = "$(cut -d' ' -f5 /proc/$$/stat)""#, ["word"],
                environment: .inherit(adding: ["A": "value"]), folder: scratch.path, group: .own, error: .merge,
                on: loop)
            #expect(result.outputText == "value word\n\(scratch.path)\n" && result.errorOutput.isEmpty)
            // It leads a group of its own.
            #expect(result.status == .exited(0))
            let silent = try await Process.shell("echo a", output: .null, on: loop)
            #expect(silent.output.isEmpty)
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
