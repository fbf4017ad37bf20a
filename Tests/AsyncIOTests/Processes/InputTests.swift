import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@Suite("The input of a process")
struct ProcessInputTests {
    /// More than a pipe takes at once.
    private static let much = [UInt8](repeating: UInt8(ascii: "m"), count: 1 << 20)

    @Test("bytes are no pipe of the caller's, and reach a process that is spoken with later", arguments: Setting.all)
    func conversation(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let cat = try await Process.spawn("cat", input: .bytes(Self.much), output: .pipe, on: loop)
            #expect(cat.input == nil)
            let result = try await cat.communicate()
            #expect(result.output == Self.much)
            let run = try await Process.run("cat", input: .bytes(Self.much), on: loop)
            #expect(run.output == Self.much)
        }
    }

    @Test("bytes reach a process that a body owns, also if the body returns at once", arguments: Setting.all)
    func owned(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let folder = try Scratch()
            let output = ProcessOutput.file(folder["copy"])
            try await Process.spawn(Command("cat"), input: .bytes(Self.much), output: output, on: loop) { _ in }
            #expect(Scratch.size(of: folder["copy"]) == Self.much.count)
            let pipeline = Pipeline([Command("cat"), Command("cat")])
            try await pipeline.spawn(input: .bytes(Self.much), output: output, on: loop) { #expect($0[0].input == nil) }
            #expect(Scratch.size(of: folder["copy"]) == Self.much.count)
        }
    }

    @Test("a FIFO is awaited without a thread, and may be given up", arguments: Setting.all)
    func fifo(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let folder = try Scratch()
            let path = folder["fifo"]
            #expect(unsafe mkfifo(path, 0o600) == 0)
            let reader = Task(executorPreference: loop) { try await Process.run("cat", input: .file(path), on: loop) }
            await until { await loop.statistics.waitingOperations > 0 }
            #expect(await loop.statistics.blocking.running.isEmpty)
            reader.cancel()
            await #expect(throws: CancellationError.self) { try await reader.value }
            let writer = Task(executorPreference: loop) {
                try await Process.run("echo", ["lost"], output: .file(path), on: loop)
            }
            for _ in 0..<20 { await EventLoop.yield() }
            writer.cancel()
            await #expect(throws: CancellationError.self) { try await writer.value }
            // Both sides at once find each other, and are as blocking as programs expect them.
            async let said = Process.run("cat", input: .file(path), on: loop)
            let bytes = ProcessInput.bytes(Self.much)
            try await Process.run("cat", input: bytes, output: .file(path), on: loop).checked()
            #expect(try await said.output == Self.much)
        }
    }

    @Test("bytes that nobody takes are nobody's concern when the process has ended", arguments: Drivers.available)
    func untaken(driver: DriverChoice) async throws {
        let reports = Errors()
        try await Guest.run(.guest(driver, errors: reports)) { loop in
            struct Broken: Error {}
            let sleeper = Command("sleep", ["300"])
            await #expect(throws: Broken.self) {
                try await Process.spawn(sleeper, input: .bytes(Self.much), on: loop) { _ in throw Broken() }
            }
            // The grandchild keeps the pipe, and reads nothing of it.
            let parent = Command.shell("sleep 300 <&0 >/dev/null 2>&1 & echo $!")
            let line = try await Process.spawn(parent, input: .bytes(Self.much), output: .pipe, on: loop) { parent in
                String(decoding: try await parent.output?.read() ?? [], as: UTF8.self)
            }
            kill(try #require(pid_t(line.filter(\.isNumber))), SIGKILL)
        }
        #expect(reports.lines.isEmpty)
    }
}
