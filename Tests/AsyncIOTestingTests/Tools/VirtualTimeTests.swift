import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import AsyncIOTesting
import Testing

@Suite("Virtual time")
struct VirtualTimeTests {
    @Test("hours pass in no time, and each timer fires at its own instant")
    func hours() async throws {
        let start = Instant.monotonicNow
        let log = Log<String>()
        try await withVirtualTime(options: .test()) { time in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for hours in [3, 1, 2] {
                    group.addTask {
                        try await time.loop.sleep(for: .seconds(3_600 * hours))
                        log.add("\(hours): \(time.elapsed)")
                    }
                }
                try await group.waitForAll()
            }
        }
        #expect(log.all == ["1: 3600.0 seconds", "2: 7200.0 seconds", "3: 10800.0 seconds"])
        #expect(start.duration(to: .monotonicNow) < .seconds(3_600))
    }

    @Test("an hour of tries, each with a longer pause after it, takes no time")
    func retries() async throws {
        struct Refused: Error {}
        try await withVirtualTime(options: .test()) { time in
            let tries = Counter()
            var pause = Duration.milliseconds(100)
            while time.elapsed < .seconds(3_600) {
                do {
                    try await withTimeout(.seconds(30)) {
                        tries.add()
                        try await time.loop.sleep(for: .milliseconds(20))
                        throw Refused()
                    }
                } catch is Refused { try await time.loop.sleep(for: pause) }
                pause = min(pause * 2, .seconds(60))
            }
            // 100 ms, 200 ms, … up to a minute, then once a minute.
            #expect((60...80).contains(tries.value), "\(tries.value)")
        }
    }

    @Test("on request, time stands still until it is told to pass, and passes no further")
    func onRequest() async throws {
        try await withVirtualTime(options: .test(), mode: .onRequest) { time in
            let ticks = Counter()
            let ticker = time.loop.spawn(name: "ticker") {
                for _ in 0..<100 {
                    try await time.loop.sleep(for: .seconds(10))
                    ticks.add()
                }
            }
            try await time.waitUntilIdle()
            #expect(ticks.value == 0 && time.elapsed == .zero)
            try await time.advance(by: .seconds(35))
            #expect(ticks.value == 3 && time.elapsed == .seconds(35))
            try await time.advance(by: .seconds(5))
            #expect(ticks.value == 4, "what is due at the very instant has happened")
            #expect("\(time)" == "VirtualTime(40.0 seconds, onRequest)")
            time.mode = .jumps
            try await ticker.value
            #expect(time.elapsed == .seconds(1_000))
        }
    }

    @Test("waitUntilIdle returns when everything else waits, without any time passing")
    func idle() async throws {
        try await withVirtualTime(options: .test()) { time in
            let steps = Counter()
            time.loop.spawn {
                for _ in 0..<500 {
                    await EventLoop.yield()
                    steps.add()
                }
                try await time.loop.sleep(for: .seconds(60))
                steps.add()
            }
            try await time.waitUntilIdle()
            #expect(steps.value == 500 && time.elapsed == .zero)
        }
    }

    @Test("time stands still while blocking work is under way on a thread")
    func blockingWork() async throws {
        try await withVirtualTime(options: .test()) { time in
            for _ in 0..<20 {
                let isWorking = Gate()
                let mayEnd = Gate()
                let before = time.elapsed
                async let sleeper: Void = time.loop.sleep(for: .seconds(3_600))
                async let result = time.loop.offload {
                    isWorking.open()
                    mayEnd.block()
                    return time.elapsed
                }
                Task.detached {
                    await isWorking.pass()
                    for _ in 0..<100 { await Task.yield() }
                    mayEnd.open()
                }
                let after = try await result
                #expect(after == before && time.elapsed == before)
                try await sleeper
            }
        }
    }

    @Test("waitUntilIdle waits for blocking work")
    func idleAfterWork() async throws {
        try await withVirtualTime(options: .test()) { time in
            let hasEnded = Counter()
            time.loop.spawn {
                try await time.loop.offload { for _ in 0..<1_000 { hasEnded.add() } }
                hasEnded.add()
            }
            try await time.waitUntilIdle()
            #expect(hasEnded.value == 1_001)
        }
    }

    @Test("files are worked on for real, and a socket is refused by name")
    func realFiles() async throws {
        try await withVirtualTime(options: .test()) { _ in
            let text = try await File.readAll("/proc/self/comm")
            #expect(!text.isEmpty)
            await #expect(throws: IOError.self) { try await TCPListener.bind("127.0.0.1", 0) }
        }
    }

    @Test("a cancelled waitUntilIdle ends, and the others go on")
    func cancelledIdle() async throws {
        try await withVirtualTime(options: .test(), mode: .onRequest) { time in
            let waiter = time.loop.spawn { try await time.advance(by: .seconds(10)) }
            for _ in 0..<3 { await EventLoop.yield() }
            waiter.cancel()
            await #expect(throws: CancellationError.self) { try await waiter.value }
            try await time.waitUntilIdle()
            #expect(time.elapsed == .zero)
        }
    }

    @TaskLocal static var flavour = "none"

    @Test("the body is the caller's own task: its locals and its cancellation go with it")
    func sameTask() async throws {
        try await Self.$flavour.withValue("mint") {
            try await withVirtualTime(options: .test()) { _ in
                #expect(Self.flavour == "mint")
                #expect(EventLoop.current != nil)
            }
        }
        let task = Task {
            try await withVirtualTime(options: .test()) { time in
                unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                try await time.loop.sleep(for: .seconds(1))
            }
        }
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test("what is left at the end is cancelled, and sees no more time pass")
    func leftovers() async throws {
        let seen = Log<Duration>()
        let elapsed = try await withVirtualTime(options: .test()) { time in
            time.loop.spawn {
                while true {
                    do { try await time.loop.sleep(for: .seconds(1)) } catch {
                        seen.add(time.elapsed)
                        throw error
                    }
                }
            }
            try await time.loop.sleep(for: .milliseconds(4_500))
            return time.elapsed
        }
        #expect(seen.all == [elapsed])
    }
}
