import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@Suite("Owning a process")
struct ProcessOwnershipTests {
    @Test("a cancelled run ends the child, and throws when it has ended", arguments: Setting.all)
    func cancelledRun(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let folder = try Scratch()
            let run = Task(executorPreference: loop) {
                try await Process.shell("echo $$ > $1.new; mv $1.new $1; exec sleep 300", [folder["id"]], on: loop)
            }
            let id = try await Self.id(in: folder["id"])
            run.cancel()
            await #expect(throws: CancellationError.self) { try await run.value }
            #expect(Children.state(of: id) == nil)
        }
    }

    @Test("one that ignores TERM is killed after the grace period", arguments: Setting.all)
    func stubborn(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let folder = try Scratch()
            let run = Task(executorPreference: loop) {
                try await Process.shell(
                    "trap '' TERM; echo $$ > $1.new; mv $1.new $1; exec sleep 300", [folder["id"]],
                    termination: Termination(grace: .milliseconds(100)), on: loop)
            }
            let id = try await Self.id(in: folder["id"])
            run.cancel()
            await #expect(throws: CancellationError.self) { try await run.value }
            #expect(Children.state(of: id) == nil)
        }
    }

    @Test("a grandchild that holds the pipes does not hold up a cancelled run", arguments: Setting.all)
    func grandchild(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let folder = try Scratch()
            let run = Task(executorPreference: loop) {
                try await Process.shell(
                    "sleep 300 & echo $! > $1.new; mv $1.new $1; wait", [folder["id"]], on: loop)
            }
            let grandchild = try await Self.id(in: folder["id"])
            run.cancel()
            await #expect(throws: CancellationError.self) { try await run.value }
            // It was not asked to go, but its pipes are no longer ours.
            #expect(Children.state(of: grandchild) != nil)
            kill(grandchild, SIGKILL)
        }
    }

    @Test("a time-out ends the child, and the whole group if it is asked to", arguments: Setting.all)
    func timeout(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            var command = Command.shell("(trap '' TERM; exec sleep 300) & wait")
            command.group = .own
            let ends = try SystemCall.pipeForChild()
            let reader = Descriptor(owning: ends.reader)
            let writer = Descriptor(owning: ends.writer)
            await #expect(throws: TimeoutError.self) {
                try await withTimeout(.milliseconds(200)) {
                    try await Process.run(
                        command, output: .descriptor(writer.number), termination: Termination(scope: .group), on: loop)
                }
            }
            writer.close()
            // The end comes when all of the group have gone.
            let number = reader.number
            #expect(try await onThread { try SystemCall.bytes(of: number, count: 1) }.isEmpty)
        }
    }

    @Test("a termination of a group that there would not be is refused before anything starts", arguments: Setting.all)
    func noGroup(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let folder = try Scratch()
            let touch = Command("touch", [folder["file"]])
            let group = Termination(scope: .group)
            let errors = [
                try await ioError { try await Process.run(touch, termination: group, on: loop) },
                try await ioError { try await Process.spawn(touch, termination: group, on: loop) { _ in } },
                try await ioError { try await Pipeline([touch]).run(termination: group, on: loop) },
                try await ioError { try await Pipeline([touch]).spawn(termination: group, on: loop) { _ in } },
            ]
            #expect(errors.allSatisfy { $0.code == .invalidArgument && "\($0)".contains(".own or .session") })
            #expect(!Scratch.exists(folder["file"]))
        }
    }

    @Test("a child that is asked to end can say more than its pipes hold, and does not wait", arguments: Setting.all)
    func lastWords(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            struct Broken: Error {}
            let folder = try Scratch()
            let script = """
                trap 'head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2; touch "$1"; exit' TERM
                echo ready; while read line; do :; done; while :; do sleep 0.01; done
                """
            await #expect(throws: Broken.self) {
                try await Process.spawn(
                    .shell(script, [folder["tidied"]]), input: .pipe, output: .pipe, error: .pipe,
                    termination: Termination(grace: .seconds(300)), on: loop
                ) { process in
                    #expect(try await process.output?.read() == Array("ready\n".utf8))
                    throw Broken()
                }
            }
            #expect(Scratch.exists(folder["tidied"]))
        }
    }

    @Test("a body owns its child: a return closes the pipes and awaits it", arguments: Setting.all)
    func scope(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (id, line) = try await Process.spawn(Command("cat"), input: .pipe, output: .pipe, on: loop) { cat in
                try await cat.input?.write("one\n")
                return (cat.id, try await cat.output?.read())
            }
            #expect(line == Array("one\n".utf8))
            #expect(Children.state(of: id) == nil)
        }
    }

    @Test("a body reads lines as they come", arguments: Setting.all)
    func lines(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let lines = try await Process.spawn(
                .shell("echo one; read line; echo $line"), input: .pipe, output: .pipe, on: loop
            ) { process in
                var lines: [String] = []
                for try await line in try process.lines {
                    lines.append(line)
                    // The child waits for an answer to its first line.
                    if lines.count == 1 { try await process.input?.write("two\n") }
                }
                return lines
            }
            #expect(lines == ["one", "two"])
            let mute = try await Process.spawn("true", on: loop)
            #expect(try await ioError { try mute.lines }.code == .badFileDescriptor)
        }
    }

    @Test("a body that throws ends its child", arguments: Setting.all)
    func throwingScope(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            struct Broken: Error {}
            let log = Log<pid_t>()
            await #expect(throws: Broken.self) {
                try await Process.spawn(Command("sleep", ["300"]), on: loop) { process in
                    log.add(process.id)
                    throw Broken()
                }
            }
            #expect(log.all.allSatisfy { Children.state(of: $0) == nil })
        }
    }

    @Test("what the body returns is not lost to a cancellation that comes later", arguments: Setting.all)
    func lateCancellation(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let ids = Log<pid_t>()
            let run = Task(executorPreference: loop) {
                try await Process.spawn(
                    Command("sleep", ["300"]), termination: Termination(grace: .seconds(300)), on: loop
                ) { process in
                    ids.add(process.id)
                    return "kept"
                }
            }
            await until { ids.count == 1 }
            run.cancel()
            let value = try await run.value
            #expect(value == "kept")
            #expect(ids.all.allSatisfy { Children.state(of: $0) == nil })
        }
    }

    @Test("a task that is cancelled before starts nothing", arguments: Setting.all)
    func cancelledBefore(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let folder = try Scratch()
            let run = Task(executorPreference: loop) {
                unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                return try await Process.run("touch", [folder["file"]], on: loop)
            }
            await #expect(throws: CancellationError.self) { try await run.value }
            #expect(!Scratch.exists(folder["file"]))
        }
    }

    @Test("cancelled at any moment, nothing is left: no child, no descriptor", arguments: Setting.all)
    func randomCancellation(setting: Setting) async throws {
        let rounds = Stress.count("cancelled runs", few: 60, many: 3_000)
        try await withLoop(setting) { loop in
            var random = Randomness()
            for _ in 0..<rounds {
                let delay = Duration.microseconds(Int64.random(in: 0..<4_000, using: &random))
                let run = Task(executorPreference: loop) {
                    try await Process.shell("echo a; echo b >&2; cat", input: .text("c"), on: loop)
                }
                let alarm = loop.callLater(delay) { run.cancel() }
                switch await run.result {
                case .success(let result): #expect(result.outputText == "a\nc")
                case .failure(let error): #expect(error is CancellationError)
                }
                alarm.cancel()
            }
        }
        #expect(try await until(deadline: .seconds(60)) { try Children.zombies.isEmpty })
    }

    @Test("the end of the loop is the end of the child, at the latest after its grace", arguments: Drivers.available)
    func loopEnds(driver: DriverChoice) async throws {
        let folder = try Scratch()
        let path = folder["id"]
        let reports = Errors()
        let id = try await Guest.run(.guest(driver, grace: .milliseconds(300), errors: reports)) { loop in
            loop.spawn(name: "owner") {
                try await Process.shell(
                    "trap '' TERM; echo $$ > $1.new; mv $1.new $1; exec sleep 300", [path],
                    termination: Termination(grace: .seconds(300)))
            }
            return try await Self.id(in: path)
        }
        #expect(await until(deadline: .seconds(100)) { [nil, "Z"].contains(Children.state(of: id)) })
        #expect(reports.stubborn == ["owner"])
    }

    /// The number that a child has written into a file.
    private static func id(in path: String) async throws -> pid_t {
        await until { Scratch.exists(path) }
        return try #require(pid_t(try ProcessTable.contents(of: path).filter(\.isNumber)))
    }
}
