import AsyncIO
import Glibc

/// fork(2) without a program: the child has a copy of the loop, whose descriptors are the parent's.
enum Fork {
    static func scene() throws {
        try EventLoop.run {
            let loop = EventLoop.current
            let pipe = try await PipeStream.oneWay()
            let elsewhere = try LoopThread(options: EventLoop.Options(name: "other", mode: .guest))
            for (name, body) in [
                ("asks for the loop", { exit(EventLoop.current == nil ? 40 : 1) }),
                (
                    "starts another",
                    { () -> Void in
                        do { try EventLoop.run { exit(41) } } catch { exit(2) }
                    }
                ),
                ("calls the loop", { _ = loop?.callSoon { exit(3) } }),
                ("calls another loop", { _ = elsewhere.loop.callSoon { exit(3) } }),
                ("reads", nil),
            ] as [(String, (() -> Void)?)] {
                let child = fork()
                if child == 0 {
                    // What the child says to standard error is what its user would see.
                    dup2(1, 2)
                    if let body { body() } else { _ = try? await pipe.reading.read() }
                    exit(4)
                }
                var status: CInt = 0
                unsafe waitpid(child, &status, 0)
                ProcessProbe.say("\(name): \(status & 0x7f == 0 ? "exits with \(status >> 8)" : "is ended")")
            }
            // The parent does not notice.
            try await pipe.writing.write("whole")
            ProcessProbe.say("parent: \(String(decoding: try await pipe.reading.read() ?? [], as: UTF8.self))")
            await elsewhere.shutdown()
        }
    }

    /// Swift does not let one call it by its name.
    private static func fork() -> pid_t {
        typealias Function = @convention(c) () -> pid_t
        guard let symbol = unsafe dlsym(nil, "fork") else { return -1 }
        return unsafe unsafeBitCast(symbol, to: Function.self)()
    }
}
