import AsyncIO
import AsyncIOTestSupport
import Testing

private struct Mishap: Error, Equatable {}

/// Sleeps on the loop's clock and says whether it was cancelled.
private func nap(_ loop: EventLoop, _ duration: Duration) async -> Bool {
    do {
        try await loop.sleep(for: duration)
        return false
    } catch { return true }
}

@Suite("Timeouts and deadlines")
struct DeadlineTests {
    @Test("a body that ends in time gives its value, and no timer is left", arguments: Setting.timeless)
    func inTime(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let start = loop.now
            let value = try await withTimeout(.seconds(10)) {
                try await loop.sleep(for: .seconds(9))
                return 42
            }
            #expect(value == 42)
            #expect(start.duration(to: loop.now) == .seconds(9))
            let statistics = await loop.statistics
            #expect(statistics.pendingTimers == 0)
        }
    }

    @Test("a body that takes longer is cancelled at the instant, and the error says so", arguments: Setting.timeless)
    func expires(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let start = loop.now
            let error = await #expect(throws: TimeoutError.self) {
                try await withTimeout(.seconds(10)) { try await loop.sleep(for: .seconds(11)) }
            }
            #expect(start.duration(to: loop.now) == .seconds(10))
            #expect(error?.timeout == .seconds(10))
            #expect(error?.description == "timed out after 10.0 seconds")
        }
    }

    @Test("the caller is not cancelled by it, and goes on with waits of its own", arguments: Setting.timeless)
    func callerGoesOn(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            for _ in 0..<3 {
                await #expect(throws: TimeoutError.self) {
                    try await withTimeout(.seconds(1)) { try await loop.sleep(for: .seconds(5)) }
                }
                #expect(!Task.isCancelled)
                try await loop.sleep(for: .seconds(1))
            }
        }
    }

    @Test("what else the caller has going is not touched: children, handlers", arguments: Setting.timeless)
    func siblingsGoOn(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            async let background = nap(loop, .seconds(100))
            let handled = Counter()
            await withTaskCancellationHandler {
                _ = await #expect(throws: TimeoutError.self) {
                    try await withTimeout(.seconds(1)) { try await loop.sleep(for: .seconds(5)) }
                }
            } onCancel: {
                handled.add()
            }
            #expect(await background == false)
            #expect(handled.value == 0)
        }
    }

    @Test(
        "a body that ends with a value after the expiration has it returned: nothing it got is lost",
        arguments: Setting.timeless)
    func lateValue(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let value = try await withTimeout(.seconds(1)) {
                _ = await nap(loop, .seconds(5))
                return "connection"
            }
            #expect(value == "connection")
        }
    }

    @Test("an error of the body's own stays what it is, also after the expiration", arguments: Setting.timeless)
    func ownError(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            await #expect(throws: Mishap.self) { try await withTimeout(.seconds(1)) { throw Mishap() } }
            await #expect(throws: Mishap.self) {
                try await withTimeout(.seconds(1)) {
                    _ = await nap(loop, .seconds(5))
                    throw Mishap()
                }
            }
        }
    }

    @Test("a foreign cancellation stays one", arguments: Setting.timeless)
    func foreignCancellation(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let task = Task(executorPreference: loop) {
                try await withTimeout(.seconds(10)) { try await loop.sleep(for: .seconds(100)) }
            }
            try await loop.sleep(for: .seconds(1))
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
    }

    @Test(
        "cancellation and expiration at once: the cancellation stays one, whichever came first",
        arguments: [true, false], Setting.timeless)
    func atOnce(cancelledFirst: Bool, setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let end = loop.now.advanced(by: .seconds(10))
            let slot = Log<Task<Void, any Error>>()
            // Timers of one instant fire in the order in which they were made.
            if cancelledFirst { loop.callAt(end) { slot.all.first?.cancel() } }
            slot.add(
                Task(executorPreference: loop) {
                    try await withDeadline(end) { try await loop.sleep(for: .seconds(100)) }
                })
            await EventLoop.yield()
            await EventLoop.yield()
            if !cancelledFirst { loop.callAt(end) { slot.all.first?.cancel() } }
            let task = try #require(slot.all.first)
            await #expect(throws: CancellationError.self) { try await task.value }
        }
    }

    @Test("an error and an expiration at once: the body's error", arguments: Setting.timeless)
    func errorAtOnce(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let end = loop.now.advanced(by: .seconds(10))
            await #expect(throws: Mishap.self) {
                try await withDeadline(end) {
                    try? await loop.sleep(until: end)
                    throw Mishap()
                }
            }
        }
    }

    @Test("a body that throws CancellationError by itself, in time, has not timed out", arguments: Setting.timeless)
    func cancellationOfItsOwn(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ in
            await #expect(throws: CancellationError.self) {
                try await withTimeout(.seconds(1)) { throw CancellationError() }
            }
        }
    }

    @Test("nested: the inner one expires, the outer one does not notice", arguments: Setting.timeless)
    func innerExpires(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let text = try await withTimeout(.seconds(10)) {
                do {
                    try await withTimeout(.seconds(1)) { try await loop.sleep(for: .seconds(100)) }
                } catch is TimeoutError {
                    try await loop.sleep(for: .seconds(1))
                    return "inner"
                }
                return "none"
            }
            #expect(text == "inner")
        }
    }

    @Test("nested: the outer one expires, and inside it is a cancellation", arguments: Setting.timeless)
    func outerExpires(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let seen = Log<String>()
            let error = await #expect(throws: TimeoutError.self) {
                try await withTimeout(.seconds(1)) {
                    do {
                        try await withTimeout(.seconds(10)) { try await loop.sleep(for: .seconds(100)) }
                    } catch {
                        seen.add("\(type(of: error))")
                        throw error
                    }
                }
            }
            #expect(seen.all == ["CancellationError"])
            #expect(error?.timeout == .seconds(1))
        }
    }

    @Test("nested with the same instant: the outer one's error, once", arguments: Setting.timeless)
    func sameInstant(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let end = loop.now.advanced(by: .seconds(1))
            let seen = Log<String>()
            await #expect(throws: TimeoutError.self) {
                try await withDeadline(end) {
                    do {
                        try await withDeadline(end) { try await loop.sleep(for: .seconds(100)) }
                    } catch {
                        seen.add("\(type(of: error))")
                        throw error
                    }
                }
            }
            #expect(seen.all == ["CancellationError"])
            #expect(loop.now == end)
        }
    }

    @Test("an inner TimeoutError that the body lets through is the inner one's", arguments: Setting.timeless)
    func innerErrorPasses(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let error = await #expect(throws: TimeoutError.self) {
                try await withTimeout(.seconds(10)) {
                    try await withTimeout(.seconds(1)) { try await loop.sleep(for: .seconds(100)) }
                }
            }
            #expect(error?.timeout == .seconds(1))
        }
    }

    @Test(
        "expiring within clean-up: the clean-up's waits are cancelled as well, and the body's error stays",
        arguments: Setting.timeless)
    func expiresInCleanUp(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let seen = Log<Bool>()
            await #expect(throws: Mishap.self) {
                try await withTimeout(.seconds(1)) {
                    do {
                        throw Mishap()
                    } catch {
                        seen.add(await nap(loop, .seconds(100)))
                        throw error
                    }
                }
            }
            #expect(seen.all == [true])
        }
    }

    @Test(
        "after the expiration every wait of the body is cancelled again: it is a state, not an event",
        arguments: Setting.timeless)
    func levelTriggered(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let seen = Log<Bool>()
            try await withTimeout(.seconds(1)) {
                for _ in 0..<4 { seen.add(await nap(loop, .seconds(100))) }
                seen.add(Task.isCancelled)
            }
            #expect(seen.all == [true, true, true, true, true])
        }
    }

    @Test(
        "zero and the past cancel from the start: a body without waits still gives its value",
        arguments: [0, -1, -1000], Setting.timeless)
    func past(seconds: Int, setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let value1 = try await withTimeout(.seconds(seconds)) { 7 }
            #expect(value1 == 7)
            await #expect(throws: TimeoutError.self) {
                try await withTimeout(.seconds(seconds)) { try await loop.sleep(for: .zero) }
            }
            await #expect(throws: TimeoutError.self) {
                try await withDeadline(.distantPast) { try await loop.sleep(for: .seconds(1)) }
            }
        }
    }

    @Test("an infinite limit never expires and costs no timer", arguments: Setting.timeless)
    func infinite(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            for limit in [Duration.seconds(Int64.max), .seconds(1e18)] {
                try await withTimeout(limit) { deadline in
                    #expect(deadline.expiration == .distantFuture)
                    try await loop.sleep(for: .seconds(1_000_000))
                    let statistics = await loop.statistics
                    #expect(statistics.pendingTimers == 0)
                }
            }
        }
    }

    @Test("the body's local state is its own to change", arguments: Setting.timeless)
    func localState(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            var parts: [Int] = []
            final class NotSendable { var number = 1 }
            let object = NotSendable()
            let same = try await withTimeout(.seconds(1)) {
                parts.append(1)
                try await loop.sleep(for: .milliseconds(1))
                parts.append(2)
                object.number += 1
                return object
            }
            #expect(parts == [1, 2])
            #expect(same === object)
            #expect(object.number == 2)
        }
    }

    @Test("the body runs in the caller's isolation", arguments: Setting.timeless)
    func isolation(setting: Setting) async throws {
        actor Account {
            var balance = 0
            func work(_ loop: EventLoop) async throws {
                try await withTimeout(.seconds(1)) {
                    self.assertIsolated()
                    balance += 1
                    try await loop.sleep(for: .milliseconds(1))
                    self.assertIsolated()
                    balance += 1
                }
                self.assertIsolated()
            }
        }
        try await withVirtualTime(setting) { loop in
            let account = Account()
            try await account.work(loop)
            #expect(await account.balance == 2)
        }
    }

    @Test("task locals reach the body and its children", arguments: Setting.timeless)
    func taskLocals(setting: Setting) async throws {
        enum Request { @TaskLocal static var name = "none" }
        try await withVirtualTime(setting) { _ in
            try await Request.$name.withValue("r1") {
                try await withTimeout(.seconds(1)) {
                    #expect(Request.name == "r1")
                    async let inChild = Request.name
                    #expect(await inChild == "r1")
                }
            }
        }
    }
}
