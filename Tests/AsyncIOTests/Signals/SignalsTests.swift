import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

/// Each test has signals of its own: what a signal does is the process's.
@Suite("Listening to signals", .serialized, .timeLimit(.minutes(30)))
struct SignalsTests {
    private static func realTime(_ offset: Int) throws -> Signal { try #require(Signal.realTime(offset)) }

    /// To the process: whichever thread takes it.
    static func send(_ signal: Signal) { kill(getpid(), signal.rawValue) }

    /// SIG_DFL is 0, SIG_IGN is 1.
    static func action(of signal: Signal) -> Int {
        var action = sigaction()
        unsafe sigaction(signal.rawValue, nil, &action)
        return unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
    }

    @Test("brings each that comes, and no other", arguments: Setting.all)
    func brings(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (one, two, three) = try (Self.realTime(0), Self.realTime(1), Self.realTime(2))
            let signals = try Signals(one, two, on: loop)
            let other = try Signals(three, on: loop)
            for signal in [two, one, one, two] {
                Self.send(signal)
                #expect(try await signals.next() == signal)
            }
            // Of several that wait, the lowest number first.
            for signal in [two, three, one] { Self.send(signal) }
            #expect(try await other.next() == three)
            var heard: [Signal] = []
            for try await signal in signals {
                heard.append(signal)
                if heard.count == 2 { break }
            }
            #expect(heard.sorted() == [one, two])
            #expect(signals.description == "Signals(SIGRTMIN, SIGRTMIN+1)" && signals.ignored.isEmpty)
        }
    }

    @Test("on several loops, each listener gets every signal", arguments: Drivers.available)
    func several(driver: DriverChoice) async throws {
        let signal = try Self.realTime(3)
        let threads = try (0..<3).map { _ in try LoopThread(options: .guest(driver)) }
        let counters = (0..<6).map { _ in Counter() }
        for (index, counter) in counters.enumerated() {
            let loop = threads[index % 3].loop
            // A counter is raised on its own loop.
            try loop.onSignal(signal) { if loop.isCurrent { counter.add() } }
        }
        for round in 1...50 {
            Self.send(signal)
            await until { counters.allSatisfy { $0.value == round } }
        }
        // The end of a loop takes its listeners along; the others go on.
        await threads[0].shutdown()
        #expect(Self.action(of: signal) > 1)
        Self.send(signal)
        await until { [1, 2, 4, 5].allSatisfy { counters[$0].value == 51 } }
        #expect(counters[0].value == 50 && counters[3].value == 50)
        for thread in threads { await thread.shutdown() }
        #expect(Self.action(of: signal) == 0, "the default action is back")
    }

    /// D8.
    @Test(
        "of a flood from several threads, whatever becomes of the rest, the last is heard", arguments: Setting.all)
    func flood(setting: Setting) async throws {
        let count = Stress.count("signals in a flood", few: 50_000, many: 500_000)
        // What is still on its way when the last listener goes must not end the tests.
        Glibc.signal(SIGUSR1, SIG_IGN)
        defer { Glibc.signal(SIGUSR1, SIG_DFL) }
        try await withLoop(setting) { loop in
            let delivered = Counter()
            let handler = try loop.onSignal(.user1, ignored: .isHeard) { delivered.add() }
            let signals = try Signals(.user1, ignored: .isHeard, on: loop)
            for round in 0..<2 {
                try await withThrowingTaskGroup { group in
                    for _ in 0..<2 {
                        group.addTask { try await onThread { for _ in 0..<count / 2 { Self.send(.user1) } } }
                    }
                    try await group.waitForAll()
                }
                let before = delivered.value
                #expect(before <= (count + 1) * (round + 1))
                Self.send(.user1)
                await until { delivered.value > before }
                // What has come is one step; then come the new ones.
                #expect(try await signals.next() == .user1)
            }
            handler.cancel()
        }
        #expect(Self.action(of: .user1) == 1)
    }

    @Test("ends with close, from elsewhere too, and puts back what was there before", arguments: Setting.all)
    func close(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let signal = try Self.realTime(4)
            Glibc.signal(signal.rawValue) { _ in }
            let own = Self.action(of: signal)
            let (first, second) = try (Signals(signal, on: loop), Signals(signal, on: loop))
            #expect(Self.action(of: signal) != own)
            let waiting = Task.detached(executorPreference: setting.caller == .onLoop ? loop : nil) {
                try await first.next()
            }
            await until { await loop.statistics.waitingOperations > 0 }
            first.close()
            #expect(try await waiting.value == nil)
            #expect(try await first.next() == nil)
            Self.send(signal)
            #expect(try await second.next() == signal)
            second.close()
            second.close()
            #expect(Self.action(of: signal) == own)
            // To let go of it is to close it.
            _ = try Signals(signal, on: loop)
            #expect(Self.action(of: signal) == own)
            // A handler that somebody has installed meanwhile is his.
            let third = try Signals(signal, on: loop)
            Glibc.signal(signal.rawValue, SIG_IGN)
            third.close()
            #expect(Self.action(of: signal) == 1)
            Glibc.signal(signal.rawValue, SIG_DFL)
        }
    }

    @Test("a cancelled wait throws, and the signal is still to come", arguments: Setting.all)
    func cancelled(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let signal = try Self.realTime(5)
            let signals = try Signals(signal, on: loop)
            for turns in 0..<50 {
                let waiting = Task.detached(executorPreference: setting.caller == .onLoop ? loop : nil) {
                    try await signals.next()
                }
                for _ in 0..<turns % 5 { await Task.yield() }
                Self.send(signal)
                waiting.cancel()
                switch await waiting.result {
                case .success(let heard): #expect(heard == signal)
                case .failure(let error):
                    #expect(error is CancellationError)
                    #expect(try await signals.next() == signal)
                }
            }
            #expect(await loop.statistics.waitingOperations == 0)
        }
    }

    @Test("what the process ignores stays ignored, unless it is asked for", arguments: Setting.all)
    func ignored(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (deaf, other) = try (Self.realTime(6), Self.realTime(7))
            Glibc.signal(deaf.rawValue, SIG_IGN)
            let polite = try Signals(deaf, other, on: loop)
            #expect(polite.ignored == [deaf] && Self.action(of: deaf) == 1)
            let curious = try Signals(deaf, ignored: .isHeard, on: loop)
            #expect(curious.ignored.isEmpty && Self.action(of: deaf) > 1)
            // Also of those who come later, only whoever asks hears it.
            let late = try Signals(deaf, other, on: loop)
            #expect(late.ignored == [deaf])
            Self.send(deaf)
            #expect(try await curious.next() == deaf)
            Self.send(other)
            #expect(try await polite.next() == other)
            #expect(try await late.next() == other)
            curious.close()
            #expect(Self.action(of: deaf) == 1)
            Glibc.signal(deaf.rawValue, SIG_DFL)
        }
    }

    @Test("what no program can hear is refused, with the reason", arguments: Setting.all)
    func refused(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            // One that no other test listens to.
            let other = try #require(Signal.realTime(9))
            for signal in [Signal.kill, .stop] {
                let error = try #require(throws: IOError.self) { try Signals(other, signal, on: loop) }
                #expect("\(error)" == "listen to \(signal): no process can catch it" && error.code == .invalidArgument)
            }
            for number in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS] {
                let signal = try #require(Signal(rawValue: number))
                let error = try #require(throws: IOError.self) { try loop.onSignal(signal) {} }
                #expect("\(error)".hasPrefix("listen to \(signal): it reports a fault"))
            }
            #expect(throws: IOError.self) { try Signals([], on: loop) }
            #expect(Self.action(of: other) == 0, "nothing is left of what was refused")
        }
    }
}
