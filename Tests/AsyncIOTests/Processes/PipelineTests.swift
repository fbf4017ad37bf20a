import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@Suite("Processes connected")
struct PipelineTests {
    @Test("each reads what the one before writes", arguments: Setting.all)
    func pipeline(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let words = Pipeline([Command("sort", ["-rn"]), Command("uniq"), Command("head", ["-n", "2"])])
            let result = try await words.run(input: .text("1\n3\n2\n3\n"), on: loop).checked()
            #expect(result.outputText == "3\n2\n")
            #expect(result.statuses == [.exited(0), .exited(0), .exited(0)])
            let single = try await Pipeline([Command("cat")]).run(input: .text("x"), on: loop)
            #expect(single.outputText == "x")
            #expect(try await ioError { try await Pipeline([]).run(on: loop) }.code == .invalidArgument)
            #expect("\(words)" == "sort -rn | uniq | head -n 2")
        }
    }

    @Test("one that writes without end stops when nobody wants more, and that is no failure", arguments: Setting.all)
    func endless(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let result = try await Pipeline([Command("yes"), Command("head", ["-n", "1"])]).run(on: loop)
            #expect(result.outputText == "y\n")
            #expect(result.statuses == [.signalled(.pipe, coreDumped: false), .exited(0)])
            try result.checked()
        }
    }

    @Test("a failure in the middle is found, with what all have complained", arguments: Setting.all)
    func failure(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let pipeline = Pipeline([
                .shell("echo first >&2"), .shell("cat; echo second >&2; exit 4"), .shell("cat; echo third >&2"),
            ])
            let result = try await pipeline.run(on: loop)
            #expect(result.statuses == [.exited(0), .exited(4), .exited(0)])
            let complaints = String(decoding: result.errorOutput, as: UTF8.self).split(separator: "\n").map(String.init)
            #expect(Set(complaints) == ["first", "second", "third"])
            do {
                try result.checked()
                Issue.record("no error")
            } catch let error as ProcessError { #expect(error.status == .exited(4)) }
        }
    }

    @Test("if one does not start, those before it are ended", arguments: Setting.all)
    func noStart(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let folder = try Scratch()
            let script = "echo $$ > $1.new; mv $1.new $1; exec sleep 300"
            let pipeline = Pipeline([.shell(script, [folder["id"]]), Command("/no/such/program")])
            let error = try await ioError { try await pipeline.run(on: loop) }
            #expect(error.subject == "/no/such/program")
            #expect(try await until(deadline: .seconds(60)) { try Children.zombies.isEmpty })
            if Scratch.exists(folder["id"]) {
                let id = pid_t(try ProcessTable.contents(of: folder["id"]).filter(\.isNumber))
                #expect(Children.state(of: try #require(id)) == nil)
            }
        }
    }

    @Test("a slow reader at the end holds all of them up: backpressure", arguments: Setting.all)
    func backpressure(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let folder = try Scratch()
            // It notes how far it has come: no further than the pipes have room, until somebody reads.
            let generator = Command.shell("seq 200000; touch $1", [folder["done"]])
            let total = try await Pipeline([generator, Command("cat"), Command("cat")]).spawn(
                output: .pipe, error: .null, on: loop
            ) { processes in
                let output = try #require(processes.last?.output)
                // The first bytes have come through all of them, and the pipes have no room for the rest.
                var total = try await output.read(upTo: 1)?.count ?? 0
                #expect(!Scratch.exists(folder["done"]))
                while let bytes = try await output.read() { total += bytes.count }
                #expect(Scratch.exists(folder["done"]))
                return total
            }
            #expect(total == 1_288_895)
        }
    }

    @Test("a cancelled pipeline ends all of them", arguments: Setting.all)
    func cancelled(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let ids = Log<pid_t>()
            let run = Task(executorPreference: loop) {
                try await Pipeline([Command("yes"), Command("sleep", ["300"])]).spawn(on: loop) { processes in
                    for process in processes { ids.add(process.id) }
                    for process in processes { _ = try await process.wait() }
                }
            }
            await until { ids.count == 2 }
            run.cancel()
            await #expect(throws: CancellationError.self) { try await run.value }
            #expect(ids.all.allSatisfy { Children.state(of: $0) == nil })
        }
    }

    @Test("handles are connected, too: one's output is another's input", arguments: Setting.all)
    func streams(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let first = try await Process.spawn("seq", ["100000"], output: .pipe, on: loop)
            let output = try #require(first.output)
            let second = try await Process.spawn("wc", ["-l"], input: .stream(output), output: .pipe, on: loop)
            let result = try await second.communicate()
            #expect(result.outputText.contains("100000"))
            #expect(try await first.wait().isSuccess)
            #expect(try await ioError { try await output.read() }.code == .badFileDescriptor)
            let sink = try await Process.spawn("cat", input: .pipe, output: .pipe, on: loop)
            let input = try #require(sink.input)
            let source = try await Process.spawn("echo", ["there"], output: .stream(input), on: loop)
            #expect(try await sink.communicate().outputText == "there\n")
            #expect(try await source.wait().isSuccess)
        }
    }

    @Test("files are read, replaced and appended to", arguments: Setting.all)
    func files(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let folder = try Scratch()
            let path = folder["file"]
            try await Process.run("echo", ["one"], output: .file(path), on: loop).checked()
            try await Process.run("echo", ["two"], output: .file(path), error: .merge, on: loop).checked()
            try await Process.run("echo", ["three"], output: .file(path, .append), on: loop).checked()
            #expect(try await Process.run("cat", input: .file(path), on: loop).outputText == "two\nthree\n")
            let missing = try await ioError { try await Process.run("cat", input: .file("/no/file"), on: loop) }
            #expect("\(missing)" == "open /no/file: No such file or directory")
            let cut = try await ioError { try await Process.run("cat", input: .file("/etc/passwd\0x"), on: loop) }
            #expect(cut.code == .invalidArgument)
            let mistake = try await ioError { try await Process.run("cat", output: .merge, on: loop) }
            #expect(mistake.code == .invalidArgument)
            let merged = try await Process.run(.shell("echo a; echo b >&2; echo c"), error: .merge, on: loop)
            #expect(merged.outputText == "a\nb\nc\n")
        }
    }
}
