import AsyncIO
import AsyncIOTestSupport
import AsyncIOTesting
import Testing

@Suite("Checkpoints")
struct CheckpointTests {
    @Test("a call that lets nobody else run is told from one that does")
    func suspensions() async throws {
        try await withEventLoop { loop in
            try await expectSuspends { await EventLoop.yield() }
            try await expectSuspends { try await loop.sleep(for: .zero) }
            try await expectSuspends { try await loop.offload {} }
            let lock = AsyncLock()
            try await expectDoesNotSuspend { try await lock.withLock {} }
            let early = await #expect(throws: CheckpointError.self) {
                try await expectSuspends("a free lock") { try await lock.withLock {} }
            }
            #expect(early.map { "\($0)" }?.hasPrefix("a free lock has not suspended") == true)
            let late = await #expect(throws: CheckpointError.self) {
                try await expectDoesNotSuspend("yield") { await EventLoop.yield() }
            }
            #expect(late?.turns == 1)
        }
    }

    @Test("the body's own error comes after the verdict on its suspension")
    func ownError() async throws {
        struct Own: Error {}
        try await withEventLoop { _ in
            await #expect(throws: Own.self) {
                try await expectSuspends {
                    await EventLoop.yield()
                    throw Own()
                }
            }
            await #expect(throws: CheckpointError.self) { try await expectSuspends { throw Own() } }
        }
    }

    @Test("without a loop there is nothing to count")
    func noLoop() async {
        await #expect(throws: EventLoopError.noLoop) { try await expectSuspends {} }
        await #expect(throws: EventLoopError.noLoop) { try await checkLeaks {} }
    }
}

@Suite("Leaks")
struct LeakTests {
    @Test("what ends with the body is no leak, nor what was there before")
    func clean() async throws {
        try await withVirtualTime(options: .test()) { time in
            let ticker = time.loop.spawn(name: "old ticker") {
                while true { try await time.loop.sleep(for: .seconds(1)) }
            }
            try await checkLeaks {
                try await time.loop.sleep(for: .seconds(10))
                async let one: Void = time.loop.sleep(for: .seconds(10))
                try await one
                time.loop.spawn { await EventLoop.yield() }
                try await withTimeout(.seconds(5)) { await EventLoop.yield() }
            }
            ticker.cancel()
        }
    }

    @Test("a task, an operation, a timer and a task that nobody will ever wake are named")
    func leaks() async throws {
        try await withVirtualTime(options: .test()) { time in
            let gate = AsyncEvent()
            let lock = AsyncLock()
            let leaks = await #expect(throws: Leaks.self) {
                try await checkLeaks {
                    time.loop.spawn(name: "sleeper") { try await time.loop.sleep(for: .seconds(3_600)) }
                    Task(name: "parked", executorPreference: time.loop) { try await gate.wait() }
                    time.loop.callLater(.seconds(7_200)) {}
                    try await lock.withLock {}
                }
            }
            #expect(leaks?.tasks == ["sleeper", "parked"])
            #expect(leaks?.operations == 1 && leaks?.timers == 2)
            #expect(
                leaks.map { "\($0)" }
                    == "left behind: 2 tasks (sleeper, parked), 1 operation under way, 2 timers")
            gate.set()
        }
    }

    @Test("descriptors are named with what they refer to", arguments: Drivers.available)
    func descriptors(driver: DriverChoice) async throws {
        try await withEventLoop(options: .test(driver: driver)) { loop in
            let kept = Log<MemoryStream>()
            let leaked = Log<PipeStream>()
            kept.add(MemoryStream.pair().0)
            let leaks = await #expect(throws: Leaks.self) {
                try await checkLeaks(of: [.loop, .descriptors]) {
                    let (one, other) = try await PipeStream.pair(on: loop)
                    leaked.add(one)
                    leaked.add(other)
                }
            }
            #expect(leaks?.descriptors.contains { $0.contains("pipe:") } == true)
            for stream in leaked.all { stream.close() }
        }
    }
}

@Suite("Sequencer")
struct SequencerTests {
    @Test("steps are taken in order, whoever comes first")
    func order() async throws {
        let log = Log<Int>()
        try await withVirtualTime(options: .test()) { _ in
            let sequencer = Sequencer()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for step in [4, 2, 0, 3, 1] {
                    group.addTask {
                        try await sequencer.step(step) {
                            log.add(step)
                            await EventLoop.yield()
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(sequencer.current == 5)
        }
        #expect(log.all == [0, 1, 2, 3, 4])
    }

    @Test("a step belongs to one task, and the error says which step")
    func twice() async throws {
        try await withVirtualTime(options: .test()) { _ in
            let sequencer = Sequencer()
            try await sequencer.step(0)
            await #expect(throws: SequenceError.takenTwice(0)) { try await sequencer.step(0) }
            async let later: Void = sequencer.step(2)
            await EventLoop.yield()
            await #expect(throws: SequenceError.takenTwice(2)) { try await sequencer.step(2) }
            try await sequencer.step(1)
            try await later
        }
    }

    @Test("after a step whose task was cancelled, the later ones say that they never come")
    func lost() async throws {
        try await withVirtualTime(options: .test()) { time in
            let sequencer = Sequencer()
            let lost = time.loop.spawn { try await sequencer.step(1) }
            let stranded = time.loop.spawn { try await sequencer.step(2) }
            try await time.waitUntilIdle()
            lost.cancel()
            await #expect(throws: CancellationError.self) { try await lost.value }
            await #expect(throws: SequenceError.outOfReach(2, after: 1)) { try await stranded.value }
            await #expect(throws: SequenceError.outOfReach(3, after: 1)) { try await sequencer.step(3) }
            try await sequencer.step(0)
        }
    }
}
