import Foundation
import Synchronization
import Testing

/// The command `asyncio` as a process of its own, with its output in pipes.
///
/// Nothing here waits for ever: after ``patience`` the test fails.
final class RunningCommand: Sendable {
    /// Enough for a machine that has much else to do.
    static let patience: TimeInterval = 30

    private let process: pid_t
    private let output: Int32
    private let errors: Int32
    private let state: Mutex<State>

    private struct State {
        var unread: [UInt8] = []
        var hasEnded = false
    }

    /// Where `asyncio` is.
    static func path() throws -> String {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        return URL(filePath: own).deletingLastPathComponent().appending(path: "asyncio").path()
    }

    /// Starts `asyncio` with arguments; it lies beside the program that runs the tests.
    convenience init(_ arguments: String...) throws { try self.init(arguments) }

    /// What a command finds as its standard input or output.
    enum Standard {
        case inherited
        /// A descriptor of the test's.
        case descriptor(Int32)
        /// None at all.
        case closed
    }

    /// As above; by another program that starts it, if one is named.
    init(
        _ arguments: [String], by launcher: [String] = [], environment: [String] = ["PATH=/usr/bin:/bin"],
        input: Standard = .inherited, output givenOutput: Standard = .inherited
    ) throws {
        let path = try Self.path()
        let outputPipe = try Pipe(), errorPipe = try Pipe()
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        switch input {
        case .inherited: break
        case .descriptor(let number): unsafe posix_spawn_file_actions_adddup2(&actions, number, 0)
        case .closed: unsafe posix_spawn_file_actions_addclose(&actions, 0)
        }
        switch givenOutput {
        case .inherited: unsafe posix_spawn_file_actions_adddup2(&actions, outputPipe.writing, 1)
        case .descriptor(let number): unsafe posix_spawn_file_actions_adddup2(&actions, number, 1)
        case .closed: unsafe posix_spawn_file_actions_addclose(&actions, 1)
        }
        unsafe posix_spawn_file_actions_adddup2(&actions, errorPipe.writing, 2)
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        // Whatever the test runner does with signals is not for the command.
        var none = sigset_t(), interrupt = sigset_t()
        unsafe sigemptyset(&none)
        unsafe sigemptyset(&interrupt)
        unsafe sigaddset(&interrupt, SIGINT)
        unsafe sigaddset(&interrupt, SIGHUP)
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        unsafe posix_spawnattr_setsigdefault(&attributes, &interrupt)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        defer {
            unsafe posix_spawn_file_actions_destroy(&actions)
            unsafe posix_spawnattr_destroy(&attributes)
            close(outputPipe.writing)
            close(errorPipe.writing)
        }
        var words = unsafe (launcher + [path] + arguments).map { unsafe strdup($0) } + [nil]
        var variables = unsafe environment.map { unsafe strdup($0) } + [nil]
        defer { unsafe (words + variables).forEach { unsafe free($0) } }
        var process = pid_t()
        let code = unsafe posix_spawnp(&process, launcher.first ?? path, &actions, &attributes, &words, &variables)
        try #require(code == 0, "cannot start \(path): error \(code)")
        self.process = process
        output = outputPipe.reading
        errors = errorPipe.reading
        state = Mutex(State())
    }

    deinit {
        if !state.withLock({ $0.hasEnded }) {
            kill(process, SIGKILL)
            _ = waitpid(process, nil, 0)
        }
        close(output)
        close(errors)
    }

    /// Reads the next line of standard output.
    func line() throws -> String {
        let deadline = Date(timeIntervalSinceNow: Self.patience)
        while true {
            let line: String? = state.withLock { state in
                guard let end = state.unread.firstIndex(of: 0x0a) else { return nil }
                defer { state.unread.removeFirst(end + 1) }
                return String(decoding: state.unread[..<end], as: UTF8.self)
            }
            if let line { return line }
            let bytes = try #require(try Waiting.read(output, until: deadline), "the command's output has ended")
            state.withLock { $0.unread += bytes }
        }
    }

    /// The port in the first line that the command writes.
    func port() throws -> UInt16 { try Self.port(in: line()) }

    /// The port that a greeting names.
    static func port(in line: String) throws -> UInt16 {
        let match = try #require(line.firstMatch(of: #/listening on [^ ]+:(\d+) /#), "no port in: \(line)")
        return try #require(UInt16(match.1))
    }

    /// The process's number.
    var number: pid_t { process }

    func interrupt() { signal(SIGINT) }

    func signal(_ number: Int32) { kill(process, number) }

    /// Reads everything that is left, and waits for the end.
    func finish() throws -> (code: Int32, output: String, errors: String) {
        let deadline = Date(timeIntervalSinceNow: Self.patience)
        var texts = [output: state.withLock { $0.unread }, errors: []]
        var open = [output, errors]
        // Both at once: the command may wait until somebody reads the one or the other.
        while !open.isEmpty {
            let ready = try Waiting.any(of: open, until: deadline)
            let bytes = try Waiting.read(ready, until: deadline)
            texts[ready]? += bytes ?? []
            if bytes == nil { open.removeAll { $0 == ready } }
        }
        var status: Int32 = 0
        _ = unsafe waitpid(process, &status, 0)
        state.withLock { $0.hasEnded = true }
        // The shell's convention: a signal is 128 and its number.
        let code = status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
        let text = { (descriptor: Int32) in String(decoding: texts[descriptor] ?? [], as: UTF8.self) }
        return (code, text(output), text(errors))
    }
}

/// A pipe that no other child process inherits. Glibc's module has no pipe2(2), so it is a pair of sockets.
private struct Pipe {
    let reading: Int32
    let writing: Int32

    init() throws {
        var ends: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let code = unsafe socketpair(AF_UNIX, kind, 0, &ends)
        try #require(code == 0)
        (reading, writing) = (ends[0], ends[1])
    }
}

/// Blocking reads with an end in time.
enum Waiting {
    struct TimedOut: Error {}

    /// The bytes that come; nil at the end, which for a socket may be a reset.
    static func read(_ descriptor: Int32, until deadline: Date) throws -> [UInt8]? {
        _ = try any(of: [descriptor], until: deadline)
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = unsafe Foundation.read(descriptor, &bytes, bytes.count)
        return count > 0 ? Array(bytes.prefix(count)) : nil
    }

    /// One of the descriptors that can be read now.
    static func any(of descriptors: [Int32], until deadline: Date) throws -> Int32 {
        let left = max(deadline.timeIntervalSinceNow, 0)
        var questions = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        guard unsafe poll(&questions, nfds_t(questions.count), Int32(left * 1000)) > 0,
            let ready = questions.first(where: { $0.revents != 0 })
        else { throw TimedOut() }
        return ready.fd
    }
}

/// Runs a body that blocks on a thread of its own: Swift's own threads are few, and other tests need them. It stays
/// the same task, so that its expectations belong to the test.
func blocking(_ body: @Sendable () throws -> Void) async throws {
    try await withTaskExecutorPreference(ThreadPerJob()) { try body() }
}

private final class ThreadPerJob: TaskExecutor {
    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        Thread.detachNewThread { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}

/// Runs a body, which may block, with the port of an echo server.
func withEcho(_ body: @Sendable (UInt16) throws -> Void) async throws {
    try await blocking {
        let server = try RunningCommand("serve", "echo", "--port", "0")
        try body(try server.port())
        server.interrupt()
        #expect(try server.finish().code == 0)
    }
}
