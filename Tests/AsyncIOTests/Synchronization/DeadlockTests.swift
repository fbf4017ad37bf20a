import AsyncIOTestSupport
import Testing

@testable import AsyncIO

@Suite("Deadlocks", .timeLimit(.minutes(10)))
struct DeadlockTests {
    @Test("a task that asks for a lock it holds is told so at once, and still holds it", arguments: Stage.allCases)
    func own(stage: Stage) async throws {
        try await onStage(stage) { _ in
            let lock = AsyncLock(name: "account")
            try await lock.withLock {
                await #expect(throws: DeadlockError.self) {
                    try await lock.withLock { _ = Issue.record("inside twice") }
                }
                await #expect(throws: DeadlockError.self) { _ = try await lock.acquire() }
                #expect(lock.holder == TaskID.current)
                #expect(lock.waitingTasks.isEmpty)
            }
            #expect(!lock.isLocked)
            try await lock.withLock {}
        }
    }

    @Test("a cancelled task that asks for its own lock hears of the cancellation", arguments: Stage.allCases)
    func ownCancelled(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let lock = AsyncLock()
            let task = crew.start {
                try await lock.withLock {
                    await untilCancelled()
                    try await lock.withLock {}
                }
            }
            task.cancel()
            #expect(await task.wasCancelled)
            #expect(!lock.isLocked)
        }
    }

    @Test("trying for the own lock fails as for any other", arguments: Stage.allCases)
    func trying(stage: Stage) async throws {
        try await onStage(stage) { _ in
            let lock = AsyncLock()
            try await lock.withLock { #expect(!lock.canBeTaken) }
        }
    }

    @Test("the error names the task and the lock, and says what to do", arguments: Stage.allCases)
    func words(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let lock = AsyncLock(name: "account")
            let task = crew.start("pay") {
                try await lock.withLock { try await lock.withLock {} }
            }
            guard case .failure(let error) = await task.result else { return #expect(Bool(false)) }
            let text = "\(error)"
            #expect(text.contains("\"pay\" asks for \"account\", which it holds itself"))
            #expect(text.contains("not recursive"))
        }
    }

    @Test("a hold that was passed on is not in the way of the task that took it", arguments: Stage.allCases)
    func disowned(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let lock = AsyncLock()
            let passed = Passed(try await lock.acquire().disowned())
            #expect(lock.isLocked)
            #expect(lock.holder == nil)
            let other = crew.start {
                await until { lock.waitingTasks.count == 1 }
                passed.drop()
            }
            try await lock.withLock {}
            try await other.value
        }
    }

    /// A circle: task number n holds lock n and asks for the next. Returns the errors, by task.
    private func circle(
        _ count: Int, _ crew: Crew, names: String = "lock"
    ) async throws -> [DeadlockError?] {
        let locks = (0..<count).map { AsyncLock(name: "\(names) \($0)") }
        let holding = Counter()
        let tasks = (0..<count).map { number in
            crew.start("task \(number)") { () async throws -> DeadlockError? in
                try await locks[number].withLock {
                    holding.add()
                    await until { holding.value == count }
                    do {
                        try await locks[(number + 1) % count].withLock {}
                        return nil
                    } catch let error as DeadlockError {
                        return error
                    }
                }
            }
        }
        var errors: [DeadlockError?] = []
        for task in tasks { errors.append(try await task.value) }
        for lock in locks { #expect(!lock.isLocked) }
        return errors
    }

    @Test(
        "tasks that wait for each other: the call that closes the circle throws, and the others go on",
        .enabled(if: DeadlockWatch.shared != nil), arguments: Stage.allCases, [2, 3, 10])
    func circles(stage: Stage, count: Int) async throws {
        try await onStage(stage) { crew in
            let errors = try await circle(count, crew).compactMap { $0 }
            #expect(errors.count == 1)
            #expect(errors.first?.waits.count == count)
        }
    }

    @Test(
        "its text names every task and every lock of the circle", .enabled(if: DeadlockWatch.shared != nil),
        arguments: Stage.allCases)
    func circleWords(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let text = "\(try await circle(3, crew, names: "door").compactMap { $0 })"
            for number in 0..<3 {
                #expect(text.contains("\"task \(number)\" waits for \"door \((number + 1) % 3)\""))
            }
            #expect(text.contains("in the same order"))
        }
    }

    @Test("a chain that does not close is no circle", arguments: Stage.allCases)
    func chain(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let locks = (0..<5).map { AsyncLock(name: "\($0)") }
            let gate = Gate()
            let last = await crew.start(raising: { locks[4].isLocked ? 1 : 0 }) {
                try await locks[4].withLock { await gate.pass() }
            }
            var tasks: [Task<Void, any Error>] = []
            for number in (0..<4).reversed() {
                tasks.append(
                    await crew.start(raising: { locks[number + 1].waitingTasks.count }) {
                        try await locks[number].withLock { try await locks[number + 1].withLock {} }
                    })
            }
            gate.open()
            try await last.value
            for task in tasks { try await task.value }
        }
    }

    @Test("a wait that was cancelled is no part of a circle", arguments: Stage.allCases)
    func broken(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (first, second, gate) = (AsyncLock(name: "first"), AsyncLock(name: "second"), Gate())
            try await second.withLock {
                let other = await crew.start(raising: { second.waitingTasks.count }) {
                    try await first.withLock {
                        do { try await second.withLock {} } catch is CancellationError { await gate.pass() }
                    }
                }
                other.cancel()
                await until { second.waitingTasks.isEmpty }
                let opener = crew.start {
                    await until { first.waitingTasks.count == 1 }
                    gate.open()
                }
                try await first.withLock {}
                try await opener.value
                try await other.value
            }
        }
    }

    @Test(
        "tasks that take two locks in any order, and try again, all come to an end",
        .enabled(if: DeadlockWatch.shared != nil), arguments: Stage.allCases)
    func philosophers(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let forks = (0..<5).map { AsyncLock(name: "fork \($0)") }
            let meals = Counter()
            let tasks = (0..<5).map { seat in
                crew.start {
                    var eaten = 0
                    while eaten < 30 {
                        do {
                            try await forks[seat].withLock {
                                await Task.yield()
                                try await forks[(seat + 1) % 5].withLock { _ = meals.add() }
                            }
                            eaten += 1
                        } catch is DeadlockError { await Task.yield() }
                    }
                }
            }
            for task in tasks { try await task.value }
            #expect(meals.value == 150)
        }
    }
}

/// Carries a hold to another task.
private final class Passed: @unchecked Sendable {
    private var hold: AsyncLock.Hold?
    init(_ hold: consuming AsyncLock.Hold) { self.hold = consume hold }
    func drop() { hold = nil }
}
