import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("AsyncReadWriteLock", .timeLimit(.minutes(10)))
struct ReadWriteLockTests {
    @Test("a free lock is taken without suspending, for reading and for writing", arguments: Setting.onLoop)
    func free(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let lock = AsyncReadWriteLock()
            let suspends = try await hasSuspended(loop) {
                try await lock.withReadLock { try await lock.withReadLock {} }
                try await lock.withWriteLock {}
            }
            #expect(!suspends)
            #expect(lock.statistics.waits == 0)
        }
    }

    @Test("readers are inside together", arguments: Stage.allCases)
    func readers(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (lock, gate) = (AsyncReadWriteLock(), Gate())
            var tasks: [Task<Void, any Error>] = []
            for _ in 0..<4 {
                tasks.append(
                    await crew.start(raising: { lock.readers }) { try await lock.withReadLock { await gate.pass() } })
            }
            #expect(lock.readers == 4)
            #expect(!lock.canBeWritten)
            gate.open()
            for task in tasks { try await task.value }
            #expect(lock.canBeWritten)
        }
    }

    @Test("a writer is alone", arguments: Stage.allCases)
    func alone(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (lock, reading, writing) = (AsyncReadWriteLock(), Counter(), Counter())
            let tasks = (0..<16).map { number in
                crew.start {
                    for _ in 0..<20 {
                        if number % 4 == 0 {
                            try await lock.withWriteLock {
                                #expect(writing.add() == 1)
                                #expect(reading.value == 0)
                                await Task.yield()
                                writing.add(-1)
                            }
                        } else {
                            try await lock.withReadLock {
                                reading.add()
                                #expect(writing.value == 0)
                                await Task.yield()
                                reading.add(-1)
                            }
                        }
                    }
                }
            }
            for task in tasks { try await task.value }
            #expect(lock.statistics.writes == 80)
            #expect(lock.statistics.reads == 240)
            #expect(lock.canBeWritten)
        }
    }

    @Test("the body's result is returned and its error thrown, and the lock is free again", arguments: Stage.allCases)
    func bodies(stage: Stage) async throws {
        try await onStage(stage) { _ in
            let lock = AsyncReadWriteLock()
            let readers = try await lock.withReadLock { lock.readers }
            let isWritten = try await lock.withWriteLock { lock.isWriteLocked }
            #expect(readers == 1)
            #expect(isWritten)
            await #expect(throws: EventLoopError.noLoop) { try await lock.withReadLock { throw EventLoopError.noLoop } }
            await #expect(throws: EventLoopError.noLoop) {
                try await lock.withWriteLock { throw EventLoopError.noLoop }
            }
            #expect(lock.canBeWritten)
        }
    }

    @Test("a writer that waits keeps new readers out, waiting or trying", arguments: Stage.allCases)
    func notStarved(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (lock, log) = (AsyncReadWriteLock(), Log<String>())
            let hold = try await lock.acquireRead()
            let writer = await crew.start(raising: { lock.waitingTasks.count }) {
                try await lock.withWriteLock { log.add("write") }
            }
            let reader = await crew.start(raising: { lock.waitingTasks.count }) {
                try await lock.withReadLock { log.add("read") }
            }
            #expect(!lock.canBeRead)
            hold.release()
            try await writer.value
            try await reader.value
            #expect(log.all == ["write", "read"])
        }
    }

    @Test("readers behind a writer go together when it has written", arguments: Stage.allCases)
    func behind(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (lock, gate) = (AsyncReadWriteLock(), Gate())
            let hold = try await lock.acquireWrite()
            var tasks: [Task<Void, any Error>] = []
            for _ in 0..<3 {
                tasks.append(
                    await crew.start(raising: { lock.waitingTasks.count }) {
                        try await lock.withReadLock { await gate.pass() }
                    })
            }
            hold.release()
            #expect(lock.readers == 3)
            gate.open()
            for task in tasks { try await task.value }
        }
    }

    @Test("mixed waiters go in the order in which they came, neighbouring readers together", arguments: Stage.allCases)
    func mixed(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let lock = AsyncReadWriteLock()
            let first = try await lock.acquireWrite()
            let gates = (0..<6).map { _ in Gate() }
            var tasks: [Task<Void, any Error>] = []
            // read read write read read write
            for number in 0..<6 {
                tasks.append(
                    await crew.start(raising: { lock.waitingTasks.count }) {
                        if number % 3 == 2 {
                            try await lock.withWriteLock { await gates[number].pass() }
                        } else {
                            try await lock.withReadLock { await gates[number].pass() }
                        }
                    })
            }
            first.release()
            for number in [0, 1, 2, 3, 4, 5] {
                if number % 3 == 2 {
                    await until { lock.isWriteLocked }
                    #expect(lock.readers == 0)
                } else {
                    #expect(!lock.isWriteLocked)
                    await until { lock.readers == 2 - number % 3 }
                }
                gates[number].open()
                try await tasks[number].value
            }
            #expect(lock.canBeWritten)
        }
    }

    @Test("the last reader lets the writer go, not an earlier one", arguments: Stage.allCases)
    func lastReader(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let lock = AsyncReadWriteLock()
            let first = try await lock.acquireRead()
            let second = try await lock.acquireRead()
            let writer = await crew.start(raising: { lock.waitingTasks.count }) { try await lock.withWriteLock {} }
            first.release()
            #expect(lock.waitingTasks.count == 1)
            second.release()
            try await writer.value
        }
    }

    @Test("trying never waits", arguments: Stage.allCases)
    func trying(stage: Stage) async throws {
        try await onStage(stage) { _ in
            let lock = AsyncReadWriteLock()
            #expect(lock.canBeRead)
            #expect(lock.canBeWritten)
            let reading = lock.tryAcquireRead()
            #expect(lock.canBeRead)
            #expect(!lock.canBeWritten)
            _ = consume reading
            let writing = lock.tryAcquireWrite()
            #expect(!lock.canBeRead)
            #expect(!lock.canBeWritten)
            _ = consume writing
            #expect(lock.canBeWritten)
            #expect(lock.statistics.waits == 0)
        }
    }

    @Test("a writer that asks again, to read or to write, is told of the deadlock at once", arguments: Stage.allCases)
    func deadlock(stage: Stage) async throws {
        try await onStage(stage) { _ in
            let lock = AsyncReadWriteLock(name: "routes")
            try await lock.withWriteLock {
                #expect(lock.writer == TaskID.current)
                await #expect(throws: DeadlockError.self) { try await lock.withReadLock {} }
                await #expect(throws: DeadlockError.self) { try await lock.withWriteLock {} }
                #expect(lock.isWriteLocked)
            }
            #expect(lock.canBeWritten)
        }
    }

    @Test("it says who reads, who writes and how many wait", arguments: Stage.allCases)
    func description(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let lock = AsyncReadWriteLock(name: "routes")
            #expect("\(lock)" == "AsyncReadWriteLock(routes, free)")
            let reading = try await lock.acquireRead()
            let writer = await crew.start(raising: { lock.waitingTasks.count }) { try await lock.withWriteLock {} }
            #expect("\(lock)" == "AsyncReadWriteLock(routes, 1 reading, 1 waiting)")
            #expect(lock.statistics.waiting == 1)
            reading.release()
            try await writer.value
            let number = TaskID.current?.number ?? 0
            try await lock.withWriteLock {
                #expect("\(lock)" == "AsyncReadWriteLock(routes, written by task \(number))")
            }
            let writing = try await lock.acquireWrite().disowned()
            #expect("\(lock)" == "AsyncReadWriteLock(routes, written)")
            writing.release()
        }
    }

    @Test("a hold ends with its scope", arguments: Stage.allCases)
    func scope(stage: Stage) async throws {
        try await onStage(stage) { _ in
            let lock = AsyncReadWriteLock()
            do {
                let hold = try await lock.acquireRead()
                #expect(lock.readers == 1)
                _ = hold
            }
            #expect(lock.readers == 0)
            do {
                let hold = try await lock.acquireWrite()
                #expect(lock.isWriteLocked)
                _ = hold
            }
            #expect(!lock.isWriteLocked)
        }
    }

    @Test("a writer goes on as a reader, with the readers in front of the next writer", arguments: Stage.allCases)
    func downgrade(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (lock, gate) = (AsyncReadWriteLock(), Gate())
            let writing = try await lock.acquireWrite()
            let reader = await crew.start(raising: { lock.waitingTasks.count }) {
                try await lock.withReadLock { await gate.pass() }
            }
            let writer = await crew.start(raising: { lock.waitingTasks.count }) { try await lock.withWriteLock {} }
            let last = await crew.start(raising: { lock.waitingTasks.count }) { try await lock.withReadLock {} }
            let reading = writing.downgrade()
            #expect(lock.readers == 2)
            #expect(!lock.isWriteLocked)
            #expect(lock.waitingTasks.count == 2)
            gate.open()
            try await reader.value
            #expect(lock.waitingTasks.count == 2)
            reading.release()
            try await writer.value
            try await last.value
            #expect(lock.canBeWritten)
        }
    }

    @Test("a writer that goes on as a reader lets nobody write between", arguments: Stage.allCases)
    func downgradeBeforeWriter(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let lock = AsyncReadWriteLock()
            let writing = try await lock.acquireWrite()
            let writer = await crew.start(raising: { lock.waitingTasks.count }) { try await lock.withWriteLock {} }
            let reading = writing.downgrade()
            #expect(lock.readers == 1)
            #expect(lock.waitingTasks.count == 1)
            reading.release()
            try await writer.value
        }
    }
}

// Whether it could be taken at this moment: it is given back.
extension AsyncReadWriteLock {
    var canBeRead: Bool { isThere(tryAcquireRead()) }
    var canBeWritten: Bool { isThere(tryAcquireWrite()) }
}
