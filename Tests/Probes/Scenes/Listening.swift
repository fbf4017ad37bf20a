import AsyncIO
import Glibc

/// Listeners beside a run, in a process that a signal may end.
package enum ListeningScenes {
    /// The program listens to Ctrl-C itself, twice, and then leaves it to the run again.
    package static func interrupts() {
        do {
            try EventLoop.run(options: SignalScenes.options()) {
                let loop = try EventLoop.current.value
                let signals = try Signals(.interrupt)
                Report.line("ready")
                for count in 1...2 {
                    guard let signal = try await signals.next() else { return }
                    if count == 2 { signals.close() }
                    Report.line("heard \(signal) \(count), cancelled \(Task.isCancelled)")
                }
                try await loop.sleep(for: .seconds(1000))
            }
        } catch {
            Report.line("\(error)")
        }
        Report.line("handler restored: \(SignalScenes.isDefault(SIGINT))")
    }

    /// The process was started with the signals blocked.
    package static func blocked() {
        change([SIGINT, SIGHUP], SIG_BLOCK)
        do {
            try EventLoop.run(options: SignalScenes.options()) {
                let loop = try EventLoop.current.value
                let heard = AsyncEvent()
                let handler = try loop.onSignal(.hangup) { heard.set() }
                Report.line("ready")
                try await heard.wait()
                handler.cancel()
                Report.line("heard; blocked again: \(isBlocked(SIGHUP)), the run's: \(isBlocked(SIGINT))")
                try await loop.sleep(for: .seconds(1000))
            }
        } catch {
            Report.line("\(error); blocked again: \(isBlocked(SIGINT))")
        }
    }

    /// Another part of the program finds our handler, and puts it back too late.
    package static func handlerPutBack() throws {
        try EventLoop.run(options: SignalScenes.options([])) {
            var found = sigaction()
            let first = try Signals(.user1)
            unsafe sigaction(SIGUSR1, nil, &found)
            first.close()
            unsafe sigaction(SIGUSR1, &found, nil)
            try Signals(.user1).close()
            Report.line("handler restored: \(SignalScenes.isDefault(SIGUSR1))")
        }
    }

    /// A run that ends the process by its signal, which the process was started without.
    package static func blockedEnd() throws {
        change([SIGINT], SIG_BLOCK)
        try EventLoop.run(options: EventLoop.Options(errorHandler: Report.errorHandler)) {
            let loop = try EventLoop.current.value
            Report.line("ready")
            try await loop.sleep(for: .seconds(1000))
        }
    }

    /// What a child has of all this: its masks, as the kernel tells them.
    package static func children() throws {
        try EventLoop.run(options: SignalScenes.options([.interrupt, .terminate])) {
            let signals = try Signals(.user1, .child, .terminate)
            let command = "exec grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status"
            let texts = ["sh", "-c", command]
            var words = unsafe texts.map { unsafe strdup($0) } + [nil]
            defer { unsafe words.forEach { unsafe free($0) } }
            var child: pid_t = 0
            guard unsafe posix_spawn(&child, "/bin/sh", nil, nil, &words, environ) == 0 else { return }
            // Its end is a signal.
            Report.line("heard \(try await signals.next()?.description ?? "nothing")")
            waitpid(child, nil, 0)
        }
    }

    /// As many listeners as there is room for, and one more.
    package static func many() throws {
        try EventLoop.run(options: SignalScenes.options([])) {
            var listeners: [Signals] = []
            for _ in 0..<256 { listeners.append(try Signals(.user1)) }
            do { listeners.append(try Signals(.user1)) } catch { Report.line("\(error)") }
            raise(SIGUSR1)
            var heard = 0
            for signals in listeners where try await signals.next() == .user1 { heard += 1 }
            Report.line("heard \(heard)")
            listeners.removeFirst().close()
            listeners.append(try Signals(.user2))
            listeners.removeAll()
            Report.line("restored: \(SignalScenes.isDefault(SIGUSR1) && SignalScenes.isDefault(SIGUSR2))")
        }
    }

    static func isBlocked(_ signal: CInt) -> Bool {
        var set = sigset_t()
        unsafe pthread_sigmask(SIG_BLOCK, nil, &set)
        return unsafe sigismember(&set, signal) == 1
    }

    private static func change(_ signals: [CInt], _ how: CInt) {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in signals { unsafe sigaddset(&set, signal) }
        unsafe pthread_sigmask(how, &set, nil)
    }
}
