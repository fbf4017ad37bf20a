import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("Limits in time where a loop ends, and where nobody gives way")
struct DeadlineRegressionTests {
    @Test("a limit outlives its loop: a task that goes on after the loop's end is still cut short")
    func outlivesItsLoop() async throws {
        let thread = try LoopThread(options: .guest(name: "short"))
        let queue = AsyncQueue<Int>(capacity: 1)
        let begun = Gate()
        let task = Task(executorPreference: thread.loop) {
            try await withTimeout(.milliseconds(200)) {
                begun.open()
                return try await queue.get()
            }
        }
        await begun.pass()
        await thread.shutdown()
        try await Watchdog.watch {
            _ = await #expect(throws: TimeoutError.self) { try await task.value }
        }
    }

    @Test(
        "a cancelled task that asks for the same value again and again lets the others run",
        arguments: Setting.onRealLoop)
    func asksAgainAndAgain(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let gate = Gate()
            let slow = loop.spawn(name: "slow") {
                await gate.pass()
                return 7
            }
            let stubborn = Task(executorPreference: loop) {
                while true {
                    do { return try await slow.value } catch is CancellationError { continue }
                }
            }
            await EventLoop.yield()
            stubborn.cancel()
            loop.callLater(.milliseconds(5)) { gate.open() }
            let value = try await stubborn.value
            #expect(value == 7)
        }
    }

    @Test(
        "what a limit has ended is no longer in force for tasks that were started inside", arguments: Setting.timeless)
    func inherited(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let gate = Gate()
            let task = try await withTimeout(.seconds(1)) {
                Task(executorPreference: loop) {
                    await gate.pass()
                    return Deadline.timeLeft
                }
            }
            gate.open()
            #expect(await task.value == nil)
        }
    }

    @Test(
        "tasks that start each other inside of a deadline do not hang on to those that are over",
        arguments: Setting.timeless)
    func chain(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ in
            let seen = Log<WeakDeadline>()
            try await startNext(10, seen).value
            #expect(seen.count == 10)
            #expect(seen.all.count { $0.deadline != nil } <= 2)
        }
    }

    /// Each task starts the next one inside of its own deadline, and has ended before that one starts another.
    private func startNext(_ count: Int, _ seen: Log<WeakDeadline>) -> Task<Void, any Error> {
        let hasEnded = Gate()
        let next = Log<Task<Void, any Error>>()
        return Task(executorPreference: EventLoop.current) {
            try await withTimeout(.seconds(10)) { deadline in
                seen.add(WeakDeadline(deadline: deadline))
                guard count > 1 else { return }
                next.add(
                    Task(executorPreference: EventLoop.current) {
                        await hasEnded.pass()
                        try await startNext(count - 1, seen).value
                    })
            }
            hasEnded.open()
            for task in next.all { try await task.value }
        }
    }
}

private struct WeakDeadline: Sendable {
    weak let deadline: Deadline?
}
