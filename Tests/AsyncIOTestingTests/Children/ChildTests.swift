import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTesting
import SystemPackage
import Testing

@Suite("A simulated child process")
struct ChildTests {
    private func onHost<Success: Sendable>(
        seed: UInt64 = 1, _ body: @escaping @Sendable (SimulatedHost) async throws -> Success
    ) async throws -> Success {
        try await Simulation(seed: seed).run { world in
            let host = try world.addHost("a")
            try host.install("/bin/sort") { child in
                var text: [UInt8] = []
                while let bytes = try await child.input.read(upTo: 4096) { text += bytes }
                let lines = String(decoding: text, as: UTF8.self).split(separator: "\n").sorted()
                let sorted = child.arguments.first == "-r" ? lines.reversed() : lines
                try await child.output.write(Array(sorted.map { "\($0)\n" }.joined().utf8))
                return 0
            }
            try host.install("/usr/bin/env") { child in
                for (name, value) in child.environment.sorted(by: { $0.key < $1.key }) {
                    try await child.output.write(Array("\(name)=\(value)\n".utf8))
                }
                try await child.errorOutput.write(Array(child.folder.utf8))
                return 3
            }
            try host.install("/bin/sleep") { child in
                if child.arguments.last == "stubborn" { child.ignore(.terminate, .kill) }
                try await EventLoop.current?.sleep(for: .seconds(100))
                return 0
            }
            return try await host.run { try await body(host) }
        }
    }

    @Test("is found by its name, gets input and arguments, and says what it has to say")
    func run() async throws {
        let result = try await onHost { _ in
            try await Process.run("sort", ["-r"], input: .bytes(Array("b\na\nc\n".utf8)))
        }
        #expect(result.status == .exited(0))
        #expect(result.outputText == "c\nb\na\n")
    }

    @Test("has its environment and folder, an exit code and an error output")
    func surroundings() async throws {
        let result = try await onHost { host in
            try host.disk.makeFolder("/work")
            host.environment["LANG"] = "C"
            return try await Process.run(
                "env", environment: .inherit(adding: ["X": "1", "HOME": nil]), folder: "/work")
        }
        #expect(result.status == .exited(3))
        #expect(result.outputText == "LANG=C\nPATH=/bin:/usr/bin\nX=1\n")
        #expect(result.errorOutput == Array("/work".utf8))
    }

    @Test("reads a file and writes another one, by way of a pipeline")
    func files() async throws {
        try await onHost { host in
            try host.disk.write("/in", Array("b\na\n".utf8))
            let result = try await Process.run("sort", input: .file("/in"), output: .file("/out"))
            try #require(result.status == .exited(0))
            try #require(try host.disk.read("/out") == Array("a\nb\n".utf8))
            let pipeline = try await Pipeline([Command("sort"), Command("sort", ["-r"])]).run(
                input: .bytes(Array("b\na\nc".utf8)))
            try #require(pipeline.output == Array("c\nb\na\n".utf8))
        }
    }

    @Test("ends by signals: by SIGTERM if it does not ignore that, by SIGKILL in any case, and in its time")
    func signals() async throws {
        let (statuses, seconds) = try await onHost { host in
            let loop = try host.loop
            let start = loop.now
            let polite = try await Process.spawn("sleep", input: .null, output: .null, error: .null)
            var statuses = [try await polite.terminate()]
            let stubborn = try await Process.spawn("sleep", ["stubborn"], input: .null, output: .null, error: .null)
            try await loop.sleep(for: .milliseconds(10))
            statuses.append(try await stubborn.terminate(Termination(grace: .seconds(7))))
            let seconds = start.duration(to: loop.now)
            let patient = try await Process.spawn("sleep", input: .null, output: .null, error: .null)
            statuses.append(try await patient.wait())
            return (statuses, seconds)
        }
        #expect(statuses[0] == .signalled(.terminate, coreDumped: false))
        #expect(statuses[1] == .signalled(.kill, coreDumped: false))
        #expect(statuses[2] == .exited(0))
        #expect(seconds >= .seconds(7) && seconds < .seconds(8))
    }

    @Test("that takes longer than it may is ended as the termination says, and one that does not is left alone")
    func timeouts() async throws {
        let (errors, seconds, result) = try await onHost { host in
            try host.install("/bin/talk") { child in
                try await child.output.write(Array("begun".utf8))
                try await EventLoop.current?.sleep(for: .seconds(1))
                try await child.output.write(Array(", done".utf8))
                if child.arguments.first == "stubborn" {
                    child.ignore(.terminate)
                    try await EventLoop.current?.sleep(for: .seconds(100))
                }
                return 0
            }
            let loop = try host.loop
            let result = try await Process.run("talk", timeout: .seconds(2))
            var (errors, seconds): ([ProcessTimeoutError], [Duration]) = ([], [])
            for (words, limit) in [([], OutputLimit.standard), (["stubborn"], .keepLast(4)), (["stubborn"], .init(8))] {
                let start = loop.now
                do {
                    let timeout = Duration.milliseconds(words.isEmpty ? 500 : 3_000)
                    _ = try await Process.run(
                        "talk", words, limit: limit, timeout: timeout, termination: Termination(grace: .seconds(7)))
                } catch let error as ProcessTimeoutError {
                    errors.append(error)
                } catch is OutputLimitError {
                    // The limit was reached first.
                }
                seconds.append(start.duration(to: loop.now))
            }
            do {
                _ = try await Process.run("talk", timeout: .zero)
            } catch let error as ProcessTimeoutError { errors.append(error) }
            return (errors, seconds, result)
        }
        #expect(result.status == .exited(0) && result.outputText == "begun, done")
        try #require(errors.count == 3)
        #expect(errors[0].outputText == "begun" && !errors[0].isTruncated)
        #expect(errors[0].status == .signalled(.terminate, coreDumped: false))
        #expect(seconds[0] >= .milliseconds(500) && seconds[0] < .seconds(1))
        #expect(errors[1].outputText == "done" && errors[1].isTruncated)
        #expect(errors[1].status == .signalled(.kill, coreDumped: false))
        #expect(seconds[1] >= .seconds(10) && seconds[1] < .seconds(11))
        #expect(seconds[2] < .seconds(9))
        #expect(errors[2].status == nil && errors[2].output.isEmpty)
        #expect("\(errors[2])" == "talk: not done within 0.0 seconds")
    }

    @Test("is let go of when its host crashes, with all that it has")
    func lettingGo() async throws {
        final class Possession: Sendable {}
        struct Memory { weak var possession: Possession? }
        let memory = Locked(Memory())
        try await Simulation(seed: 1).run { world in
            let host = try world.addHost("a")
            try host.install("/bin/owner") { child in
                let possession = Possession()
                memory.withLock { $0.possession = possession }
                child.handle(.hangup) { withExtendedLifetime(possession) {} }
                try await EventLoop.current?.sleep(for: .seconds(100))
                return 0
            }
            try host.program {
                let process = try await Process.spawn("owner", input: .null, output: .null, error: .null)
                _ = try await process.wait()
            }
            try await world.sleep(for: .seconds(1))
            let isThere = memory.withLock { $0.possession != nil }
            try #require(isThere)
            host.crash()
        }
        let isGone = memory.withLock { $0.possession == nil }
        #expect(isGone)
    }

    @Test("is not found in a folder of the PATH that cannot be entered, and the error says which")
    func closedFolder() async throws {
        let errors = try await onHost { host in
            host.environment["PATH"] = "/closed:/bin"
            try await Folder.make("/closed", permissions: [.ownerReadWrite])
            try host.disk.write("/bin/text", [1], permissions: 0o644)
            var errors: [IOError] = []
            for name in ["nothing", "text"] {
                do { _ = try await Process.run(name) } catch let error as IOError { errors.append(error) }
            }
            return errors
        }
        #expect(errors.map(\.code) == [.permissionDenied, .permissionDenied])
        let words = "not found where one may look, and the folder /closed cannot be entered"
        #expect(errors[0].detail == "\(words), in the PATH /closed:/bin")
        #expect(errors[1].detail == "found, but not to be run, in the PATH /closed:/bin")
    }

    @Test("is not there, or not to be run, or no program at all")
    func absent() async throws {
        let codes = try await onHost { host in
            try host.disk.write("/bin/text", [1], permissions: 0o644)
            try host.disk.write("/bin/data", [1], permissions: 0o755)
            var codes: [Errno] = []
            for name in ["nothing", "/bin/nothing", "text", "/bin/text", "data"] {
                do { _ = try await Process.run(name) } catch let error as IOError { codes.append(error.code) }
            }
            return codes
        }
        #expect(
            codes == [
                .noSuchFileOrDirectory, .noSuchFileOrDirectory, .permissionDenied, .permissionDenied, .execFormatError,
            ])
    }

    @Test("is ended with its whole group")
    func groups() async throws {
        let status = try await onHost { host in
            let leader = try await Process.spawn(
                Command("sleep", group: .own), input: .null, output: .null, error: .null)
            let member = try await Process.spawn(
                Command("sleep", group: .joining(leader.id)), input: .null, output: .null, error: .null)
            try leader.signal(.interrupt, to: .group)
            try #require(try await leader.wait() == .signalled(.interrupt, coreDumped: false))
            return try await member.wait()
        }
        #expect(status == .signalled(.interrupt, coreDumped: false))
    }

    @Test("ends with its host, whose next run has it no more")
    func crash() async throws {
        let steps = try await Simulation(seed: 1).run { world in
            let host = try world.addHost("a")
            let steps = Locked<[String]>([])
            try host.install("/bin/count") { _ in
                for number in 0..<100 {
                    steps.withLock { $0.append("\(number)") }
                    try await EventLoop.current?.sleep(for: .seconds(1))
                }
                return 0
            }
            try host.program { _ = try await Process.run("count") }
            try await world.sleep(for: .milliseconds(2_500))
            host.crash()
            try await world.sleep(for: .seconds(10))
            try host.restart()
            try await world.sleep(for: .milliseconds(500))
            host.crash()
            return steps.withLock { $0 }
        }
        #expect(steps == ["0", "1", "2", "0"])
    }
}

@Suite("Signals of a simulated host")
struct HostSignalTests {
    @Test("come to those who listen on that host, and to no one else")
    func delivery() async throws {
        let (heard, answers) = try await Simulation(seed: 1).run { world in
            let (one, two) = (try world.addHost("one"), try world.addHost("two"))
            let heard = Locked<[String]>([])
            for host in [one, two] {
                try host.program {
                    for try await signal in try Signals(.hangup, .terminate) {
                        heard.withLock { $0.append("\(host) \(signal)") }
                        if signal == .terminate { break }
                    }
                }
            }
            try await world.sleep(for: .milliseconds(1))
            var answers = [one.raise(.hangup), one.raise(.hangup), two.raise(.user1)]
            try await world.sleep(for: .milliseconds(1))
            answers.append(two.raise(.terminate))
            try await world.sleep(for: .milliseconds(1))
            answers += [one.raise(.hangup), two.raise(.hangup)]
            try await world.sleep(for: .milliseconds(1))
            return (heard.withLock { $0 }, answers)
        }
        #expect(heard == ["one SIGHUP", "two SIGTERM", "one SIGHUP"])
        #expect(answers == [true, true, false, true, true, false])
    }
}
