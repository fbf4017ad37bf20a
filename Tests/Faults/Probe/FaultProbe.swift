import AsyncIO
import Glibc

/// `fault-probe serve|flood|client PORT|start|work|nothing`: what faults.py makes fail.
///
/// Reports go to standard error; the exit code is 0 for a good end, 2 for an error that was thrown, and anything else
/// is a bug.
@main
struct FaultProbe {
    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        let options = EventLoop.Options(interrupts: [.terminate], interruptEnding: .error)
        do {
            if arguments.contains("--alarm") { raiseAlarms() }
            switch arguments.first {
            case "serve": try EventLoop.run(options: options) { try await serve(echo) }
            case "flood": try EventLoop.run(options: options) { try await serve(flood) }
            case "client":
                let port = UInt16(arguments.dropFirst().first ?? "") ?? 0
                try EventLoop.run(options: options) { try await ask(port) }
            case "start": try EventLoop.run(options: options) { try await start() }
            case "work": try EventLoop.run(options: options) { try await work() }
            case "nothing": try EventLoop.run(options: options) {}
            default:
                say("usage: fault-probe serve|flood|client PORT|start|work|nothing [--alarm]")
                exit(64)
            }
        } catch EventLoopError.interrupted {
            say("interrupted")
        } catch {
            say("error: \(error)")
            exit(2)
        }
    }

    private static func serve(_ handler: @escaping @Sendable (TCPStream) async throws -> Void) async throws {
        let listener = try await TCPListener.bind("127.0.0.1", 0)
        say("listening \(listener.address.port ?? 0) \(getpid())")
        try await listener.serve(handler)
        // Cancelled means told to end.
        say("ended")
    }

    private static let echo: @Sendable (TCPStream) async throws -> Void = { connection in
        while let bytes = try await connection.read() { try await connection.write(bytes) }
    }

    /// Sends without end, and never reads.
    private static let flood: @Sendable (TCPStream) async throws -> Void = { connection in
        let block = [UInt8](repeating: 1, count: 65_536)
        while true { try await connection.write(block) }
    }

    /// A client of an echo server, which checks every byte.
    private static func ask(_ port: UInt16) async throws {
        let stream = try await TCPStream.connect("127.0.0.1", port)
        for round in 0..<20 {
            let sent = (0..<(1 + round * 997)).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ round) }
            try await stream.write(sent)
            var back: [UInt8] = []
            while back.count < sent.count, let bytes = try await stream.read() { back += bytes }
            guard back == sent else { return say("wrong bytes") }
        }
        try await stream.closeWriting()
        guard try await stream.read() == nil else { return say("bytes after the end") }
        stream.close()
        say("ok")
    }

    /// Everything once: a timer, another thread, a listener, a connection to it.
    private static func start() async throws {
        let loop = try await offload { 1 }
        let listener = try await TCPListener.bind("127.0.0.1", 0)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                let connection = try await listener.accept()
                while let bytes = try await connection.read() { try await connection.write(bytes) }
            }
            group.addTask {
                let stream = try await TCPStream.connect(to: listener.address)
                try await stream.write("x")
                _ = try await stream.read()
                try await stream.closeWriting()
                _ = try await stream.read()
            }
            // The first error ends the other one, too.
            while try await group.next() != nil {}
        }
        try await EventLoop.current?.sleep(for: .milliseconds(loop))
        say("ok")
    }

    /// Replaces a file, reads it, and starts a child: whatever fails, the file is the old one or the new one, nothing
    /// else is left beside it, and no child.
    private static func work() async throws {
        let folder = "/tmp/asyncio-fault-\(getpid())"
        let path = folder + "/file"
        _ = unsafe mkdir(folder, 0o700)
        let old = unsafe open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0o600)
        _ = unsafe write(old, "old", 3)
        close(old)
        defer {
            _ = unsafe unlink(path)
            if unsafe rmdir(folder) != 0 { say("something is left in \(folder)") }
        }
        var failure: (any Error)?
        do {
            try await File.replace(path, with: Array("new words".utf8))
        } catch { failure = error }
        do {
            let text = String(decoding: try await File.readAll(path), as: UTF8.self)
            guard text == (failure == nil ? "new words" : "old") || text == "new words" else {
                return say("wrong bytes: \(text)")
            }
        } catch { failure = failure ?? error }
        do {
            let result = try await Process.shell("cat; echo more >&2", input: .text("words"))
            guard result.outputText == "words", result.errorText == "more\n" else { return say("\(result)") }
        } catch { failure = failure ?? error }
        guard waitpid(-1, nil, WNOHANG) == -1 else { return say("a child is left") }
        if let failure { throw failure }
        say("ok")
    }

    /// A thousand signals a second, none of which restarts a call (A19).
    private static func raiseAlarms() {
        var action = sigaction()
        unsafe action.__sigaction_handler.sa_handler = { _ in }
        unsafe sigaction(SIGALRM, &action, nil)
        let period = timeval(tv_sec: 0, tv_usec: 1_000)
        var timer = itimerval(it_interval: period, it_value: period)
        unsafe setitimer(__itimer_which_t(ITIMER_REAL.rawValue), &timer, nil)
    }

    /// A line to standard output, at once.
    private static func say(_ line: String) {
        let bytes = Array("\(line)\n".utf8)
        var sent = 0
        while sent < bytes.count {
            let count = unsafe bytes[sent...].withUnsafeBytes { unsafe write(1, $0.baseAddress, $0.count) }
            if count > 0 { sent += count } else if errno != EINTR { return }
        }
    }
}
