import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("Cancelling at an AsyncCondition", .timeLimit(.minutes(10)))
struct ConditionCancellationTests {
    @Test("a cancelled waiter has the lock again before it throws", arguments: Stage.allCases)
    func reacquires(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (condition, log) = (AsyncCondition(), Log<String>())
            let task = await crew.start(raising: { condition.waitingTasks.count }) {
                try await condition.withLock { held in
                    do { try await held.wait() } catch {
                        #expect(condition.lock.holder == TaskID.current)
                        log.add("the waiter's end")
                        throw error
                    }
                }
            }
            try await condition.withLock { _ in
                task.cancel()
                await until { condition.waitingTasks.isEmpty }
                // It waits for the lock now, cancelled as it is.
                await until { condition.lock.waitingTasks.count == 1 }
                log.add("the other's end")
            }
            #expect(await task.wasCancelled)
            #expect(log.all == ["the other's end", "the waiter's end"])
            #expect(!condition.lock.isLocked)
        }
    }

    @Test("a task that is cancelled already throws without giving the lock back", arguments: Stage.allCases)
    func before(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let condition = AsyncCondition()
            let task = crew.start {
                try await condition.withLock { held in
                    await untilCancelled()
                    let taken = condition.lock.statistics.acquired
                    await #expect(throws: CancellationError.self) { try await condition.lock.withLock {} }
                    do { try await held.wait() } catch {
                        #expect(condition.lock.statistics.acquired == taken)
                        #expect(condition.lock.holder == TaskID.current)
                        throw error
                    }
                }
            }
            task.cancel()
            #expect(await task.wasCancelled)
            #expect(condition.statistics.waits == 0)
        }
    }

    @Test("a task that is cancelled already does not ask the predicate", arguments: Stage.allCases)
    func beforePredicate(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let condition = AsyncCondition()
            let task = crew.start {
                try await condition.withLock { held in
                    await untilCancelled()
                    try await held.wait(until: {
                        Issue.record("asked")
                        return true
                    })
                }
            }
            task.cancel()
            #expect(await task.wasCancelled)
        }
    }

    @Test("a task that is cancelled while it wants the lock does not run the body", arguments: Stage.allCases)
    func atTheLock(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let condition = AsyncCondition()
            try await condition.withLock { _ in
                let task = await crew.start(raising: { condition.lock.waitingTasks.count }) {
                    try await condition.withLock { _ in _ = Issue.record("the body ran") }
                }
                task.cancel()
                #expect(await task.wasCancelled)
            }
        }
    }

    @Test("notified, then cancelled: it returns, and the notification is not lost", arguments: Stage.allCases)
    func notifiedThenCancelled(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let condition = AsyncCondition()
            let task = await crew.start(raising: { condition.waitingTasks.count }) {
                try await condition.withLock { held in
                    try await held.wait()
                    #expect(Task.isCancelled)
                }
            }
            try await condition.withLock { held in
                held.notify()
                task.cancel()
            }
            try await task.value
        }
    }

    @Test("cancelled, then notified: the notification is the next one's", arguments: Stage.allCases)
    func cancelledThenNotified(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let condition = AsyncCondition()
            let body: @Sendable () async throws -> Void = { try await condition.withLock { try await $0.wait() } }
            let first = await crew.start(raising: { condition.waitingTasks.count }, body)
            let second = await crew.start(raising: { condition.waitingTasks.count }, body)
            try await condition.withLock { held in
                first.cancel()
                held.notify()
            }
            #expect(await first.wasCancelled)
            try await second.value
        }
    }

    @Test(
        "notified and cancelled, and what it waits for is not there: it throws and the next is woken",
        arguments: Stage.allCases)
    func passesOn(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let condition = AsyncCondition()
            let first = await crew.start(raising: { condition.waitingTasks.count }) {
                try await condition.withLock { try await $0.wait(until: { false }) }
            }
            let second = await crew.start(raising: { condition.waitingTasks.count }) {
                try await condition.withLock { try await $0.wait() }
            }
            try await condition.withLock { held in
                held.notify()
                first.cancel()
            }
            #expect(await first.wasCancelled)
            try await second.value
        }
    }

    @Test("a predicate that throws after a notification passes it on", arguments: Stage.allCases)
    func predicateThrows(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (condition, asked) = (AsyncCondition(), Counter())
            let first = await crew.start(raising: { condition.waitingTasks.count }) {
                try await condition.withLock { held in
                    try await held.wait(until: {
                        if asked.add() > 1 { throw EventLoopError.noLoop }
                        return false
                    })
                }
            }
            let second = await crew.start(raising: { condition.waitingTasks.count }) {
                try await condition.withLock { try await $0.wait() }
            }
            try await condition.withLock { $0.notify() }
            await #expect(throws: EventLoopError.noLoop) { try await first.value }
            try await second.value
        }
    }

    @Test("cancelling some of many, at odd moments, loses no notification", arguments: Stage.allCases)
    func many(stage: Stage) async throws {
        try await onStage(stage) { crew in
            var generator = Randomness()
            let note = generator.note
            for _ in 0..<100 {
                let (condition, shelf, log) = (AsyncCondition(), Shelf(), Log<Int>())
                let takers = (0..<6).map { _ in
                    crew.start {
                        try await condition.withLock { held in
                            try await held.wait(until: { !shelf.items.isEmpty })
                            log.add(shelf.items.removeFirst())
                        }
                    }
                }
                let bringer = crew.start {
                    for number in 0..<3 {
                        try await condition.withLock { held in
                            shelf.items.append(number)
                            held.notify()
                        }
                        await Task.yield()
                    }
                }
                for taker in takers.shuffled(using: &generator).prefix(3) {
                    for _ in 0..<Int.random(in: 0...3, using: &generator) { await Task.yield() }
                    taker.cancel()
                }
                try await bringer.value
                // Three at least go on wanting, and three were brought.
                await until { log.count == 3 }
                for taker in takers { taker.cancel() }
                for taker in takers { _ = await taker.result }
                #expect(log.all.sorted() == [0, 1, 2], "\(note)")
                #expect(!condition.lock.isLocked)
            }
        }
    }
}
