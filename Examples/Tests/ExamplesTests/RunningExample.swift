import AsyncIO
import Foundation
import Testing

/// An example under way.
final class RunningExample: @unchecked Sendable {
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
func withClients(_ body: @escaping @Sendable (EventLoop) async throws -> Void) async throws {
    let thread = try LoopThread()
    let result: Result<Void, any Error>
    do { result = .success(try await body(thread.loop)) } catch { result = .failure(error) }
    await thread.shutdown()
    try result.get()
}

/// Runs what blocks on a thread of its own.
func blocking<Success: Sendable>(_ body: @escaping @Sendable () throws -> Success) async throws -> Success {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
    }
}
