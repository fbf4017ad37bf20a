import AsyncIO
import Glibc

/// A process with a loop that forks, and goes on without exec(3) in the child.
package enum ForkScenes {
    /// Several children that touch what is their parent's, and one that does not.
    package static func children() throws {
        try EventLoop.run(options: SignalScenes.options()) {
            let loop = try EventLoop.current.value
            let signals = try Signals(.user1)
            for (name, touch) in try Self.touches(loop) {
                let child = fork()
                if child == 0 {
                    dup2(1, 2)
                    for signal in [SIGILL, SIGTRAP, SIGABRT] { Glibc.signal(signal, SIG_DFL) }
                    try await touch()
                    Report.line("\(name) went through")
                    _exit(0)
                }
                Report.line("\(name): \(ending(of: child))")
            }
            let quiet = fork()
            if quiet == 0 {
                // The signal's action is the default one here.
                while true { pause() }
            }
            kill(quiet, SIGUSR1)
            Report.line("a signal to a child: \(ending(of: quiet))")
            Report.line("the parent echoes: \(try await Echo.bytes(loop, rounds: 100))")
            raise(SIGUSR1)
            Report.line("the parent hears: \(try await signals.next()?.description ?? "nothing")")
        }
    }

    /// A child holds a copy of a connection that its parent has accepted and closed, and to which the peer goes on
    /// sending.
    package static func copies() throws {
        try EventLoop.run(options: EventLoop.Options(driver: .epoll)) {
            let loop = try EventLoop.current.value
            let listener = try await TCPListener.bind("127.0.0.1", 0)
            let client = try await TCPStream.connect(to: listener.address)
            let connection = try await listener.accept()
            // Its reader waits, so that the kernel reports it.
            let others = await loop.statistics.waitingOperations
            let reader = Task(executorPreference: loop) { try await connection.read() }
            while await loop.statistics.waitingOperations == others { await Task.yield() }
            try await client.write([1])
            _ = await reader.result
            let child = fork()
            if child == 0 {
                while true { pause() }
            }
            connection.close()
            let before = await loop.statistics.polls
            for _ in 0..<100 {
                try await client.write([2])
                // It is what is counted, and waits for nothing: a poll that only a byte's report could add to.
                try await loop.sleep(for: .milliseconds(1))
            }
            // Each sleep is a poll, and each byte that is reported would be another one.
            let polls = await loop.statistics.polls - before
            Report.line(polls < 130 ? "silent" : "reported: \(polls) polls for 100 sleeps")
            kill(child, SIGKILL)
            Report.line(ending(of: child))
        }
    }

    private static func touches(_ loop: EventLoop) throws -> [(String, () async throws -> Void)] {
        [
            ("callSoon", { loop.callSoon {} }),
            ("sleep", { try await loop.sleep(for: .milliseconds(1)) }),
            ("yield", { await Task.yield() }),
            ("run", { try EventLoop.run(options: EventLoop.Options(mode: .guest)) {} }),
            ("nothing", { _exit(7) }),
        ]
    }

    private static func ending(of child: pid_t) -> String {
        var status: CInt = 0
        unsafe waitpid(child, &status, 0)
        let signal = status & 0x7f
        switch signal {
        case 0: return "exit \((status >> 8) & 0xff)"
        case SIGILL, SIGTRAP, SIGABRT: return "stopped with a message"
        default: return "signal \(signal)"
        }
    }

    /// fork(2), which Swift's module of the C library hides for good reasons.
    private static func fork() -> pid_t {
        guard let symbol = unsafe dlsym(nil, "fork") else { return -1 }
        return unsafe unsafeBitCast(symbol, to: (@convention(c) () -> pid_t).self)()
    }
}
