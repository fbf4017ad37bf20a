import AsyncIO
import AsyncIOTestSupport
import Testing

@testable import AsyncIO

@Suite("Waiting for tasks")
struct WaitTests {
    @Test("for all of them: it ends with the last, and says so", arguments: Setting.timeless)
    func all(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let start = loop.now
            let tasks = [30, 10, 20].map { time in loop.submit { try await loop.after(time) } }
            let outcome = try await wait(for: tasks)
            #expect(outcome.done == [0, 1, 2])
            #expect(outcome.failed.isEmpty && outcome.pending.isEmpty)
            #expect(loop.elapsed(since: start) == .milliseconds(30))
        }
    }

    @Test("for the first: it ends with the earliest, and the others go on", arguments: Setting.timeless)
    func first(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let tasks = [30, 10, 20].map { time in loop.submit { try await loop.after(time) } }
            let outcome = try await wait(for: tasks, until: .firstCompleted)
            #expect(outcome.done == [1])
            #expect(outcome.pending == [0, 2])
            try await expect(tasks[0].value, is: 30)
        }
    }

    @Test("for the first: an error counts, too", arguments: Setting.timeless)
    func firstFails(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let tasks = [30, 10].map { time in loop.submit { throw Failure(number: try await loop.after(time)) } }
            let outcome = try await wait(for: tasks, until: .firstCompleted)
            #expect(outcome.failed == [1])
        }
    }

    @Test("for the first error: values do not end it, the error does", arguments: Setting.timeless)
    func firstError(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let start = loop.now
            let tasks = [10, 20, 30].map { time in
                loop.submit {
                    _ = try await loop.after(time)
                    if time == 20 { throw Failure() }
                }
            }
            let outcome = try await wait(for: tasks, until: .firstError)
            #expect(outcome == WaitOutcome(done: [0, 1], failed: [1], pending: [2]))
            #expect(loop.elapsed(since: start) == .milliseconds(20))
        }
    }

    @Test("for the first error: without one, it ends with the last", arguments: Setting.timeless)
    func noError(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let tasks = [10, 20].map { time in loop.submit { try await loop.after(time) } }
            try await expect(wait(for: tasks, until: .firstError).pending.isEmpty, is: true)
        }
    }

    @Test("the end of the timeout is no error, and cancels nobody", arguments: Setting.timeless)
    func timeout(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let start = loop.now
            let tasks = [10, 50].map { time in loop.submit { try await loop.after(time) } }
            let outcome = try await wait(for: tasks, timeout: .milliseconds(20))
            #expect(outcome == WaitOutcome(done: [0], failed: [], pending: [1]))
            #expect(loop.elapsed(since: start) == .milliseconds(20))
            try await expect(tasks[1].value, is: 50)
        }
    }

    @Test(
        "a timeout of zero looks once: what has ended is seen", arguments: [Duration.zero, .seconds(-1)],
        Setting.timeless)
    func poll(timeout: Duration, setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let ended = Task(executorPreference: loop) { 1 }
            _ = await ended.value
            let other = Task(executorPreference: loop) { try? await loop.after(10) }
            let outcome = try await wait(for: [ended], timeout: timeout)
            #expect(outcome.done == [0])
            try await expect(wait(for: [other], timeout: timeout).pending, is: [0])
            _ = await other.value
        }
    }

    @Test("no timer is left of a timeout that was not needed", arguments: Setting.timeless)
    func noTimer(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            _ = try await wait(for: [loop.submit { 1 }], timeout: .seconds(1000))
            await loop.settle()
            #expect(await loop.statistics.pendingTimers == 0)
        }
    }

    @Test("no handles, no wait", arguments: [WaitEnd.firstCompleted, .firstError, .allCompleted], Setting.timeless)
    func none(end: WaitEnd, setting: Setting) async throws {
        try await withVirtualTime(setting) { _ in
            let outcome = try await wait(for: [Task<Int, Never>](), until: end)
            #expect(outcome == WaitOutcome(done: [], failed: [], pending: []))
        }
    }

    @Test("the same handle twice has two places", arguments: Setting.timeless)
    func twice(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let task = loop.submit { try await loop.after(1) }
            try await expect(wait(for: [task, task]).done, is: [0, 1])
        }
    }

    @Test("cancelling the wait ends it at once, and leaves the tasks alone", arguments: Setting.timeless)
    func cancelled(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let start = loop.now
            let tasks = [100, 200].map { time in Task(executorPreference: loop) { try await loop.after(time) } }
            let waiting = loop.submit { try await wait(for: tasks) }
            _ = try await loop.after(10)
            waiting.cancel()
            await #expect(throws: CancellationError.self) { _ = try await waiting.value }
            #expect(loop.elapsed(since: start) == .milliseconds(10))
            try await expect(tasks[1].value, is: 200)
        }
    }

    @Test("plain tasks of both kinds can be waited for, also when they have ended", arguments: Setting.timeless)
    func plainTasks(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let throwing = [1, 2].map { number in
                Task(executorPreference: loop) { if number == 2 { throw Failure() } }
            }
            try await expect(wait(for: throwing).failed, is: [1])
            try await expect(wait(for: throwing).failed, is: [1])
            let calm: [Task<Int, Never>] = [1, 2].map { number in Task(executorPreference: loop) { number } }
            try await expect(wait(for: calm).done, is: [0, 1])
        }
    }

    @Test("handles of different types go together", arguments: Setting.timeless)
    func mixed(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let handles: [any TaskHandle] = [
                loop.submit { 1 }, Task(executorPreference: loop) { "two" },
                Task(executorPreference: loop) { throw Failure() },
            ]
            let outcome = try await wait(for: handles)
            #expect(outcome == WaitOutcome(done: [0, 1, 2], failed: [2], pending: []))
        }
    }

    @Test(
        "waiting again and again for a task that does not end leaves one watch behind, and then none",
        arguments: Setting.timeless)
    func flat(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let gate = Gate()
            let task = Task(executorPreference: loop) { await gate.pass() }
            let before = watchedTaskCount
            for _ in 0..<100 { _ = try await wait(for: [task], timeout: .milliseconds(1)) }
            #expect(watchedTaskCount <= before + 1 + 50, "other tests watch tasks, too")
            gate.open()
            _ = try await wait(for: [task])
        }
    }

    @Test("a timeout without a loop says so; without a timeout, none is needed")
    func noLoop() async throws {
        let task = Task { 1 }
        try await expect(wait(for: [task]).done, is: [0])
        await #expect(throws: EventLoopError.noLoop) { _ = try await wait(for: [task], timeout: .seconds(1)) }
    }

    @Test("tasks of other threads and loops can be waited for", arguments: Setting.onRealLoop)
    func threads(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let thread = try LoopThread(options: .guest(name: "other"))
            let gate = Gate()
            let handles: [any TaskHandle] = [
                thread.loop.submit { await gate.pass() }, Task.detached { await gate.pass() },
                loop.submit { gate.open() },
            ]
            try await expect(wait(for: handles).done, is: [0, 1, 2])
            await thread.shutdown()
        }
    }

    @Test(
        "an error of a background task that somebody waits for is in his hands, and not reported",
        arguments: Setting.timeless)
    func notReported(setting: Setting) async throws {
        let errors = Errors()
        try await withVirtualTime(setting, errors: errors) { loop in
            let task = loop.spawn { throw Failure(number: try await loop.after(5)) }
            let outcome = try await wait(for: [task])
            #expect(outcome.failed == [0])
            let careless = loop.spawn(name: "careless") { throw Failure(number: try await loop.after(50)) }
            try await expect(wait(for: [careless], timeout: .milliseconds(5)).pending, is: [0])
            _ = try await loop.after(100)
        }
        #expect(errors.contexts == ["careless"], "who has stopped waiting does not count")
    }
}

@Suite("Waiting for the first task")
struct WaitFirstTests {
    @Test("its place and value come back, the others go on", arguments: Setting.timeless)
    func first(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let tasks = [30, 10, 20].map { time in Task(executorPreference: loop) { try await loop.after(time) } }
            let (index, result) = try await waitFirst(of: tasks)
            #expect(index == 1)
            #expect(try result.get() == 10)
            try await expect(tasks[0].value, is: 30)
        }
    }

    @Test("an error is a result", arguments: Setting.timeless)
    func error(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let (_, result) = try await waitFirst(of: [loop.submit { throw Failure(number: 2) }])
            #expect(throws: Failure(number: 2)) { try result.get() }
        }
    }

    @Test(
        "errors that a cancelled wait has seen and not told go to the error handler; those it tells do not",
        arguments: Setting.timeless)
    func untoldErrors(setting: Setting) async throws {
        let errors = Errors()
        try await withVirtualTime(setting, errors: errors) { loop in
            let failing = loop.spawn(name: "untold") { () async throws -> Int in
                throw Failure(number: try await loop.after(10))
            }
            let going = loop.spawn { try await loop.after(1000) }
            let waiting = loop.submit { _ = try await wait(for: [failing, going]) }
            _ = try await loop.after(20)
            #expect(errors.all.isEmpty)
            waiting.cancel()
            await #expect(throws: CancellationError.self) { try await waiting.value }
            #expect(errors.contexts == ["untold"])
            let told = loop.spawn(name: "told") { () async throws -> Int in throw Failure(number: 1) }
            let outcome = try await wait(for: [told, going], until: .firstError)
            #expect(outcome.failed == [0])
        }
        #expect(errors.contexts == ["untold"])
    }

    @Test("a loop that closes during a wait leaves its timeout in force")
    func timeoutOutlivesLoop() async throws {
        let (begun, ended, log) = (Gate(), Gate(), Log<WaitOutcome>())
        let (promise, resolver) = Promise<Int>.make()
        let task = Task { try await promise.value }
        try await Guest.run(.guest(grace: .milliseconds(1), errors: Errors())) { loop in
            Task.detached(executorPreference: loop) {
                begun.open()
                log.add(try await wait(for: [task], timeout: .milliseconds(300)))
                ended.open()
            }
            await begun.pass()
            await loop.settle()
        }
        try await Watchdog.watch("a loop that closes during a wait") { await ended.pass() }
        #expect(log.all.map(\.pending) == [[0]])
        resolver.fulfil(1)
        _ = try await task.value
    }

    @Test("cancelling the wait leaves the tasks alone", arguments: Setting.timeless)
    func cancelled(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let task = loop.submit { try await loop.after(100) }
            let waiting = loop.submit { _ = try await waitFirst(of: [task]) }
            await loop.settle()
            waiting.cancel()
            await #expect(throws: CancellationError.self) { try await waiting.value }
            try await expect(task.value, is: 100)
        }
    }

    @Test("of no tasks none is the first: the program stops with a message")
    func none() async {
        await #expect(processExitsWith: .failure) { _ = try await waitFirst(of: [Task<Int, Never>]()) }
    }
}
