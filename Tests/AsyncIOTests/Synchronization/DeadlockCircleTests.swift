import AsyncIOTestSupport
import Testing

@testable import AsyncIO

@Suite("Deadlocks of all kinds", .timeLimit(.minutes(10)), .enabled(if: DeadlockWatch.shared != nil))
struct DeadlockCircleTests {
    /// The deadlock that a task was told of; nil if it came through.
    private func deadlock(
        _ body: nonisolated(nonsending) () async throws -> Void
    ) async throws -> DeadlockError? {
        do {
            try await body()
            return nil
        } catch let error as DeadlockError {
            return error
        }
    }

    @Test(
        "a circle that a condition closes when it takes its lock back is named to another of its tasks",
        arguments: Stage.allCases)
    func condition(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (account, stock) = (AsyncLock(name: "account"), AsyncCondition(name: "stock"))
            let seller = await crew.start("seller", raising: { stock.waitingTasks.count }) {
                try await account.withLock {
                    try await stock.withLock { held in try await held.wait() }
                }
            }
            let buyer = await crew.start("buyer", raising: { account.waitingTasks.count }) {
                try await stock.withLock { _ in
                    try await deadlock { try await account.withLock {} }
                }
            }
            // It has to have its lock back, cancelled or not, and the buyer has that.
            seller.cancel()
            let error = try await buyer.value
            #expect(error?.waits.map(\.taskName) == ["buyer", "seller"])
            #expect(error?.waits.map(\.lock) == ["account", "stock"])
            #expect(await seller.wasCancelled)
            #expect(!account.isLocked && !stock.lock.isLocked)
        }
    }

    @Test(
        "a circle that is closed in front of a condition that takes its lock back is named, too",
        arguments: Stage.allCases)
    func conditionFirst(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (account, stock, gate) = (AsyncLock(name: "account"), AsyncCondition(name: "stock"), Gate())
            let seller = await crew.start(raising: { stock.waitingTasks.count }) {
                try await account.withLock {
                    try await stock.withLock { held in try await held.wait() }
                }
            }
            let buyer = await crew.start(raising: { stock.lock.isLocked ? 1 : 0 }) {
                try await stock.withLock { _ in
                    await gate.pass()
                    return try await deadlock { try await account.withLock {} }
                }
            }
            seller.cancel()
            await until { stock.lock.waitingTasks.count == 1 }
            gate.open()
            let error = try await buyer.value
            #expect(error?.waits.count == 2)
            #expect(await seller.wasCancelled)
        }
    }

    @Test("a reader that asks to write waits for itself, and is told so", arguments: Stage.allCases)
    func upgrade(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let routes = AsyncReadWriteLock(name: "routes")
            let reader = crew.start("reload") {
                try await routes.withReadLock { try await deadlock { try await routes.withWriteLock {} } }
            }
            let error = try await reader.value
            #expect("\(error as Any)".contains("\"reload\" asks for \"routes\", which it holds itself"))
            try await routes.withWriteLock {}
        }
    }

    @Test(
        "a reader that reads again behind a writer waits for itself; without one it reads twice",
        arguments: Stage.allCases)
    func readAgain(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let routes = AsyncReadWriteLock(name: "routes")
            try await routes.withReadLock {
                try await routes.withReadLock {}
                let writer = await crew.start(raising: { routes.waitingTasks.count }) {
                    try await routes.withWriteLock {}
                }
                let error = try await deadlock { try await routes.withReadLock {} }
                #expect(error != nil)
                writer.cancel()
                _ = await writer.result
                try await routes.withReadLock {}
            }
        }
    }

    @Test("readers and writers of two locks that wait for each other: one of them is told", arguments: Stage.allCases)
    func readersAndWriters(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (left, right) = (AsyncReadWriteLock(name: "left"), AsyncReadWriteLock(name: "right"))
            let inside = Counter()
            // Three read the one, and one of them wants to write the other, which somebody reads who wants the one.
            let idle = Gate()
            let others = (0..<2).map { _ in crew.start { try await left.withReadLock { await idle.pass() } } }
            await until { left.readers == 2 }
            let first = crew.start("first") {
                try await left.withReadLock {
                    inside.add()
                    await until { inside.value == 2 }
                    return try await deadlock { try await right.withWriteLock {} }
                }
            }
            let second = crew.start("second") {
                try await right.withReadLock {
                    inside.add()
                    await until { inside.value == 2 }
                    return try await deadlock { try await left.withWriteLock {} }
                }
            }
            await until { inside.value == 2 && left.waitingTasks.count + right.waitingTasks.count <= 1 }
            idle.open()
            for other in others { try await other.value }
            let errors = [try await first.value, try await second.value].compactMap(\.self)
            #expect(errors.count == 1)
            #expect(Set(errors.first?.waits.compactMap(\.taskName) ?? []) == ["first", "second"])
            #expect(left.readers == 0 && right.readers == 0)
        }
    }

    @Test("a read hold that was passed on is not in the way of the task that took it", arguments: Stage.allCases)
    func disowned(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let routes = AsyncReadWriteLock()
            let passed = PassedReading(try await routes.acquireRead().disowned())
            let other = crew.start {
                await until { routes.waitingTasks.count == 1 }
                passed.drop()
            }
            try await routes.withWriteLock {}
            try await other.value
        }
    }

    @Test("a writer that goes on as a reader is known as one", arguments: Stage.allCases)
    func downgraded(stage: Stage) async throws {
        try await onStage(stage) { _ in
            let routes = AsyncReadWriteLock()
            let hold = try await routes.acquireWrite().downgrade()
            let error = try await deadlock { try await routes.withWriteLock {} }
            #expect(error != nil)
            hold.release()
            try await routes.withWriteLock {}
        }
    }

    @Test("a reader that has left is in nobody's way", arguments: Stage.allCases)
    func left(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (routes, gate) = (AsyncReadWriteLock(), Gate())
            let other = await crew.start(raising: { routes.readers }) {
                try await routes.withReadLock { await gate.pass() }
            }
            try await routes.withReadLock {}
            let opener = crew.start {
                await until { routes.waitingTasks.count == 1 }
                gate.open()
            }
            let error = try await deadlock { try await routes.withWriteLock {} }
            #expect(error == nil)
            try await opener.value
            try await other.value
        }
    }

    @Test("two values that need each other are a deadlock, and one of them is made", arguments: Stage.allCases)
    func values(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let values = [AsyncOnce<Int>(name: "chicken"), AsyncOnce<Int>(name: "egg")]
            let begun = Counter()
            let makers = (0..<2).map { number in
                crew.start {
                    try await values[number].get {
                        begun.add()
                        await until { begun.value == 2 }
                        return try await values[1 - number].get { 10 + number }
                    }
                }
            }
            let results = [await makers[0].result, await makers[1].result]
            let errors = results.compactMap { result -> DeadlockError? in
                guard case .failure(let error) = result else { return nil }
                return error as? DeadlockError
            }
            #expect(errors.count == 1)
            #expect(Set(errors.first?.waits.map(\.lock) ?? []) == ["chicken", "egg"])
            #expect(values[0].isReady && values[1].isReady)
        }
    }
}

/// Carries a hold to another task.
private final class PassedReading: @unchecked Sendable {
    private var hold: AsyncReadWriteLock.ReadHold?
    init(_ hold: consuming AsyncReadWriteLock.ReadHold) { self.hold = consume hold }
    func drop() { hold = nil }
}
