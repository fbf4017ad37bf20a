import AsyncIOKernel
import AsyncIOTestSupport
import Testing

@testable import AsyncIOLoop

@Suite("Callbacks")
struct CallbackTests {
    @Test("timers fire by deadline, equal ones by age, whatever the order of arming", arguments: Drivers.available)
    func order(driver: DriverChoice) async throws {
        let log = try await Guest.run(.guest(driver)) { loop in
            let log = Log<Int>()
            let done = Gate()
            let base = loop.now
            for (number, delay) in [(4, 30), (1, 10), (5, 30), (0, -5), (2, 10), (3, 20)] {
                loop.callAt(base.advanced(by: .microseconds(delay * 100))) { log.add(number) }
            }
            loop.callAt(base.advanced(by: .milliseconds(5))) { done.open() }
            await done.pass()
            return log.all
        }
        #expect(log == [0, 1, 2, 3, 4, 5])
    }

    @Test("no timer fires before its time", arguments: Drivers.available)
    func never(driver: DriverChoice) async throws {
        let early = try await Guest.run(.guest(driver)) { loop in
            let early = Log<Duration>()
            let done = Counter()
            let gate = Gate()
            for number in 0..<200 {
                let deadline = loop.now.advanced(by: .nanoseconds(number * 77_777))
                loop.callAt(deadline) {
                    let now = Instant.monotonicNow
                    if now < deadline { early.add(now.duration(to: deadline)) }
                    if done.add() == 200 { gate.open() }
                }
            }
            await gate.pass()
            return early.all
        }
        #expect(early == [])
    }

    @Test("a cancelled call never runs, however often it is cancelled", arguments: Drivers.available)
    func cancel(driver: DriverChoice) async throws {
        let (ran, pending) = try await Guest.run(.guest(driver)) { loop in
            let ran = Counter()
            let calls = [
                loop.callSoon { ran.add() }, loop.callLater(.zero) { ran.add() },
                loop.callAt(.distantFuture) { ran.add() },
                loop.callAt(.distantPast) { ran.add() }, loop.callLater(.milliseconds(1)) { ran.add() },
            ]
            for call in calls + calls {
                call.cancel()
                #expect(call.isCancelled)
            }
            let pending = loop.snapshot().pendingTimers
            try await loop.sleep(for: .milliseconds(5))
            return (ran.value, pending)
        }
        #expect(ran == 0)
        #expect(pending == 0, "cancelled timers leave at once")
    }

    @Test("a call can be cancelled by another one that is due with it", arguments: Drivers.available)
    func cancelFromCallback(driver: DriverChoice) async throws {
        let log = try await Guest.run(.guest(driver)) { loop in
            let log = Log<Int>()
            let done = Gate()
            let deadline = loop.now.advanced(by: .milliseconds(1))
            let calls = Log<ScheduledCall>()
            loop.callAt(deadline) {
                log.add(1)
                for call in calls.all { call.cancel() }
            }
            calls.add(loop.callAt(deadline) { log.add(2) })
            calls.add(loop.callAt(deadline.advanced(by: .milliseconds(1))) { log.add(3) })
            loop.callAt(deadline.advanced(by: .milliseconds(2))) { done.open() }
            await done.pass()
            return log.all
        }
        #expect(log == [1])
    }

    @Test("a call that has run is not cancelled by cancel", arguments: Drivers.available)
    func afterwards(driver: DriverChoice) async throws {
        let call = try await Guest.run(.guest(driver)) { loop in
            let done = Gate()
            let call = loop.callSoon { done.open() }
            await done.pass()
            call.cancel()
            return call
        }
        #expect(!call.isCancelled)
    }

    @Test(
        "other threads call and cancel: each call runs once or says that it is cancelled", arguments: Drivers.available)
    func threads(driver: DriverChoice) async throws {
        let (ran, cancelled) = try await Watchdog.onThread {
            let thread = try LoopThread(options: .guest(driver))
            let loop = thread.loop
            let ran = Counter()
            var calls: [ScheduledCall] = []
            for number in 0..<20_000 {
                let call: ScheduledCall =
                    switch number % 3 {
                    case 0: loop.callSoon { ran.add() }
                    case 1: loop.callLater(.microseconds(number % 50)) { ran.add() }
                    default: loop.callAt(.distantPast) { ran.add() }
                    }
                calls.append(call)
                if number % 2 == 0 { call.cancel() }
            }
            try loop.submit { try await loop.sleep(for: .milliseconds(5)) }.wait()
            thread.close()
            return (ran.value, calls.count { $0.isCancelled })
        }
        #expect(ran + cancelled == 20_000)
        #expect(ran >= 10_000)
    }

    @Test(
        "calls that a closing loop drops, and calls on a closed loop, say that they are cancelled",
        arguments: Drivers.available)
    func closed(driver: DriverChoice) async throws {
        try await Watchdog.onThread {
            let thread = try LoopThread(options: .guest(driver))
            let ran = Counter()
            let waiting = thread.loop.callLater(.seconds(1000)) { ran.add() }
            thread.close()
            let late = [
                thread.loop.callSoon { ran.add() }, thread.loop.callLater(.zero) { ran.add() },
                thread.loop.callAt(.distantPast) { ran.add() },
            ]
            #expect(waiting.isCancelled)
            for call in late { #expect(call.isCancelled) }
            #expect(ran.value == 0)
        }
    }

    /// What a body captures may cancel its own call when it is let go.
    private final class Owner: Sendable {
        private let call = Condition<ScheduledCall?>(nil)
        let released: Gate
        init(_ released: Gate) { self.released = released }
        func own(_ call: ScheduledCall) { self.call.withLock { $0 = call } }
        deinit {
            call.withLock { $0 }?.cancel()
            released.open()
        }
    }

    @Test("cancelling lets go of what the body holds, and that may cancel again", arguments: Drivers.available)
    func reentrant(driver: DriverChoice) async throws {
        let isReleased = try await Guest.run(.guest(driver)) { loop in
            let released = Gate()
            func make() -> ScheduledCall {
                let owner = Owner(released)
                let call = loop.callLater(.seconds(1000)) { withExtendedLifetime(owner) {} }
                owner.own(call)
                return call
            }
            make().cancel()
            return released.isOpen
        }
        #expect(isReleased)
    }
}
