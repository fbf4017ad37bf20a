import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("AsyncLock", .timeLimit(.minutes(10)))
struct LockTests {
    @Test("a free lock is taken without suspending", arguments: Setting.onLoop)
    func free(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let lock = AsyncLock()
            let suspends = try await hasSuspended(loop) {
                try await lock.withLock {}
                try await lock.withLock { () async in }
            }
            #expect(!suspends)
            #expect(lock.statistics.waits == 0)
            #expect(lock.statistics.acquired == 2)
        }
    }

    @Test("what the body returns is returned, and the lock is free again", arguments: Stage.allCases)
    func result(stage: Stage) async throws {
        try await onStage(stage) { _ in
            let lock = AsyncLock()
            let result = try await lock.withLock {
                #expect(lock.isLocked)
                return 7
            }
            #expect(result == 7)
            #expect(!lock.isLocked)
            let later = try await lock.withLock {
                await Task.yield()
                return lock.isLocked
            }
            #expect(later)
            #expect(!lock.isLocked)
        }
    }

    @Test("what the body throws is thrown, and the lock is free again", arguments: Stage.allCases)
    func throwing(stage: Stage) async throws {
        try await onStage(stage) { _ in
            let lock = AsyncLock()
            await #expect(throws: EventLoopError.noLoop) { try await lock.withLock { throw EventLoopError.noLoop } }
            #expect(!lock.isLocked)
        }
    }

    @Test("a body that suspends and throws: the same", arguments: Stage.allCases)
    func throwingLater(stage: Stage) async throws {
        try await onStage(stage) { _ in
            let lock = AsyncLock()
            await #expect(throws: EventLoopError.noLoop) {
                try await lock.withLock {
                    await Task.yield()
                    #expect(lock.isLocked)
                    throw EventLoopError.noLoop
                }
            }
            #expect(!lock.isLocked)
        }
    }

    @Test("a body that does not suspend waits for its turn", arguments: Stage.allCases)
    func plainBody(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (lock, sum) = (AsyncLock(), Counter())
            let hold = try await lock.acquire()
            let task = crew.start { _ = try await lock.withLock { sum.add() } }
            while lock.statistics.waiting == 0 { await Task.yield() }
            #expect(sum.value == 0)
            hold.release()
            try await task.value
            #expect(sum.value == 1)
        }
    }

    @Test("one task at a time is inside, however often it suspends there", arguments: Stage.allCases)
    func exclusion(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (lock, inside, rounds) = (AsyncLock(), Counter(), Counter())
            let tasks = (0..<20).map { _ in
                crew.start {
                    for _ in 0..<20 {
                        try await lock.withLock {
                            #expect(inside.add() == 1)
                            await Task.yield()
                            inside.add(-1)
                            rounds.add()
                        }
                    }
                }
            }
            for task in tasks { try await task.value }
            #expect(rounds.value == 400)
            #expect(!lock.isLocked)
        }
    }

    @Test("who waits is served in order", arguments: Stage.allCases)
    func order(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (lock, log) = (AsyncLock(), Log<Int>())
            let hold = try await lock.acquire()
            var tasks: [Task<Void, any Error>] = []
            for number in 0..<5 {
                tasks.append(
                    await crew.start(raising: { lock.waitingTasks.count }) {
                        try await lock.withLock { log.add(number) }
                    })
            }
            hold.release()
            for task in tasks { try await task.value }
            #expect(log.all == [0, 1, 2, 3, 4])
        }
    }

    @Test(
        "a lock given back while a task waits is that task's at once: nobody comes between", arguments: Stage.allCases)
    func handOver(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (lock, gate) = (AsyncLock(), Gate())
            let hold = try await lock.acquire()
            let task = await crew.start(raising: { lock.waitingTasks.count }) {
                try await lock.withLock { await gate.pass() }
            }
            let waiter = lock.waitingTasks.first
            hold.release()
            #expect(!lock.canBeTaken)
            #expect(lock.holder == waiter)
            gate.open()
            try await task.value
            #expect(lock.canBeTaken)
        }
    }

    @Test("a cancelled waiter throws, and the others keep their order", arguments: Stage.allCases)
    func cancelled(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (lock, log) = (AsyncLock(), Log<Int>())
            let hold = try await lock.acquire()
            var tasks: [Task<Void, any Error>] = []
            for number in 0..<3 {
                tasks.append(
                    await crew.start(raising: { lock.waitingTasks.count }) {
                        try await lock.withLock { log.add(number) }
                    })
            }
            tasks[1].cancel()
            #expect(await tasks[1].wasCancelled)
            #expect(lock.waitingTasks.count == 2)
            hold.release()
            try await tasks[0].value
            try await tasks[2].value
            #expect(log.all == [0, 2])
        }
    }

    @Test("a task that is cancelled already gets nothing, although the lock is free", arguments: Stage.allCases)
    func cancelledBefore(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let lock = AsyncLock()
            let task = crew.start {
                await untilCancelled()
                try await lock.withLock { _ = Issue.record("the body ran") }
            }
            task.cancel()
            #expect(await task.wasCancelled)
            let other = crew.start {
                await untilCancelled()
                _ = try await lock.acquire()
            }
            other.cancel()
            #expect(await other.wasCancelled)
            #expect(lock.statistics.acquired == 0)
        }
    }

    @Test("cancelled just before the lock is given back: the next one has it", arguments: Stage.allCases)
    func cancelThenRelease(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (lock, log) = (AsyncLock(), Log<Int>())
            let hold = try await lock.acquire()
            let first = await crew.start(raising: { lock.waitingTasks.count }) {
                try await lock.withLock { log.add(1) }
            }
            let second = await crew.start(raising: { lock.waitingTasks.count }) {
                try await lock.withLock { log.add(2) }
            }
            first.cancel()
            hold.release()
            #expect(await first.wasCancelled)
            try await second.value
            #expect(log.all == [2])
        }
    }

    @Test(
        "cancelled just after the lock was given to it: it has the lock, and gives it back", arguments: Stage.allCases)
    func releaseThenCancel(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (lock, log) = (AsyncLock(), Log<Int>())
            let hold = try await lock.acquire()
            let first = await crew.start(raising: { lock.waitingTasks.count }) {
                try await lock.withLock {
                    #expect(stage.isThreads || Task.isCancelled)
                    log.add(1)
                }
            }
            let second = await crew.start(raising: { lock.waitingTasks.count }) {
                try await lock.withLock { log.add(2) }
            }
            hold.release()
            first.cancel()
            try await first.value
            try await second.value
            #expect(log.all == [1, 2])
            #expect(!lock.isLocked)
        }
    }

    @Test("when all who wait are cancelled the lock can be taken again", arguments: Stage.allCases)
    func allCancelled(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let lock = AsyncLock()
            let hold = try await lock.acquire()
            var tasks: [Task<Void, any Error>] = []
            for _ in 0..<4 {
                tasks.append(await crew.start(raising: { lock.waitingTasks.count }) { try await lock.withLock {} })
            }
            for task in tasks { task.cancel() }
            for task in tasks { #expect(await task.wasCancelled) }
            hold.release()
            #expect(!lock.isLocked)
            try await lock.withLock {}
        }
    }

    @Test("a hold gives the lock back when it goes out of scope", arguments: Stage.allCases)
    func scope(stage: Stage) async throws {
        try await onStage(stage) { _ in
            let lock = AsyncLock()
            do {
                let hold = try await lock.acquire()
                #expect(lock.isLocked)
                _ = hold
            }
            #expect(!lock.isLocked)
        }
    }

    @Test("a hold that is released gives the lock back then, once", arguments: Stage.allCases)
    func release(stage: Stage) async throws {
        try await onStage(stage) { _ in
            let lock = AsyncLock()
            let hold = try await lock.acquire()
            hold.release()
            #expect(!lock.isLocked)
            let again = try await lock.acquire()
            #expect(lock.isLocked)
            again.release()
            #expect(lock.statistics.acquired == 2)
        }
    }

    @Test("trying takes a free lock and never waits for one that is taken", arguments: Stage.allCases)
    func trying(stage: Stage) async throws {
        try await onStage(stage) { _ in
            let lock = AsyncLock()
            let hold = lock.tryAcquire()
            #expect(lock.isLocked)
            #expect(!lock.canBeTaken)
            #expect(lock.statistics.waits == 0)
            _ = consume hold
            #expect(!lock.isLocked)
        }
    }

    @Test("its holder is the task inside", arguments: Stage.allCases)
    func holder(stage: Stage) async throws {
        try await onStage(stage) { _ in
            let lock = AsyncLock()
            #expect(lock.holder == nil)
            try await lock.withLock { #expect(lock.holder == TaskID.current) }
            #expect(lock.holder == nil)
        }
    }

    @Test("it says who holds it and how many wait", arguments: Stage.allCases)
    func description(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let lock = AsyncLock(name: "account")
            #expect("\(lock)" == "AsyncLock(account, free)")
            let hold = try await lock.acquire()
            let task = await crew.start(raising: { lock.waitingTasks.count }) { try await lock.withLock {} }
            #expect("\(lock)" == "AsyncLock(account, held by task \(TaskID.current?.number ?? 0), 1 waiting)")
            #expect(lock.statistics.waiting == 1)
            let ownerless = hold.disowned()
            #expect("\(lock)" == "AsyncLock(account, held, 1 waiting)")
            ownerless.release()
            try await task.value
            #expect(lock.statistics.acquired == 2)
            #expect(lock.statistics.waits == 1)
        }
    }

    @Test("a task that takes a free lock again and again lets others run", arguments: Setting.onLoop)
    func turns(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (lock, turns) = (AsyncLock(), Counter())
            let other = Task.detached(executorPreference: loop) { turns.add() }
            var rounds = 0
            while turns.value == 0 {
                try await lock.withLock {}
                rounds += 1
            }
            _ = await other.value
            #expect(rounds > 1)
        }
    }

    @Test(
        "a lock that is confined to its loop works there, and hears of a cancellation from another thread",
        arguments: Setting.onRealLoop)
    func confined(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let lock = AsyncLock(sharing: .withinLoop)
            let crew = Crew(loop: loop)
            let hold = try await lock.acquire()
            let first = await crew.start(raising: { lock.waitingTasks.count }) { try await lock.withLock {} }
            let second = await crew.start(raising: { lock.waitingTasks.count }) { try await lock.withLock { 2 } }
            try await onThread { first.cancel() }
            #expect(await first.wasCancelled)
            hold.release()
            #expect(try await second.value == 2)
        }
    }
}

extension AsyncLock {
    /// Whether it could be taken at this moment: it is given back.
    var canBeTaken: Bool { isThere(tryAcquire()) }
}
