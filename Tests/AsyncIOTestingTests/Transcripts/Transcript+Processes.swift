import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import AsyncIOTesting
import SystemPackage

extension Stage {
    /// What a shell that is told one thing does, in a simulated world.
    func shell(_ body: @escaping @Sendable (SimulatedChild) async throws -> Int32) throws {
        try install("/bin/sh", body)
    }

    func installCat() throws {
        try install("/bin/cat") { child in
            while let bytes = try await child.input.read(upTo: 4_096) { try await child.output.write(bytes) }
            return 0
        }
    }
}

extension Transcript {
    static let processes = [
        Transcript("Processes: cat gives back what it gets") { stage in
            try stage.installCat()
            await stage.tell("text") {
                let result = try await Process.run("/bin/cat", input: .text("typed"))
                return "\(result.status), \(result.outputText), \(result.isTruncated)"
            }
            await stage.tell("nothing") { "\(try await Process.run("cat"))" }
            await stage.tell("much") { try await Process.run("cat", input: .bytes(Bytes.pattern(300_000))).output }
            await stage.tell("too much") {
                _ = try await Process.run("cat", input: .bytes(Bytes.pattern(300_000)), limit: OutputLimit(1_000))
            }
            await stage.tell("dropped") {
                let limit = OutputLimit(1_000, excess: .drop)
                let result = try await Process.run("cat", input: .bytes(Bytes.pattern(300_000)), limit: limit)
                return "\(result.status), \(result.output.count), \(result.isTruncated)"
            }
        },

        Transcript("Processes: outputs, codes and arguments") { stage in
            try stage.shell { child in
                // Its arguments are -c, the text, the name and those of the text.
                try await child.output.write("out \(child.arguments.dropFirst(3).joined(separator: "|"))\n")
                try await child.errorOutput.write("err\n")
                return 3
            }
            await stage.tell("run") {
                let text = "IFS='|'; echo \"out $*\"; echo err >&2; exit 3"
                let result = try await Process.run("/bin/sh", ["-c", text, "sh", "a b", "", "c"])
                return "\(result.status), \(result.outputText), \(result.errorText)"
            }
            await stage.tell("checked") {
                let result = try await Process.run("/bin/sh", ["-c", "echo \"out \"; echo err >&2; exit 3"])
                do { try result.checked() } catch let error as ProcessError {
                    stage.note("\(error.status), \(error.lastErrorLines)")
                }
            }
        },

        Transcript("Processes: programs that cannot be started") { stage in
            let file = stage.folder + "/file"
            await stage.tell("set up") {
                try await withFile(file, .writing(.createNew), permissions: [.ownerReadWrite]) {
                    try await $0.write("x")
                }
            }
            for program in ["no-such-program", "/no/such/program", file, stage.folder, file + "/x"] {
                await stage.tell("run \(program)") { _ = try await Process.run(program) }
            }
            try stage.installCat()
            await stage.tell("no folder") { _ = try await Process.run("cat", folder: stage.folder + "/none") }
            await stage.tell("a zero") { _ = try await Process.run("/bin/cat", ["a\0b"]) }
            await stage.tell("no input") { _ = try await Process.run("cat", input: .file(stage.folder + "/none")) }
            await stage.tell("no output") {
                _ = try await Process.run("cat", output: .file(stage.folder + "/none/x"))
            }
        },

        Transcript("Processes: signals end them, and their status says so") { stage in
            try stage.installCat()
            for signal in [Signal.terminate, .interrupt, .kill, .user1] {
                await stage.tell("\(signal)") {
                    let process = try await Process.spawn("cat", input: .pipe, output: .null)
                    stage.note("status \(try process.status as Any)")
                    stage.note("signalled \(try process.signal(signal))")
                    let status = try await process.wait()
                    stage.note("signalled again \(try process.signal(signal))")
                    return "\(status), \(status.shellCode), \(try await process.wait() == status)"
                }
            }
            await stage.tell("terminate") {
                let process = try await Process.spawn("cat", input: .pipe, output: .null)
                return "\(try await process.terminate()), \(try await process.terminate())"
            }
        },

        Transcript("Processes: one that takes no input, one that ends early, and a cancelled one") { stage in
            try stage.shell { _ in 0 }
            await stage.tell("takes nothing") {
                let result = try await Process.shell("exit 0", input: .bytes(Bytes.pattern(300_000)))
                return "\(result.status), \(result.output)"
            }
            try stage.installCat()
            let running = stage.client.start {
                try await Process.spawn(Command("cat"), input: .pipe, output: .null) { process in
                    "\(try await process.wait())"
                }
            }
            try await stage.settle()
            running.cancel()
            await stage.tell("cancelled", running)
            await stage.tell("body ends first") {
                try await Process.spawn(Command("cat"), input: .pipe, output: .null) { _ in "body" }
            }
        },

        Transcript("Processes: files as input and output, environment and folder") { stage in
            try stage.installCat()
            let (one, two) = (stage.folder + "/one", stage.folder + "/two")
            await stage.tell("files") {
                try await File.writeAll(one, Array("from a file\n".utf8))
                for writing in [ProcessOutput.FileWriting.replace, .append, .append] {
                    _ = try await Process.run("cat", input: .file(one), output: .file(two, writing))
                }
                return try await File.readAll(two)
            }
            try stage.shell { child in
                let variables = [child.environment["A"] ?? "", child.environment["B"] ?? "none"]
                try await child.output.write(variables.joined(separator: " ") + " \(child.folder)\n")
                return 0
            }
            await stage.tell("surroundings") {
                let environment = ProcessEnvironment.custom(["A": "1", "PATH": "/bin"])
                let text = "echo \"$A ${B-none} $PWD\""
                return try await Process.run(
                    "/bin/sh", ["-c", text], environment: environment, folder: stage.folder
                ).outputText
            }
        },

        Transcript("Processes: a pipeline, and the codes of all") { stage in
            try stage.installCat()
            try stage.shell { child in
                while let bytes = try await child.input.read(upTo: 4_096) { try await child.output.write(bytes) }
                return 4
            }
            await stage.tell("pipeline") {
                let pipeline = Pipeline([Command("cat"), .shell("cat; exit 4"), Command("cat")])
                let result = try await pipeline.run(input: .text("through three"))
                return "\(result.outputText), \(result.statuses)"
            }
        },

        Transcript("Signals: those that are listened to come, each once, and no other") { stage in
            guard let one = Signal.realTime(5), let two = Signal.realTime(6) else { return }
            await stage.tell("signals") {
                let signals = try Signals(one, two)
                var heard: [Signal] = []
                for signal in [two, one, one, two] {
                    stage.raise(signal)
                    if let next = try await signals.next() { heard.append(next) }
                }
                for signal in [two, one] { stage.raise(signal) }
                // Two that differ and come at once may be taken by two threads: nobody promises their order.
                var last: [Signal] = []
                for _ in 0..<2 { if let next = try await signals.next() { last.append(next) } }
                heard += last.sorted { $0.rawValue < $1.rawValue }
                stage.note("\(signals)")
                let waiting = stage.client.start { try await signals.next() }
                try await stage.settle()
                waiting.cancel()
                do { _ = try await waiting.value } catch { stage.note("\(error is CancellationError)") }
                signals.close()
                stage.note("closed: \(try await signals.next() as Any)")
                return heard
            }
        },
    ]
}
