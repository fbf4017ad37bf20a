import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("The deadline in force")
struct DeadlineHandleTests {
    @Test("rescheduling later keeps a body alive that goes on making progress", arguments: Setting.timeless)
    func later(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let start = loop.now
            try await withTimeout(.seconds(2)) { deadline in
                for _ in 0..<10 {
                    try await loop.sleep(for: .seconds(1))
                    #expect(deadline.reschedule(in: .seconds(2)))
                }
            }
            #expect(start.duration(to: loop.now) == .seconds(10))
        }
    }

    @Test("rescheduling earlier expires earlier", arguments: Setting.timeless)
    func earlier(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let start = loop.now
            await #expect(throws: TimeoutError.self) {
                try await withTimeout(.seconds(100)) { deadline in
                    deadline.reschedule(in: .seconds(1))
                    try await loop.sleep(for: .seconds(50))
                }
            }
            #expect(start.duration(to: loop.now) == .seconds(1))
        }
    }

    @Test("rescheduling into the past expires at once", arguments: Setting.timeless)
    func intoThePast(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            await #expect(throws: TimeoutError.self) {
                try await withTimeout(.seconds(100)) { deadline in
                    #expect(deadline.reschedule(to: .distantPast))
                    #expect(deadline.hasExpired)
                    #expect(Task.isCancelled)
                    try await loop.sleep(for: .seconds(50))
                }
            }
        }
    }

    @Test("rescheduling to never, and back", arguments: Setting.timeless)
    func never(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            await #expect(throws: TimeoutError.self) {
                try await withTimeout(.seconds(1)) { deadline in
                    deadline.reschedule(to: .distantFuture)
                    try await loop.sleep(for: .seconds(50))
                    deadline.reschedule(in: .seconds(1))
                    try await loop.sleep(for: .seconds(50))
                }
            }
        }
    }

    @Test("what has expired, or is over, cannot be moved", arguments: Setting.timeless)
    func tooLate(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let kept = Log<Deadline>()
            try await withTimeout(.seconds(1)) { deadline in
                kept.add(deadline)
                try? await loop.sleep(for: .seconds(2))
                #expect(!deadline.reschedule(in: .seconds(1)))
                #expect(deadline.remaining == .zero)
            }
            try await withTimeout(.seconds(1)) { kept.add($0) }
            #expect(kept.all.map { $0.reschedule(in: .seconds(1)) } == [false, false])
            #expect(kept.all.map(\.hasExpired) == [true, false])
            try await loop.sleep(for: .seconds(10))
            #expect(!Task.isCancelled)
        }
    }

    @Test(
        "the time that is left can be read, and the effective deadline is the earliest around",
        arguments: Setting.timeless)
    func effective(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            #expect(Deadline.current == nil)
            #expect(Deadline.effective == nil)
            #expect(Deadline.timeLeft == nil)
            let start = loop.now
            try await withTimeout(.seconds(10)) { outer in
                try await loop.sleep(for: .seconds(1))
                #expect(outer.remaining == .seconds(9))
                try await withTimeout(.seconds(100)) { inner in
                    #expect(Deadline.current === inner)
                    #expect(Deadline.effective == start.advanced(by: .seconds(10)))
                    #expect(Deadline.timeLeft == .seconds(9))
                    outer.reschedule(to: .distantFuture)
                    #expect(Deadline.timeLeft == .seconds(100))
                    async let inChild = Deadline.timeLeft
                    #expect(await inChild == .seconds(100))
                }
                #expect(Deadline.current === outer)
            }
            #expect(Deadline.current == nil)
        }
    }

    @Test("another thread may move it", arguments: Setting.onRealLoop)
    func fromElsewhere(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            await #expect(throws: TimeoutError.self) {
                try await withTimeout(.seconds(1000)) { deadline in
                    try await onThread { _ = deadline.reschedule(to: .distantPast) }
                    try await loop.sleep(for: .seconds(1000))
                }
            }
        }
    }

    @Test("a deadline of another clock is measured against that clock", arguments: Setting.timeless)
    func otherClock(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let end = loop.clock.now.advanced(by: .seconds(3))
            await #expect(throws: TimeoutError.self) {
                try await withDeadline(end, clock: loop.clock) { try await loop.sleep(for: .seconds(5)) }
            }
            #expect(loop.now == end)
            await #expect(throws: TimeoutError.self) {
                try await withDeadline(ContinuousClock().now, clock: ContinuousClock()) {
                    try await loop.sleep(for: .seconds(5))
                }
            }
        }
    }

    @Test("where no loop runs, limits work all the same")
    func withoutLoop() async throws {
        await #expect(throws: TimeoutError.self) {
            try await withTimeout(.milliseconds(5)) {
                try await Task.sleep(for: .seconds(1000))  // sleeps: cut short by the limit
            }
        }
        let value1 = try await withTimeout(.seconds(1000)) { 1 }
        #expect(value1 == 1)
    }

    @Test("Swift's own waits are cut short as well: Task.sleep, streams, groups", arguments: Setting.onLoop)
    func foreignWaits(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            await #expect(throws: TimeoutError.self) {
                try await withTimeout(.milliseconds(1)) {
                    try await Task.sleep(for: .seconds(1000))  // sleeps: cut short by the limit
                }
            }
            let (stream, source) = AsyncStream<Int>.makeStream()
            try await withTimeout(.milliseconds(1)) { for await _ in stream {} }
            source.finish()
            await #expect(throws: TimeoutError.self) {
                try await withTimeout(.milliseconds(1)) {
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for _ in 0..<3 { group.addTask { try await loop.sleep(for: .seconds(1000)) } }
                        try await group.waitForAll()
                    }
                }
            }
        }
    }
}

@Suite("Timeouts that abandon")
struct AbandonTests {
    @Test(
        "a body that ignores cancellation is left behind, counted, and counted out when it ends",
        arguments: Setting.onLoop)
    func abandoned(setting: Setting) async throws {
        let gate = Gate()
        try await withLoop(setting) { loop in
            let error = await #expect(throws: TimeoutError.self) {
                try await withTimeout(.milliseconds(1), orAbandon: "deaf") { await gate.pass() }
            }
            #expect(error?.timeout == .milliseconds(1))
            var statistics = await loop.statistics
            #expect(statistics.abandonedTasks == 1)
            gate.open()
            repeat {
                await EventLoop.yield()
                statistics = await loop.statistics
            } while statistics.abandonedTasks > 0
        }
    }

    @Test("its late error is reported with the name; one in time is the caller's", arguments: Setting.onLoop)
    func lateError(setting: Setting) async throws {
        struct Mishap: Error {}
        let errors = Errors()
        let gate = Gate()
        try await withLoop(setting, reports: errors) { loop in
            await #expect(throws: Mishap.self) {
                try await withTimeout(.seconds(1000), orAbandon: "prompt") { throw Mishap() }
            }
            await #expect(throws: TimeoutError.self) {
                try await withTimeout(.milliseconds(1), orAbandon: "tardy") {
                    await gate.pass()
                    throw Mishap()
                }
            }
            gate.open()
            await until { !errors.all.isEmpty }
        }
        #expect(errors.contexts == ["tardy"])
        #expect(errors.all.first?.error is Mishap)
    }

    @Test("the caller's cancellation abandons at once, too", arguments: Setting.onLoop)
    func cancelled(setting: Setting) async throws {
        let gate = Gate()
        try await withLoop(setting) { loop in
            let begun = Gate()
            let task = Task(executorPreference: loop) {
                try await withTimeout(.seconds(1000), orAbandon: "deaf") {
                    begun.open()
                    await gate.pass()
                }
            }
            await begun.pass()
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            gate.open()
            await until { await loop.statistics.abandonedTasks == 0 }
        }
    }

    @Test("a body in time gives its value, and nothing is counted", arguments: Setting.onLoop)
    func inTime(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let value2 = try await withTimeout(.seconds(1000), orAbandon: "quick") { 5 }
            #expect(value2 == 5)
            let mark = try await Mark.$value.withValue(7) {
                try await withTimeout(.seconds(1000), orAbandon: "quick") { Mark.value }
            }
            #expect(mark == 7, "the caller's task locals")
            let statistics = await loop.statistics
            #expect(statistics.abandonedTasks == 0)
        }
    }
}
