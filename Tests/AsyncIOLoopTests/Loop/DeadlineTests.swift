import AsyncIOKernel
import AsyncIOTestSupport
import Testing

@testable import AsyncIOLoop

@Suite("Deadlines near and far")
struct DeadlineTests {
    static let past: [Duration] = [
        .zero, .nanoseconds(-1), .seconds(-1), .seconds(Int64.min), .nanoseconds(Int64.min),
        .seconds(-86400 * 365 * 292),
        Duration(secondsComponent: .min, attosecondsComponent: 0),
    ]

    static let future: [Duration] = [
        .seconds(86400 * 25), .seconds(86400 * 365 * 292), .seconds(86400 * 365 * 293), .seconds(Int64.max),
        .nanoseconds(Int64.max), .nanoseconds(Int64.max - 1), .milliseconds(Int64(Int32.max)),
        .milliseconds(Int64(Int32.max) + 1), .milliseconds(Int64(UInt32.max) + 1),
        Duration(secondsComponent: .max, attosecondsComponent: 999_999_999_999_999_999),
    ]

    @Test("a delay that is zero or negative means with the next tick", arguments: Drivers.available, past)
    func isOver(driver: DriverChoice, delay: Duration) async throws {
        let ticks = try await Guest.run(.guest(driver)) { loop in
            let done = Gate()
            let before = loop.core.counters.ticks
            loop.callLater(delay) { done.open() }
            await done.pass()
            try await loop.sleep(for: delay)
            return loop.core.counters.ticks - before
        }
        #expect(ticks < 12)
    }

    @Test("a far deadline neither fires nor keeps the loop busy", arguments: Drivers.available, future)
    func isFar(driver: DriverChoice, delay: Duration) async throws {
        let (fired, ticks) = try await Guest.run(.guest(driver)) { loop in
            let fired = Counter()
            let call = loop.callLater(delay) { fired.add() }
            let sleeper = loop.spawn {
                try await loop.sleep(for: delay)
                fired.add()
            }
            let other = Task(executorPreference: loop) {
                try await Task.sleep(for: delay)  // sleeps: is cancelled
                fired.add()
            }
            let before = loop.core.counters.ticks
            try await loop.sleep(for: .milliseconds(20))
            let ticks = loop.core.counters.ticks - before
            call.cancel()
            sleeper.cancel()
            other.cancel()
            _ = try? await sleeper.value
            _ = try? await other.value
            return (fired.value, ticks)
        }
        #expect(fired == 0)
        #expect(ticks < 12, "the loop spins")
    }

    @Test("the distant future never comes, the distant past is over", arguments: Drivers.available)
    func ends(driver: DriverChoice) async throws {
        let (fired, ticks) = try await Guest.run(.guest(driver)) { loop in
            let fired = Counter()
            let call = loop.callAt(.distantFuture) { fired.add() }
            try await loop.sleep(until: .distantPast)
            let before = loop.core.counters.ticks
            try await loop.sleep(for: .milliseconds(20))
            let ticks = loop.core.counters.ticks - before
            call.cancel()
            return (fired.value, ticks)
        }
        #expect(fired == 0)
        #expect(ticks < 8)
    }

    @Test("a timer of parts of a millisecond takes few turns", arguments: Drivers.available, [1, 500, 1500])
    func subMillisecond(driver: DriverChoice, microseconds: Int) async throws {
        let ticks = try await Guest.run(.guest(driver)) { loop in
            let before = loop.core.counters.ticks
            for _ in 0..<10 { try await loop.sleep(for: .microseconds(microseconds)) }
            return loop.core.counters.ticks - before
        }
        #expect(ticks <= 35, "ten sleeps, at most three turns each, and a few for strangers")
    }

    @Test("an idle loop sleeps", arguments: Drivers.available)
    func idle(driver: DriverChoice) async throws {
        let (ticks, time) = try await Guest.run(.guest(driver)) { loop in
            let (before, time) = (loop.core.counters.ticks, ProcessTable.threadTime)
            try await loop.sleep(for: .milliseconds(300))
            return (loop.core.counters.ticks - before, ProcessTable.threadTime - time)
        }
        #expect(ticks < 10)
        #expect(time < 60_000_000)
    }

    @Test("a cancelled sleep ends at once, and its timer leaves", arguments: Drivers.available)
    func cancelled(driver: DriverChoice) async throws {
        let pending = try await Guest.run(.guest(driver)) { loop in
            let sleepers = (0..<100).map { _ in loop.spawn { try await loop.sleep(for: .seconds(1000)) } }
            await Task.yield()
            await Task.yield()
            #expect(loop.core.timers.count == 100)
            for sleeper in sleepers { sleeper.cancel() }
            for sleeper in sleepers {
                await #expect(throws: CancellationError.self) { try await sleeper.value }
            }
            return loop.core.timers.count
        }
        #expect(pending == 0)
    }

    @Test("cancellations from another thread race with the timers: each sleep ends once", arguments: Drivers.available)
    func race(driver: DriverChoice) async throws {
        let (slept, cancelled) = try await Watchdog.onThread {
            let thread = try LoopThread(options: .guest(driver))
            let loop = thread.loop
            let (slept, cancelled) = (Counter(), Counter())
            for _ in 0..<200 {
                let tasks = (0..<50).map { number in
                    loop.submit {
                        do {
                            try await loop.sleep(for: .microseconds(number * 4))
                            slept.add()
                        } catch { cancelled.add() }
                    }
                }
                for task in tasks { task.cancel() }
                for task in tasks { try task.wait(timeout: .seconds(30)) }
            }
            thread.close()
            return (slept.value, cancelled.value)
        }
        #expect(slept + cancelled == 10_000)
    }

    @Test("a limit that was set from another thread outlives its loop")
    func outlivesLoop() async throws {
        try await Watchdog.watch("a limit that was set from another thread") {
            let thread = try LoopThread(options: .guest(name: "short"))
            let deadline = Deadline(thread.loop.now.advanced(by: .milliseconds(300)), on: thread.loop)
            let begun = Gate()
            let task = Task {
                deadline.begin()
                begun.open()
                await until { Task.isCancelled }
                while !deadline.end() { await Task.yield() }
                return deadline.hasExpired
            }
            await begun.pass()
            await thread.shutdown()
            #expect(await task.value)
        }
    }
}
