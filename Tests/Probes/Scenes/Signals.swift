package import AsyncIO
import Glibc

/// Signals during a run. The test that started the probe sends them when it reads `ready`.
package enum SignalScenes {
    static func options(_ interrupts: EventLoop.Interrupts = .interrupt) -> EventLoop.Options {
        EventLoop.Options(
            interrupts: interrupts, interruptEnding: .error, errorHandler: Report.errorHandler)
    }

    /// The body waits; a signal cancels it, and it cleans up.
    package static func interrupted(_ interrupts: EventLoop.Interrupts, _ signal: CInt) {
        do {
            try EventLoop.run(options: options(interrupts)) {
                let loop = try EventLoop.current.value
                do {
                    Report.line("ready")
                    try await loop.sleep(for: .seconds(1000))
                } catch {
                    await Task { try? await loop.sleep(for: .milliseconds(5)) }.value
                    Report.line("cleaned up, cancelled \(Task.isCancelled)")
                    throw error
                }
            }
            Report.line("ended without an error")
        } catch EventLoopError.interrupted(let number) {
            Report.line("interrupted by \(number)")
        } catch {
            Report.line("ended with \(error)")
        }
        Report.line("handler restored: \(isDefault(signal))")
    }

    /// The process has no descriptor left for the signals' sake.
    package static func outOfDescriptors() throws {
        let runner = try EventLoop.Runner(options: options())
        var limit = rlimit()
        unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        let before = limit.rlim_cur
        let next = dup(0)
        close(next)
        limit.rlim_cur = rlim_t(next)
        unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        do {
            try runner.run { Report.line("the body ran") }
        } catch {
            Report.line("\(error)")
        }
        limit.rlim_cur = before
        unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        try runner.run { Report.line("the body ran later") }
    }

    /// The process was told to ignore Ctrl-C, as a shell tells its background jobs.
    package static func ignored() throws {
        signal(SIGINT, SIG_IGN)
        try EventLoop.run(options: options()) {
            raise(SIGINT)
            raise(SIGINT)
            await EventLoop.yield()
            Report.line("cancelled: \(Task.isCancelled)")
        }
        Report.line("still ignored: \(handler(of: SIGINT) == 1)")
    }

    /// The body is asked to end, and goes on and on without ever suspending.
    package static func busy() throws {
        try EventLoop.run(options: options()) {
            Report.line("ready")
            while !Task.isCancelled { await Task.yield() }
            usleep(250_000)  // sleeps: an earlier second one would be taken for the same
            Report.line("cancelled")
            while true {}
        }
    }

    /// A second signal, of which the process hears itself.
    package static func second() throws {
        Report.line("process \(getpid())")
        try EventLoop.run(options: options()) {
            raise(SIGINT)
            usleep(250_000)  // sleeps: an earlier one would be taken for the same
            raise(SIGINT)
            Report.line("not ended")
        }
    }

    /// A signal that comes twice at once.
    package static func doubled() throws {
        try EventLoop.run(options: options()) {
            raise(SIGINT)
            raise(SIGINT)
            while !Task.isCancelled { await EventLoop.yield() }
            Report.line("cancelled")
        }
    }

    /// As ``second()``, where the program had a handler of its own before.
    package static func secondOfOthers() throws {
        signal(SIGINT) { _ in Report.line("own handler") }
        try EventLoop.run(options: options()) {
            raise(SIGINT)
            usleep(250_000)  // sleeps: an earlier one would be taken for the same
            raise(SIGINT)
            Report.line("not ended")
        }
    }

    /// The body catches its cancellation and returns a value.
    package static func answered() throws {
        let value = try EventLoop.run(options: options()) {
            let loop = try EventLoop.current.value
            raise(SIGINT)
            do { try await loop.sleep(for: .seconds(1000)) } catch { return 17 }
            return 0
        }
        Report.line("value \(value)")
    }

    /// A signal just before the loop goes to sleep, many times: it must not be slept through.
    package static func race(rounds: Int) {
        var interrupted = 0
        for round in 0..<rounds {
            do {
                try EventLoop.run(options: options()) {
                    let loop = try EventLoop.current.value
                    // The last thing that runs before the loop sleeps.
                    if round % 2 == 0 { loop.callSoon { raise(SIGINT) } } else { raise(SIGINT) }
                    try await loop.sleep(for: .seconds(1000))
                }
            } catch EventLoopError.interrupted(SIGINT) {
                interrupted += 1
            } catch {
                Report.line("ended with \(error)")
            }
        }
        Report.line("interrupted \(interrupted) times")
        Report.line("handler restored: \(isDefault(SIGINT))")
    }

    /// A program's own handler is put back after the run.
    package static func ownHandler() throws {
        signal(SIGINT) { _ in Report.line("own handler") }
        try EventLoop.run(options: options()) {}
        raise(SIGINT)
    }

    /// Two runs on two threads: each puts back what it found, and the second one's end does not disarm the first.
    package static func twoRuns() throws {
        do {
            try EventLoop.run(options: options()) {
                let loop = try EventLoop.current.value
                let ended = Task {
                    await withCheckedContinuation { continuation in
                        Executors.foreignThread {
                            try? EventLoop.run(options: options()) {}
                            continuation.resume()
                        }
                    }
                }
                await ended.value
                raise(SIGINT)
                try await loop.sleep(for: .seconds(1000))
            }
        } catch EventLoopError.interrupted(let number) {
            Report.line("interrupted by \(number)")
        }
        Report.line("handler restored: \(isDefault(SIGINT))")
    }

    /// A thousand SIGALRM a second, while timers fire and bytes go to and fro.
    package static func alarms() throws {
        var action = sigaction()
        unsafe action.__sigaction_handler.sa_handler = { _ in unsafe alarmCount += 1 }
        unsafe sigaction(SIGALRM, &action, nil)
        let interval = timeval(tv_sec: 0, tv_usec: 1000)
        var timer = itimerval(it_interval: interval, it_value: interval)
        unsafe setitimer(__itimer_which_t(ITIMER_REAL.rawValue), &timer, nil)
        try EventLoop.run(options: options()) {
            let loop = try EventLoop.current.value
            let start = loop.now
            async let echoed = Echo.bytes(loop, rounds: 2000)
            try await loop.sleep(for: .milliseconds(300))
            let slept = start.duration(to: loop.now)
            Report.line("slept long enough: \(slept >= .milliseconds(300))")
            Report.line("slept not too long: \(slept < .seconds(5))")
            Report.line("echoed: \(try await echoed)")
            let clean = try await loop.offload { () -> Int in
                usleep(1000)  // sleeps: a system call for signals to interrupt
                return 5
            }
            Report.line("offloaded: \(clean)")
        }
        timer = itimerval()
        unsafe setitimer(__itimer_which_t(ITIMER_REAL.rawValue), &timer, nil)
        Report.line("alarms came: \(unsafe alarmCount > 20)")
    }

    /// SIGUSR1 as fast as a thread can send it, while timers fire and bytes go to and fro.
    package static func flood(_ count: Int) throws {
        var action = sigaction()
        unsafe action.__sigaction_handler.sa_handler = { _ in unsafe alarmCount += 1 }
        unsafe sigaction(SIGUSR1, &action, nil)
        let main = pthread_self()
        try EventLoop.run(options: options()) {
            let loop = try EventLoop.current.value
            async let flooded = loop.offload { () -> Int in
                for _ in 0..<count { pthread_kill(main, SIGUSR1) }
                return count
            }
            async let echoed = Echo.bytes(loop, rounds: 2000)
            let start = loop.now
            for _ in 0..<20 { try await loop.sleep(for: .milliseconds(1)) }
            Report.line("slept long enough: \(start.duration(to: loop.now) >= .milliseconds(20))")
            Report.line("echoed: \(try await echoed)")
            Report.line("flooded: \(try await flooded == count)")
        }
        Report.line("signals came: \(unsafe alarmCount > 0)")
        unsafe alarmCount = 0
        raise(SIGUSR1)
        Report.line("and one after the last: \(unsafe alarmCount == 1)")
    }

    /// Timers that become due while the process is stopped. The test stops it at `ready`, and lets it go on later.
    package static func stopped() throws {
        try EventLoop.run(options: options()) {
            let loop = try EventLoop.current.value
            let start = loop.now
            let fired = Fired()
            for number in (1...20).reversed() {
                loop.callAt(start.advanced(by: .milliseconds(200 + 10 * number))) {
                    fired.note(number, isEarly: start.duration(to: loop.now) < .milliseconds(200 + 10 * number))
                }
            }
            Report.line("ready")
            try await loop.sleep(until: start.advanced(by: .milliseconds(410)))
            try await loop.sleep(for: .milliseconds(50))
            Report.line("fired: \(fired.numbers.map(String.init).joined(separator: " "))")
            Report.line("early: \(fired.early)")
            Report.line("was stopped: \(start.duration(to: loop.now) > .milliseconds(900))")
        }
    }

    static func isDefault(_ signal: CInt) -> Bool { handler(of: signal) == 0 }

    /// SIG_DFL is 0, SIG_IGN is 1.
    private static func handler(of signal: CInt) -> Int {
        var action = sigaction()
        unsafe sigaction(signal, nil, &action)
        return unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
    }
}

/// Which timers have fired. Touched by the loop's thread alone.
private final class Fired: @unchecked Sendable {
    private(set) var numbers: [Int] = []
    private(set) var early = 0

    func note(_ number: Int, isEarly: Bool) {
        numbers.append(number)
        if isEarly { early += 1 }
    }
}

/// Written by the signal handler alone, read when no more signals come.
nonisolated(unsafe) private var alarmCount = 0

extension Optional where Wrapped == EventLoop {
    /// The loop that is there; a probe without one has failed.
    var value: EventLoop {
        get throws {
            guard let self else { throw EventLoopError.noLoop }
            return self
        }
    }
}
