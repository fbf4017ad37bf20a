import AsyncIOKernel
import AsyncIOTestSupport
import SystemPackage
import Testing

@testable import AsyncIOLoop

private struct Failure: Error, Equatable { var number = 0 }

@Suite("Background tasks")
struct BackgroundTests {
    @Test("an error that nobody awaits goes to the handler, once, with name and place", arguments: Drivers.available)
    func unawaited(driver: DriverChoice) async throws {
        let errors = Errors()
        try await Guest.run(.guest(driver, errors: errors)) { loop in
            loop.spawn(name: "careless") { throw Failure(number: 7) }
            loop.spawn { throw Failure(number: 8) }
            while errors.all.count < 2 { await Task.yield() }
        }
        #expect(errors.all.count == 2)
        let first = try #require(errors.all.first)
        #expect(first.context == "careless")
        #expect(first.error as? Failure == Failure(number: 7))
        #expect(first.place.hasPrefix("AsyncIOLoopTests/BackgroundTests.swift:"))
        #expect("\(first)".contains("careless"))
        #expect(errors.contexts.last?.hasPrefix("task at AsyncIOLoopTests/BackgroundTests.swift:") == true)
    }

    @Test("an error that somebody awaits is his alone", arguments: Drivers.available)
    func awaited(driver: DriverChoice) async throws {
        let errors = Errors()
        try await Guest.run(.guest(driver, errors: errors)) { loop in
            let gate = Gate()
            let task = loop.spawn { () -> Int in
                await gate.pass()
                throw Failure()
            }
            let waiters = (0..<3).map { _ in loop.submit { try await task.value } }
            for _ in 0..<5 { await Task.yield() }
            gate.open()
            for waiter in waiters {
                await #expect(throws: Failure.self) { try await waiter.value }
            }
            await #expect(throws: Failure.self) { try await task.value }
        }
        #expect(errors.all.isEmpty)
    }

    @Test(
        "submit keeps its error for whoever asks, and cancellation is no error to report", arguments: Drivers.available)
    func submitted(driver: DriverChoice) async throws {
        let errors = Errors()
        try await Guest.run(.guest(driver, errors: errors)) { loop in
            let submitted = loop.submit { throw Failure() }
            let cancelled = loop.spawn { try await loop.sleep(for: .seconds(1000)) }
            await Task.yield()
            cancelled.cancel()
            for _ in 0..<10 { await Task.yield() }
            await #expect(throws: Failure.self) { try await submitted.value }
        }
        #expect(errors.all.isEmpty)
    }

    @Test("the value comes to several who await it", arguments: Drivers.available)
    func values(driver: DriverChoice) async throws {
        let sum = try await Guest.run(.guest(driver)) { loop in
            let task = loop.spawn {
                await Task.yield()
                return 5
            }
            let waiters = (0..<10).map { _ in loop.spawn { try await task.value } }
            var sum = 0
            for waiter in waiters { sum += try await waiter.value }
            return sum + (try await task.value)
        }
        #expect(sum == 55)
    }

    @Test("who awaits can be cancelled, and the task goes on", arguments: Drivers.available)
    func cancelledAwaiter(driver: DriverChoice) async throws {
        let value = try await Guest.run(.guest(driver)) { loop in
            let gate = Gate()
            let task = loop.spawn {
                await gate.pass()
                return Task.isCancelled ? 0 : 9
            }
            let waiter = loop.submit { try await task.value }
            for _ in 0..<3 { await Task.yield() }
            waiter.cancel()
            await #expect(throws: CancellationError.self) { try await waiter.value }
            gate.open()
            return try await task.value
        }
        #expect(value == 9)
    }

    @Test("a task cancelled before it begins runs, and sees it", arguments: Drivers.available)
    func cancelledEarly(driver: DriverChoice) async throws {
        let sawIt = try await Guest.run(.guest(driver)) { loop in
            let task = loop.spawn { Task.isCancelled }
            task.cancel()
            return try await task.value
        }
        #expect(sawIt)
    }

    @Test("tasks and handles leave nothing behind", arguments: Drivers.available)
    func leavesNothing(driver: DriverChoice) async throws {
        final class Witness: Sendable {}
        weak var witness: Witness?
        let left = try await Guest.run(.guest(driver)) { loop in
            let tasks = (0..<1000).map { number in loop.spawn { number } }
            for task in tasks { _ = try await task.value }
            return await loop.statistics.backgroundTasks
        }
        #expect(left == 0)
        do {
            let strong = Witness()
            witness = strong
            try await Guest.run(.guest(driver)) { loop in
                loop.spawn { withExtendedLifetime(strong) {} }
            }
        }
        #expect(witness == nil)
    }

    @Test("spawn from whatever thread runs on the loop", arguments: Drivers.available)
    func threads(driver: DriverChoice) async throws {
        let thread = try LoopThread(options: .guest(driver))
        let loop = thread.loop
        let isThere = try await Watchdog.onThread { try loop.spawn { loop.isCurrent }.wait() }
        #expect(isThere)
        #expect(try await loop.submit { EventLoop.current === loop }.value)
        #expect(EventLoop.current == nil)
        await thread.shutdown()
    }
}

@Suite("Waiting for a loop from a thread")
struct SubmitTests {
    @Test("a thread gets the value, or the error", arguments: Drivers.available)
    func wait(driver: DriverChoice) async throws {
        let thread = try LoopThread(options: .guest(driver))
        let loop = thread.loop
        try await Watchdog.onThread {
            let value = try loop.submit { 3 }.wait()
            #expect(value == 3)
            #expect(throws: Failure.self) { try loop.submit { throw Failure() }.wait() }
            let other = try loop.submit { 4 }.wait(timeout: .seconds(50))
            #expect(other == 4)
        }
        await thread.shutdown()
    }

    @Test(
        "a timeout ends the wait and not the task", arguments: Drivers.available,
        [Duration.zero, .milliseconds(5), .seconds(-1)])
    func timeout(driver: DriverChoice, duration: Duration) async throws {
        let thread = try LoopThread(options: .guest(driver))
        let loop = thread.loop
        try await Watchdog.onThread {
            let gate = Gate()
            let task = loop.submit(name: "slow") {
                await gate.pass()
                return 1
            }
            do {
                _ = try task.wait(timeout: duration)
                Issue.record("the wait ended without an error")
            } catch let error as IOError {
                #expect(error.code == .timedOut)
                #expect(error.subject == "slow")
            }
            gate.open()
            #expect(try task.wait() == 1)
        }
        await thread.shutdown()
    }

    @Test("a loop's thread does not wait for itself", arguments: Drivers.available)
    func deadlock(driver: DriverChoice) async throws {
        try await Guest.run(.guest(driver)) { loop in
            let task = loop.submit { 1 }
            #expect(throws: EventLoopError.wouldDeadlock) { try Self.blockingWait(task) }
            let value = try await task.value
            #expect(value == 1)
        }
    }

    private static func blockingWait(_ task: BackgroundTask<Int>) throws -> Int { try task.wait() }
}
