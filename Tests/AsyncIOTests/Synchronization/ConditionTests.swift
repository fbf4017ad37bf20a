import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("AsyncCondition", .timeLimit(.minutes(10)))
struct ConditionTests {
    @Test("a wait gives the lock back, and has it again when it ends", arguments: Stage.allCases)
    func lends(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let condition = AsyncCondition()
            let task = await crew.start(raising: { condition.waitingTasks.count }) {
                try await condition.withLock { held in
                    try await held.wait()
                    #expect(condition.lock.holder == TaskID.current)
                }
            }
            await until { !condition.lock.isLocked }
            try await condition.withLock { $0.notify() }
            try await task.value
            #expect(!condition.lock.isLocked)
        }
    }

    /// Tasks that wait for one notification each and log their number.
    private func waiters(
        _ count: Int, _ condition: AsyncCondition, _ log: Log<Int>, _ crew: Crew
    ) async -> [Task<Void, any Error>] {
        var tasks: [Task<Void, any Error>] = []
        for number in 0..<count {
            tasks.append(
                await crew.start(raising: { condition.waitingTasks.count }) {
                    try await condition.withLock { held in
                        try await held.wait()
                        log.add(number)
                    }
                })
        }
        return tasks
    }

    @Test("notify wakes one, the one that has waited longest", arguments: Stage.allCases)
    func one(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (condition, log) = (AsyncCondition(), Log<Int>())
            let tasks = await waiters(3, condition, log, crew)
            for count in 1...3 {
                try await condition.withLock { $0.notify() }
                await until { log.count == count }
                #expect(condition.waitingTasks.count == 3 - count)
            }
            for task in tasks { try await task.value }
            #expect(log.all == [0, 1, 2])
        }
    }

    @Test("notify wakes as many as it is told, and no more than wait", arguments: Stage.real)
    func several(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (condition, log) = (AsyncCondition(), Log<Int>())
            let tasks = await waiters(5, condition, log, crew)
            try await condition.withLock { $0.notify(count: 0) }
            #expect(condition.waitingTasks.count == 5)
            try await condition.withLock { $0.notify(count: 2) }
            await until { log.count == 2 }
            #expect(condition.waitingTasks.count == 3)
            try await condition.withLock { $0.notify(count: 2048) }
            for task in tasks { try await task.value }
            #expect(log.all == [0, 1, 2, 3, 4])
        }
    }

    @Test("notifyAll wakes all, and they go on one at a time", arguments: Stage.allCases)
    func all(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (condition, inside) = (AsyncCondition(), Counter())
            var tasks: [Task<Void, any Error>] = []
            for _ in 0..<5 {
                tasks.append(
                    await crew.start(raising: { condition.waitingTasks.count }) {
                        try await condition.withLock { held in
                            try await held.wait()
                            #expect(inside.add() == 1)
                            await Task.yield()
                            inside.add(-1)
                        }
                    })
            }
            try await condition.withLock { $0.notifyAll() }
            for task in tasks { try await task.value }
            #expect(condition.statistics.notified == 5)
        }
    }

    @Test("a notification that nobody waits for is not kept", arguments: Stage.allCases)
    func nobody(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let condition = AsyncCondition()
            try await condition.withLock { $0.notifyAll() }
            let task = await crew.start(raising: { condition.waitingTasks.count }) {
                try await condition.withLock { try await $0.wait() }
            }
            #expect(condition.waitingTasks.count == 1)
            try await condition.withLock { $0.notify() }
            try await task.value
        }
    }

    @Test("a predicate that holds already is not waited for, and the lock is kept", arguments: Setting.onLoop)
    func immediately(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let condition = AsyncCondition()
            let suspends = try await hasSuspended(loop) {
                try await condition.withLock { held in try await held.wait(until: { true }) }
            }
            #expect(!suspends)
            #expect(condition.statistics.waits == 0)
        }
    }

    @Test("a predicate is waited for until it holds, however often others notify", arguments: Stage.allCases)
    func predicate(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (condition, number) = (AsyncCondition(), Counter())
            let task = await crew.start(raising: { condition.waitingTasks.count }) {
                try await condition.withLock { held in
                    try await held.wait(until: { number.value == 3 })
                    #expect(condition.lock.holder == TaskID.current)
                    return number.value
                }
            }
            for _ in 0..<3 {
                await until { condition.waitingTasks.count == 1 }
                try await condition.withLock { held in
                    number.add()
                    held.notify()
                }
            }
            #expect(try await task.value == 3)
            #expect(condition.statistics.notified == 3)
        }
    }

    @Test(
        "what a predicate throws is thrown with the lock held, and given back with the body", arguments: Stage.allCases)
    func predicateThrows(stage: Stage) async throws {
        try await onStage(stage) { _ in
            let condition = AsyncCondition()
            await #expect(throws: EventLoopError.noLoop) {
                try await condition.withLock { held in
                    do {
                        try await held.wait(until: { throw EventLoopError.noLoop })
                    } catch {
                        #expect(condition.lock.holder == TaskID.current)
                        throw error
                    }
                }
            }
            #expect(!condition.lock.isLocked)
        }
    }

    @Test("the woken one does not go on before the notifying body has ended", arguments: Stage.allCases)
    func afterBody(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (condition, log) = (AsyncCondition(), Log<Int>())
            let tasks = await waiters(1, condition, log, crew)
            try await condition.withLock { held in
                held.notify()
                for _ in 0..<10 { await Task.yield() }
                #expect(log.count == 0)
            }
            try await tasks[0].value
        }
    }

    @Test("two conditions share a lock: one body waits with the one and notifies the other", arguments: Stage.allCases)
    func shared(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let lock = AsyncLock(name: "both")
            let (notEmpty, notFull) = (AsyncCondition(lock: lock), AsyncCondition(lock: lock))
            let (count, taken) = (Counter(), Counter())
            let taker = crew.start {
                for _ in 0..<100 {
                    try await notEmpty.withLock { held in
                        try await held.wait(until: { count.value > 0 })
                        count.add(-1)
                        taken.add()
                        held[notFull].notify()
                    }
                }
            }
            for _ in 0..<100 {
                try await notFull.withLock { held in
                    try await held.wait(until: { count.value < 2 })
                    #expect(count.add() <= 2)
                    held[notEmpty].notify()
                }
            }
            try await taker.value
            #expect(taken.value == 100)
            #expect(count.value == 0)
        }
    }

    @Test("many takers and bringers pass everything on, nothing twice", arguments: Stage.allCases)
    func shelf(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (condition, shelf, log) = (AsyncCondition(), Shelf(), Log<Int>())
            let takers = (0..<5).map { _ in
                crew.start {
                    for _ in 0..<40 {
                        try await condition.withLock { held in
                            try await held.wait(until: { !shelf.items.isEmpty })
                            log.add(shelf.items.removeFirst())
                        }
                    }
                }
            }
            let bringers = (0..<4).map { bringer in
                crew.start {
                    for number in 0..<50 {
                        try await condition.withLock { held in
                            shelf.items.append(bringer * 50 + number)
                            held.notify()
                        }
                    }
                }
            }
            for task in takers + bringers { try await task.value }
            #expect(log.all.sorted() == Array(0..<200))
        }
    }

    @Test("a condition on another lock is not held: asking it stops the program")
    func otherLock() async {
        await #expect(processExitsWith: .failure) {
            try await AsyncCondition().withLock { held in held[AsyncCondition()].notify() }
        }
    }

    @Test("it says who holds its lock and how many wait", arguments: Stage.allCases)
    func description(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let condition = AsyncCondition(name: "stock")
            #expect("\(condition)" == "AsyncCondition(stock, free)")
            let tasks = await waiters(2, condition, Log<Int>(), crew)
            try await condition.withLock { held in
                #expect(
                    "\(condition)" == "AsyncCondition(stock, held by task \(TaskID.current?.number ?? 0), 2 waiting)")
                held.notifyAll()
            }
            for task in tasks { try await task.value }
            #expect(condition.statistics.waits == 2)
        }
    }
}

/// What a condition guards.
final class Shelf: @unchecked Sendable {
    var items: [Int] = []
}
