import AsyncIOKernel
import AsyncIOTestSupport
import Testing

@testable import AsyncIOLoop

private struct Failure: Error, Equatable { let number: Int }

@Suite("Running a loop")
struct RunTests {
    @Test("run returns the body's value or throws its error", arguments: Drivers.available)
    func results(driver: DriverChoice) async throws {
        let value = try await Guest.run(.guest(driver)) { _ in 42 }
        #expect(value == 42)
        await #expect(throws: Failure(number: 1)) {
            try await Guest.run(.guest(driver)) { _ in throw Failure(number: 1) }
        }
        await #expect(throws: CancellationError.self) {
            try await Guest.run(.guest(driver)) { _ in throw CancellationError() }
        }
    }

    @Test("the loop is current inside, and nobody is outside", arguments: Drivers.available)
    func current(driver: DriverChoice) async throws {
        try await Watchdog.onThread {
            #expect(EventLoop.current == nil)
            let loop = try EventLoop.run(options: .guest(driver, name: "inside")) { EventLoop.current }
            #expect(loop?.name == "inside")
            #expect(loop?.description == "EventLoop(inside, \(driver.rawValue))")
            #expect(loop?.isClosed == true)
            #expect(loop?.isCurrent == false)
            #expect(EventLoop.current == nil)
        }
    }

    @Test("a run inside a run is refused, and the outer one goes on", arguments: Drivers.available)
    func nested(driver: DriverChoice) async throws {
        try await Guest.run(.guest(driver)) { loop in
            #expect(throws: EventLoopError.alreadyRunning) { try EventLoop.run(options: .guest(driver)) {} }
            #expect(throws: EventLoopError.alreadyRunning) { _ = try EventLoop.Runner(options: .guest(driver)) }
            try await loop.sleep(for: .milliseconds(1))
            #expect(loop.isCurrent)
        }
    }

    @Test("a runner runs several bodies, and what one leaves goes on in the next", arguments: Drivers.available)
    func runner(driver: DriverChoice) async throws {
        try await Watchdog.onThread {
            let runner = try EventLoop.Runner(options: .guest(driver))
            let ran = Counter()
            let loop = runner.loop
            let task = try runner.run {
                loop.callLater(.milliseconds(1)) { ran.add() }
                return loop.spawn {
                    for _ in 0..<5 { try await loop.sleep(for: .milliseconds(1)) }
                    return 5
                }
            }
            #expect(throws: Failure(number: 2)) { try runner.run { throw Failure(number: 2) } }
            let value = try runner.run { try await task.value }
            #expect(value == 5)
            #expect(ran.value == 1)
            runner.close()
            runner.close()
            #expect(throws: EventLoopError.closed("guest")) { try runner.run {} }
            #expect(loop.isClosed)
        }
    }

    @Test("a runner that is let go inside another loop's run leaves that loop alone", arguments: Drivers.available)
    func runnerInside(driver: DriverChoice) async throws {
        try await Watchdog.onThread {
            nonisolated(unsafe) let runner = try EventLoop.Runner(options: .guest(driver, name: "other"))
            try EventLoop.run(options: .guest(driver)) {
                let loop = EventLoop.current
                unsafe runner.close()
                #expect(EventLoop.current === loop)
                try await loop?.sleep(for: .milliseconds(1))
                #expect(loop?.isCurrent == true)
            }
        }
    }

    @Test("a task of a closed loop can be asked for from other threads without end", arguments: Drivers.available)
    func closed(driver: DriverChoice) async throws {
        let loop = try await Guest.run(.guest(driver)) { loop in loop }
        try await Watchdog.onThread {
            #expect(throws: EventLoopError.closed("guest")) { try loop.submit { 1 }.wait() }
            #expect(throws: EventLoopError.closed("guest")) { try loop.spawn { 1 }.wait() }
        }
    }
}

@Suite("The end of a run")
struct EndingTests {
    @Test("background tasks are cancelled and awaited", arguments: Drivers.available)
    func obedient(driver: DriverChoice) async throws {
        let errors = Errors()
        let log = Log<Bool>()
        try await Guest.run(.guest(driver, errors: errors)) { loop in
            for _ in 0..<10 {
                loop.spawn {
                    do { try await loop.sleep(for: .seconds(1000)) } catch {
                        // Cleaning up may take a few turns.
                        for _ in 0..<10 { await Task.yield() }
                        log.add(Task.isCancelled)
                        throw error
                    }
                }
            }
            await Task.yield()
        }
        #expect(log.all == [Bool](repeating: true, count: 10))
        #expect(errors.all.isEmpty)
    }

    @Test("a task that was never begun is cancelled, too, and ends", arguments: Drivers.available)
    func neverBegun(driver: DriverChoice) async throws {
        let log = Log<Bool>()
        try await Guest.run(.guest(driver)) { loop in
            loop.spawn { log.add(Task.isCancelled) }
        }
        #expect(log.all == [true])
    }

    @Test("who ignores its cancellation is named, once, and the run ends all the same", arguments: Drivers.available)
    func stubborn(driver: DriverChoice) async throws {
        let errors = Errors()
        let gate = Gate()
        let task = try await Guest.run(.guest(driver, grace: .milliseconds(300), errors: errors)) { loop in
            loop.spawn(name: "obedient") { try await loop.sleep(for: .seconds(1000)) }
            let task = loop.spawn(name: "stubborn") {
                await gate.pass()
                return EventLoop.current?.name
            }
            await Task.yield()
            return task
        }
        #expect(errors.stubborn == ["stubborn"])
        #expect(errors.contexts == ["loop guest"])
        gate.open()
        // It ends elsewhere, and who waits for it gets its value.
        let place = try await Watchdog.watch { try await task.value }
        #expect(place == "afterlife")
    }

    @Test("a stubborn task that keeps the loop busy does not outlast the grace period", arguments: Drivers.available)
    func busy(driver: DriverChoice) async throws {
        let errors = Errors()
        let gate = Gate()
        try await Guest.run(.guest(driver, grace: .milliseconds(30), errors: errors)) { loop in
            loop.spawn(name: "spins") { while !gate.isOpen { await Task.yield() } }
            loop.spawn(name: "tries again") { while !gate.isOpen { try? await loop.sleep(for: .seconds(1000)) } }
        }
        gate.open()
        #expect(errors.stubborn == ["spins", "tries again"])
    }

    @Test("no grace at all names who is left, and ends", arguments: Drivers.available, [Duration.zero, .seconds(-1)])
    func noGrace(driver: DriverChoice, grace: Duration) async throws {
        let errors = Errors()
        let gate = Gate()
        try await Guest.run(.guest(driver, grace: grace, errors: errors)) { loop in
            loop.spawn(name: "waits") { await gate.pass() }
            await Task.yield()
        }
        gate.open()
        #expect(errors.stubborn == ["waits"])
    }

    @Test("tasks started during the end are refused, and say so", arguments: Drivers.available)
    func lateSpawn(driver: DriverChoice) async throws {
        let log = Log<EventLoopError?>()
        try await Guest.run(.guest(driver)) { loop in
            loop.spawn {
                try? await loop.sleep(for: .seconds(1000))
                do { try await loop.spawn {}.value } catch { log.add(error as? EventLoopError) }
            }
            await Task.yield()
        }
        #expect(log.all == [.closed("guest")])
    }

    @Test("an error thrown during the end is reported", arguments: Drivers.available)
    func lateError(driver: DriverChoice) async throws {
        let errors = Errors()
        try await Guest.run(.guest(driver, errors: errors)) { loop in
            loop.spawn(name: "fails at the end") {
                try? await loop.sleep(for: .seconds(1000))
                throw Failure(number: 3)
            }
            await Task.yield()
        }
        #expect(errors.contexts == ["fails at the end"])
    }

    @Test("a loop's thread can be ended from its own task, twice, and by letting it go", arguments: Drivers.available)
    func threads(driver: DriverChoice) async throws {
        try await Watchdog.onThread {
            let thread = try LoopThread(options: .guest(driver, grace: .milliseconds(50), errors: Errors()))
            thread.loop.callSoon { thread.close() }
            thread.close()
            thread.close()
            #expect(thread.loop.isClosed)
            let loop = try LoopThread(options: .guest(driver)).loop
            #expect(loop.isClosed)
        }
        let thread = try LoopThread(options: .guest(driver))
        try await Watchdog.watch {
            async let one: Void = thread.shutdown()
            async let other: Void = thread.shutdown()
            _ = await (one, other)
        }
        #expect(thread.loop.isClosed)
    }

    @Test("a task may shut down the thread that it runs on, and the loop does not wait for it to come back")
    func ownShutdown() async throws {
        let errors = Errors()
        let thread = try LoopThread(options: .guest(grace: .seconds(1000), errors: errors))
        let hasAsked = Gate()
        thread.loop.spawn {
            await thread.shutdown()
            hasAsked.open()
        }
        try await Watchdog.watch {
            await hasAsked.pass()
            await thread.shutdown()
        }
        #expect(thread.loop.isClosed && errors.all.isEmpty)
    }
}
