import AsyncIO
import Foundation
import Testing

/// A server among the examples, under way.
private final class RunningExample: @unchecked Sendable {
    let number: pid_t
    private let output: FileHandle
    private var pending = Data()
    private var hasEnded = false

    /// Starts it with no signal blocked: a thread that runs tasks has blocked them all, and Foundation's `Process`
    /// would hand that on.
    init(_ name: String, _ arguments: [String]) throws {
        let folder = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        let pipe = Pipe()
        output = pipe.fileHandleForReading
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, pipe.fileHandleForWriting.fileDescriptor, 1)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        let path = folder.appendingPathComponent(name).path
        var words = ([path] + arguments).map { strdup($0) } + [nil]
        defer { words.forEach { free($0) } }
        var number: pid_t = 0
        let code = posix_spawn(&number, path, &actions, &attributes, &words, environ)
        guard code == 0 else { throw POSIXError(POSIXErrorCode(rawValue: code) ?? .EINVAL) }
        self.number = number
        try pipe.fileHandleForWriting.close()
    }

    deinit { if !hasEnded { kill(number, SIGKILL) } }

    /// The next line; blocks.
    func line() -> String? {
        while true {
            if let end = pending.firstIndex(of: 10) {
                defer { pending = Data(pending[(end + 1)...]) }
                return String(decoding: pending[..<end], as: UTF8.self)
            }
            let more = output.availableData
            guard !more.isEmpty else { return nil }
            pending += more
        }
    }

    /// The port in the line that says where it listens.
    func port() throws -> UInt16 {
        let words = line()?.split(separator: ":").last
        return try #require(words.flatMap { UInt16($0) })
    }

    func terminate() { kill(number, SIGTERM) }

    /// Waits for its end; its exit code, or -1 if a signal ended it.
    func end() -> Int32 {
        var status: Int32 = 0
        while waitpid(number, &status, 0) < 0 && errno == EINTR {}
        hasEnded = true
        return status & 0x7f == 0 ? status >> 8 & 0xff : -1
    }
}

/// Runs a body with clients on a loop of their own.
private func withClients(_ body: @escaping @Sendable (EventLoop) async throws -> Void) async throws {
    let thread = try LoopThread()
    let result: Result<Void, any Error>
    do { result = .success(try await body(thread.loop)) } catch { result = .failure(error) }
    await thread.shutdown()
    try result.get()
}

/// Runs what blocks on a thread of its own.
private func blocking<Success: Sendable>(_ body: @escaping @Sendable () throws -> Success) async throws -> Success {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
    }
}

extension TCPStream {
    /// Reads until the text has come.
    fileprivate func hears(_ wanted: String) async throws -> Bool {
        var heard = ""
        while !heard.contains(wanted), let bytes = try await read() { heard += String(decoding: bytes, as: UTF8.self) }
        return heard.contains(wanted)
    }
}

@Suite("The servers among the examples")
struct ServerExamplesTests {
    @Test("the chat's rooms hear their own people, on whatever loop they are")
    func chat() async throws {
        let server = try RunningExample("18-sharded-chat", ["0"])
        let port = try await blocking { try server.port() }
        try await withClients { loop in
            var people: [TCPStream] = []
            for number in 1...6 {
                let person = try await TCPStream.connect("127.0.0.1", port, on: loop)
                try await person.write("lobby\n")
                #expect(try await person.hears("now \(number) in lobby\n"))
                people.append(person)
            }
            let other = try await TCPStream.connect("127.0.0.1", port, on: loop)
            try await other.write("attic\n")
            #expect(try await other.hears("now 1 in attic\n"))
            try await people[0].write("hello, lobby\n")
            for person in people { #expect(try await person.hears("hello, lobby\n")) }
            try await other.write("nobody here\n")
            #expect(try await other.read() == Array("nobody here\n".utf8))
        }
        server.terminate()
        #expect(try await blocking { server.end() } == 0)
    }

    @Test("a reload turns nobody away, and lets those that are connected finish")
    func reload() async throws {
        let old = try RunningExample("19-reload", ["0"])
        let port = try await blocking { try old.port() }
        try await withClients { loop in
            @Sendable func ask(_ connection: TCPStream) async throws {
                try await connection.write("still there?")
                #expect(try await connection.read() == Array("still there?".utf8))
            }
            let loyal = try await TCPStream.connect("127.0.0.1", port, on: loop)
            try await ask(loyal)
            let isOver = CancellationToken(name: "clients")
            // One client after the other, from before the reload until after it.
            async let served = { () async throws -> Int in
                var served = 0
                while !isOver.isCancelled {
                    let client = try await TCPStream.connect("127.0.0.1", port, on: loop)
                    try await ask(client)
                    client.close()
                    served += 1
                }
                return served
            }()
            let new = try RunningExample("19-reload", ["\(port)", "\(old.number)"])
            #expect(try await blocking { try new.port() } == port)
            // The new one has it all, while the old one still serves whom it has.
            for _ in 0..<50 { try await loop.sleep(for: .milliseconds(10)) }
            try await ask(loyal)
            isOver.cancel()
            #expect(try await served > 10)
            loyal.close()
            let last = try await blocking { old.line() }
            #expect(last?.hasSuffix("connections, and leaves") == true)
            #expect(try await blocking { old.end() } == 0)
            new.terminate()
            #expect(try await blocking { new.end() } == 0)
        }
    }
}
