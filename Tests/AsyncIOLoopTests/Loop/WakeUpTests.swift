import AsyncIOKernel
import AsyncIOTestSupport
import Testing

@testable import AsyncIOLoop

@Suite("Waking a loop from other threads")
struct WakeUpTests {
    /// How often, by how fast the build is.
    private static var rounds: Int {
        var isDebug = false
        assert(
            {
                isDebug = true; return true
            }())
        return isDebug ? 50_000 : 500_000
    }

    @Test("no wake-up is lost while the loop goes to sleep", arguments: Drivers.available)
    func lost(driver: DriverChoice) async throws {
        let rounds = Self.rounds
        let answers = try await Watchdog.onThread(limit: .seconds(90)) {
            let thread = try LoopThread(options: .guest(driver))
            let loop = thread.loop
            let answers = Counter()
            // Each thread has one call under way at a time, so the loop falls asleep again and again.
            let threads = try (0..<2).map { _ in
                try SystemThread.start(name: "caller") {
                    let turn = Condition(0)
                    for round in 1...rounds {
                        loop.callSoon {
                            answers.add()
                            turn.withLock { $0 = round }
                            turn.signal()
                        }
                        _ = turn.wait { $0 == round ? true : nil }
                    }
                }
            }
            for thread in threads { thread.join() }
            thread.close()
            return answers.value
        }
        #expect(answers == 2 * rounds)
    }

    @Test("two loops wake each other's tasks", arguments: Drivers.available)
    func pingPong(driver: DriverChoice) async throws {
        let rounds = Self.rounds / 10
        let sum = try await Watchdog.onThread {
            let threads = [try LoopThread(options: .guest(driver)), try LoopThread(options: .guest(driver))]
            let (left, right) = (Tally(loop: threads[0].loop), Tally(loop: threads[1].loop))
            let work = threads[0].loop.submit {
                var sum = 0
                for _ in 0..<rounds { sum = await left.add(await right.add(1)) }
                return sum
            }
            let sum = try work.wait()
            for thread in threads { thread.close() }
            return sum
        }
        #expect(sum == (1...rounds).reduce(0, +))
    }

    @Test(
        "threads that call while the loop closes: each call runs or says that it is cancelled",
        arguments: Drivers.available)
    func closing(driver: DriverChoice) async throws {
        let lost = try await Watchdog.onThread(limit: .seconds(90)) {
            var lost = 0
            for _ in 0..<100 {
                let thread = try LoopThread(options: .guest(driver))
                let loop = thread.loop
                let (made, ran, cancelled) = (Counter(), Counter(), Counter())
                let (start, end) = (Gate(), Gate())
                let callers = try (0..<8).map { _ in
                    try SystemThread.start(name: "caller") {
                        start.block()
                        var calls: [ScheduledCall] = []
                        for _ in 0..<200 { calls.append(loop.callSoon { ran.add() }) }
                        made.add(200)
                        // Only at the end is it known what became of them.
                        end.block()
                        cancelled.add(calls.count { $0.isCancelled })
                    }
                }
                start.open()
                thread.close()
                end.open()
                for caller in callers { caller.join() }
                lost += made.value - ran.value - cancelled.value
            }
            return lost
        }
        #expect(lost == 0)
    }

    @Test("tasks that are started while the loop closes all come to an end", arguments: Drivers.available)
    func closingUnderTasks(driver: DriverChoice) async throws {
        let ended = try await Watchdog.onThread(limit: .seconds(90)) {
            let ended = Counter()
            for _ in 0..<50 {
                let thread = try LoopThread(options: .guest(driver))
                let loop = thread.loop
                let callers = try (0..<4).map { _ in
                    try SystemThread.start(name: "caller") {
                        for _ in 0..<20 {
                            let task = loop.submit { try await loop.sleep(for: .seconds(1000)) }
                            do { try task.wait(timeout: .seconds(50)) } catch is IOError { continue } catch {
                                ended.add()
                            }
                        }
                    }
                }
                thread.close()
                for caller in callers { caller.join() }
            }
            return ended.value
        }
        #expect(ended == 50 * 80)
    }

    @Test("a job for a loop that has closed runs elsewhere", arguments: Drivers.available)
    func afterlife(driver: DriverChoice) async throws {
        let thread = try LoopThread(options: .guest(driver))
        let loop = thread.loop
        let tally = Tally(loop: loop)
        // It has turned at least once.
        #expect(try await loop.submit { 1 }.value == 1)
        await thread.shutdown()
        try await Watchdog.watch {
            let sum = await Task(executorPreference: loop) { await tally.add(1) }.value
            #expect(sum == 1)
            #expect(await tally.checkedAdd(1) == 2)
            await #expect(throws: EventLoopError.closed("guest")) { try await loop.sleep(for: .zero) }
            await #expect(throws: EventLoopError.closed("guest")) { try await loop.waitReadable(0) }
            await #expect(throws: EventLoopError.closed("guest")) { try await loop.submit { 1 }.value }
            await #expect(throws: EventLoopError.closed("guest")) { try await loop.offload { 1 } }
            let start = Instant.monotonicNow
            try await Task(executorPreference: loop) {
                try await Task.sleep(for: .milliseconds(20))  // sleeps: is what is tested
            }.value
            #expect(start.duration(to: .monotonicNow) >= .milliseconds(20))
            #expect(await loop.statistics.ticks > 0)
        }
    }

    @Test("a task that sleeps when its loop closes does not wake early", arguments: Drivers.available)
    func sleepsOn(driver: DriverChoice) async throws {
        let thread = try LoopThread(options: .guest(driver))
        let loop = thread.loop
        let begun = Gate()
        let task = Task(executorPreference: loop) {
            let start = Instant.monotonicNow
            begun.open()
            try await Task.sleep(for: .seconds(2))  // sleeps: is what is tested
            return start.duration(to: .monotonicNow)
        }
        await begun.pass()
        await thread.shutdown()
        let slept = try await Watchdog.watch { try await task.value }
        #expect(slept >= .seconds(2))
    }

    @Test(
        "a task that goes on waiting after its loop has closed is told so, and nobody hangs",
        arguments: Drivers.available)
    func waitsAgain(driver: DriverChoice) async throws {
        let flag = try Flag()
        let number = flag.number
        let thread = try LoopThread(options: .guest(driver))
        let loop = thread.loop
        let begun = Gate()
        // Neither background nor plain: nobody cancels it, and it waits again and again.
        let task = Task(executorPreference: loop) {
            var failures = 0
            begun.open()
            while true {
                do { try await loop.waitReadable(number) } catch EventLoopError.closed { return failures } catch {
                    failures += 1
                }
            }
        }
        await begun.pass()
        await thread.shutdown()
        let failures = try await Watchdog.watch { await task.value }
        #expect(failures >= 1)
    }
}

/// A number that lives on a loop.
actor Tally: LoopActor {
    nonisolated let loop: EventLoop
    private var sum = 0
    init(loop: EventLoop) { self.loop = loop }

    func add(_ number: Int) -> Int {
        sum += number
        return sum
    }

    func checkedAdd(_ number: Int) -> Int {
        preconditionIsolated()
        return add(number)
    }
}
