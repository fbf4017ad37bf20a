import AsyncIOKernel
import AsyncIOTestSupport
import CAsyncIO
import Testing

@testable import AsyncIOLoop

private struct Failure: Error {}

@Suite("Blocking work beside the loop")
struct OffloadTests {
    @Test("work runs on another thread, and the task comes back", arguments: Drivers.available)
    func elsewhere(driver: DriverChoice) async throws {
        try await Guest.run(.guest(driver)) { loop in
            let home = casyncio_thread_id()
            let there = try await loop.offload { casyncio_thread_id() }
            #expect(there != home)
            #expect(casyncio_thread_id() == home)
            await #expect(throws: Failure.self) { try await loop.offload { throw Failure() } }
        }
    }

    @Test("no more threads than the limit, and every piece of work is done", arguments: Drivers.available, [1, 3])
    func limit(driver: DriverChoice, threads: Int) async throws {
        let (peak, done, statistics) = try await Guest.run(.guest(driver, threads: threads)) { loop in
            let (now, done) = (Counter(), Counter())
            let peak = Condition(0)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<200 {
                    group.addTask {
                        try await loop.offload {
                            let running = now.add()
                            peak.withLock { $0 = max($0, running) }
                            done.add()
                            now.add(-1)
                        }
                    }
                }
                try await group.waitForAll()
            }
            return (peak.withLock { $0 }, done.value, await loop.statistics.blocking)
        }
        #expect(peak <= threads)
        #expect(done == 200)
        #expect(statistics.peakThreads <= threads)
        #expect(statistics.limit == threads)
        #expect(statistics.finished == 200)
        #expect(statistics.queued == 0)
        #expect(statistics.running.isEmpty)
    }

    @Test("work that waits for other work finds a thread for it", arguments: Drivers.available)
    func rendezvous(driver: DriverChoice) async throws {
        try await Guest.run(.guest(driver, threads: 2)) { loop in
            for _ in 0..<2000 {
                let met = Gate()
                async let waits: Void = loop.offload { met.block() }
                async let opens: Void = loop.offload { met.open() }
                _ = try await (waits, opens)
            }
        }
    }

    @Test(
        "work that is cancelled before it begins never runs; work that runs is finished", arguments: Drivers.available)
    func cancelled(driver: DriverChoice) async throws {
        let (ran, value, statistics) = try await Guest.run(.guest(driver, threads: 1)) { loop in
            let (begun, mayEnd, ran) = (Gate(), Gate(), Counter())
            let first = loop.submit {
                try await loop.offload(name: "first") {
                    begun.open()
                    mayEnd.block()
                    return 1
                }
            }
            await begun.pass()
            let queued = (0..<5).map { _ in loop.submit { try await loop.offload { ran.add() } } }
            while await loop.statistics.blocking.queued < 5 { await Task.yield() }
            #expect(await loop.statistics.blocking.running == ["first"])
            for task in queued { task.cancel() }
            for task in queued {
                await #expect(throws: CancellationError.self) { _ = try await task.value }
            }
            let unstarted = loop.submit { try await loop.offload { ran.add() } }
            unstarted.cancel()
            await #expect(throws: CancellationError.self) { _ = try await unstarted.value }
            first.cancel()
            mayEnd.open()
            return (ran.value, try await first.value, await loop.statistics.blocking)
        }
        #expect(ran == 0)
        #expect(value == 1, "what has been done is not lost")
        #expect(statistics.cancelled == 6)
        #expect(statistics.finished == 1)
    }

    @Test("a task of another thread offloads, too", arguments: Drivers.available)
    func fromElsewhere(driver: DriverChoice) async throws {
        let thread = try LoopThread(options: .guest(driver))
        #expect(try await thread.loop.offload { 5 } == 5)
        await thread.shutdown()
        await #expect(throws: EventLoopError.closed("guest")) { try await thread.loop.offload { 5 } }
    }

    @Test(
        "a loop that closes waits for work under way, and not for the whole grace period", arguments: Drivers.available)
    func closing(driver: DriverChoice) async throws {
        let errors = Errors()
        let thread = try LoopThread(options: .guest(driver, grace: .seconds(1_000), errors: errors))
        let (begun, mayEnd) = (Gate(), Gate())
        // Its task lives elsewhere, so nothing but the pool's end can end the wait.
        let work = Task.detached {
            try await thread.loop.offload {
                begun.open()
                mayEnd.block()
                return 6
            }
        }
        await begun.pass()
        try await Watchdog.watch {
            async let end: Void = thread.shutdown()
            mayEnd.open()
            let value = try await work.value
            #expect(value == 6)
            await end
        }
        #expect(errors.all.isEmpty)
    }

    @Test("work that outlasts the grace period is named", arguments: Drivers.available)
    func stubborn(driver: DriverChoice) async throws {
        let errors = Errors()
        let (begun, mayEnd) = (Gate(), Gate())
        try await Guest.run(.guest(driver, grace: .milliseconds(20), errors: errors)) { loop in
            loop.spawn(name: "waits for it") {
                try await loop.offload(name: "stubborn work") {
                    begun.open()
                    mayEnd.block()
                }
            }
            await begun.pass()
        }
        mayEnd.open()
        #expect(errors.stubborn.contains { $0.contains("stubborn work") })
        #expect(errors.stubborn.contains("waits for it"))
    }

    @Test("tens of thousands of pieces of work that queue are cancelled in no time", arguments: Drivers.available)
    func massCancel(driver: DriverChoice) async throws {
        let count = 40_000
        let spent = try await Guest.run(.guest(driver, threads: 1)) { loop in
            let (begun, mayEnd) = (Gate(), Gate())
            loop.spawn {
                try await loop.offload {
                    begun.open()
                    mayEnd.block()
                }
            }
            await begun.pass()
            let tasks = (0..<count).map { _ in loop.spawn { try await loop.offload {} } }
            await EventLoop.yield()
            let before = ProcessTable.threadTime
            // The youngest first: a search from the front would look at all the others each time.
            for task in tasks.reversed() { task.cancel() }
            let spent = ProcessTable.threadTime - before
            #expect(loop.pool.statistics.cancelled == UInt64(count))
            mayEnd.open()
            return spent
        }
        #expect(spent < 5_000_000_000, "\(spent) ns")
    }
}
