import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("Cancelling at an AsyncReadWriteLock", .timeLimit(.minutes(10)))
struct ReadWriteLockCancellationTests {
    @Test("when a waiting writer is cancelled, the readers behind it go on", arguments: Stage.allCases)
    func writer(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (lock, gate) = (AsyncReadWriteLock(), Gate())
            let hold = try await lock.acquireRead()
            let writer = await crew.start(raising: { lock.waitingTasks.count }) { try await lock.withWriteLock {} }
            var readers: [Task<Void, any Error>] = []
            for _ in 0..<2 {
                readers.append(
                    await crew.start(raising: { lock.waitingTasks.count }) {
                        try await lock.withReadLock { await gate.pass() }
                    })
            }
            writer.cancel()
            #expect(lock.readers == 3)
            #expect(await writer.wasCancelled)
            gate.open()
            for reader in readers { try await reader.value }
            hold.release()
            #expect(lock.canBeWritten)
        }
    }

    @Test("when a waiting reader is cancelled, the others keep their order", arguments: Stage.allCases)
    func reader(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (lock, log) = (AsyncReadWriteLock(), Log<Int>())
            let hold = try await lock.acquireWrite()
            let reader = await crew.start(raising: { lock.waitingTasks.count }) { try await lock.withReadLock {} }
            let first = await crew.start(raising: { lock.waitingTasks.count }) {
                try await lock.withWriteLock { log.add(1) }
            }
            let second = await crew.start(raising: { lock.waitingTasks.count }) {
                try await lock.withReadLock { log.add(2) }
            }
            reader.cancel()
            #expect(await reader.wasCancelled)
            hold.release()
            try await first.value
            try await second.value
            #expect(log.all == [1, 2])
        }
    }

    @Test("a task that is cancelled already takes nothing, although the lock is free", arguments: Stage.allCases)
    func before(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let lock = AsyncReadWriteLock()
            let reader = crew.start {
                await untilCancelled()
                try await lock.withReadLock {}
            }
            let writer = crew.start {
                await untilCancelled()
                _ = try await lock.acquireWrite()
            }
            reader.cancel()
            writer.cancel()
            #expect(await reader.wasCancelled)
            #expect(await writer.wasCancelled)
            #expect(lock.statistics.reads + lock.statistics.writes == 0)
        }
    }

    @Test(
        "cancelled just before its turn: the next one's, for whatever both want", arguments: Stage.allCases,
        [true, false])
    func cancelThenRelease(stage: Stage, reads: Bool) async throws {
        try await onStage(stage) { crew in
            let lock = AsyncReadWriteLock()
            let hold = try await lock.acquireWrite()
            let first = await crew.start(raising: { lock.waitingTasks.count }) {
                reads ? try await lock.withReadLock {} : try await lock.withWriteLock {}
            }
            let second = await crew.start(raising: { lock.waitingTasks.count }) {
                reads ? try await lock.withWriteLock {} : try await lock.withReadLock {}
            }
            first.cancel()
            hold.release()
            #expect(await first.wasCancelled)
            try await second.value
            #expect(lock.canBeWritten)
        }
    }

    @Test(
        "cancelled just after its turn came: it has the lock, and gives it back", arguments: Stage.allCases,
        [true, false])
    func releaseThenCancel(stage: Stage, reads: Bool) async throws {
        try await onStage(stage) { crew in
            let lock = AsyncReadWriteLock()
            let hold = try await lock.acquireWrite()
            let first = await crew.start(raising: { lock.waitingTasks.count }) {
                reads ? try await lock.withReadLock { 1 } : try await lock.withWriteLock { 1 }
            }
            hold.release()
            first.cancel()
            let result = try await first.value
            #expect(result == 1)
            #expect(lock.canBeWritten)
        }
    }
}
