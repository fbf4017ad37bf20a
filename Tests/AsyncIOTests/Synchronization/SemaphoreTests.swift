import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("AsyncSemaphore", .timeLimit(.minutes(10)))
struct SemaphoreTests {
    @Test("permits that are there are taken without suspending", arguments: Setting.onLoop)
    func free(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let semaphore = AsyncSemaphore(permits: 3)
            let suspends = try await hasSuspended(loop) {
                try await semaphore.withPermit {}
                try await semaphore.withPermits(3) {}
            }
            #expect(!suspends)
            #expect(semaphore.statistics.waits == 0)
            #expect(semaphore.statistics.acquired == 2)
        }
    }

    @Test("the body's result is returned and its error thrown, and the permits are back", arguments: Stage.allCases)
    func bodies(stage: Stage) async throws {
        try await onStage(stage) { _ in
            let semaphore = AsyncSemaphore(permits: 3)
            let left = try await semaphore.withPermits(2) { semaphore.availablePermits }
            #expect(left == 1)
            #expect(semaphore.availablePermits == 3)
            await #expect(throws: EventLoopError.noLoop) {
                try await semaphore.withPermit { throw EventLoopError.noLoop }
            }
            #expect(semaphore.availablePermits == 3)
        }
    }

    @Test("so many are inside at a time, and never more", arguments: Stage.allCases)
    func exclusion(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (semaphore, inside, most) = (AsyncSemaphore(permits: 3), Counter(), Log<Int>())
            let tasks = (0..<20).map { _ in
                crew.start {
                    for _ in 0..<10 {
                        try await semaphore.withPermit {
                            most.add(inside.add())
                            await Task.yield()
                            inside.add(-1)
                        }
                    }
                }
            }
            for task in tasks { try await task.value }
            #expect(most.all.max() == 3)
            #expect(most.count == 200)
            #expect(semaphore.availablePermits == 3)
        }
    }

    @Test("who waits is served in order, as permits come back one by one", arguments: Stage.allCases)
    func order(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (semaphore, log) = (AsyncSemaphore(permits: 2), Log<Int>())
            let first = try await semaphore.acquire()
            let second = try await semaphore.acquire()
            var tasks: [Task<Void, any Error>] = []
            for number in 0..<5 {
                tasks.append(
                    await crew.start(raising: { semaphore.waitingTasks.count }) {
                        log.add(number)
                        try await semaphore.withPermit {}
                    })
            }
            #expect(semaphore.waitingTasks.count == 5)
            first.release()
            for task in tasks { try await task.value }
            second.release()
            #expect(log.all == [0, 1, 2, 3, 4])
            #expect(semaphore.availablePermits == 2)
        }
    }

    @Test("a large request is not overtaken by small ones, waiting or trying", arguments: Stage.allCases)
    func large(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (semaphore, log) = (AsyncSemaphore(permits: 3), Log<Int>())
            let hold = try await semaphore.acquire(2)
            let large = await crew.start(raising: { semaphore.waitingTasks.count }) {
                try await semaphore.withPermits(3) { log.add(3) }
            }
            let small = await crew.start(raising: { semaphore.waitingTasks.count }) {
                try await semaphore.withPermit { log.add(1) }
            }
            #expect(semaphore.availablePermits == 1)
            #expect(!semaphore.canGive(1))
            hold.release()
            try await large.value
            try await small.value
            #expect(log.all == [3, 1])
        }
    }

    @Test("when a large request is cancelled, the small ones behind it go on", arguments: Stage.allCases)
    func largeCancelled(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let semaphore = AsyncSemaphore(permits: 3)
            let hold = try await semaphore.acquire()
            let large = await crew.start(raising: { semaphore.waitingTasks.count }) {
                try await semaphore.withPermits(3) {}
            }
            let small = await crew.start(raising: { semaphore.waitingTasks.count }) {
                try await semaphore.withPermit {}
            }
            let middle = await crew.start(raising: { semaphore.waitingTasks.count }) {
                try await semaphore.withPermits(2) {}
            }
            large.cancel()
            #expect(await large.wasCancelled)
            try await small.value
            try await middle.value
            hold.release()
            #expect(semaphore.availablePermits == 3)
        }
    }

    @Test("one return lets several go on", arguments: Stage.allCases)
    func several(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (semaphore, gate) = (AsyncSemaphore(permits: 4), Gate())
            let hold = try await semaphore.acquire(4)
            var tasks: [Task<Void, any Error>] = []
            for count in [1, 2, 1, 1] {
                tasks.append(
                    await crew.start(raising: { semaphore.waitingTasks.count }) {
                        try await semaphore.withPermits(count) { await gate.pass() }
                    })
            }
            hold.release()
            #expect(semaphore.availablePermits == 0)
            #expect(semaphore.waitingTasks.count == 1)
            gate.open()
            for task in tasks { try await task.value }
        }
    }

    @Test("a cancelled waiter in the middle changes nothing for the others", arguments: Stage.allCases)
    func middleCancelled(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (semaphore, log) = (AsyncSemaphore(permits: 1), Log<Int>())
            let hold = try await semaphore.acquire()
            var tasks: [Task<Void, any Error>] = []
            for number in 0..<4 {
                tasks.append(
                    await crew.start(raising: { semaphore.waitingTasks.count }) {
                        try await semaphore.withPermit { log.add(number) }
                    })
            }
            tasks[1].cancel()
            #expect(await tasks[1].wasCancelled)
            hold.release()
            for number in [0, 2, 3] { try await tasks[number].value }
            #expect(log.all == [0, 2, 3])
        }
    }

    @Test("a task that is cancelled already takes nothing", arguments: Stage.allCases)
    func cancelledBefore(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let semaphore = AsyncSemaphore(permits: 1)
            let task = crew.start {
                await untilCancelled()
                _ = try await semaphore.acquire()
            }
            task.cancel()
            #expect(await task.wasCancelled)
            #expect(semaphore.statistics.acquired == 0)
        }
    }

    @Test("cancelled just before the return: the permit is the next one's", arguments: Stage.allCases)
    func cancelThenRelease(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let semaphore = AsyncSemaphore(permits: 1)
            let hold = try await semaphore.acquire()
            let first = await crew.start(raising: { semaphore.waitingTasks.count }) {
                try await semaphore.withPermit {}
            }
            let second = await crew.start(raising: { semaphore.waitingTasks.count }) {
                try await semaphore.withPermit {}
            }
            first.cancel()
            hold.release()
            #expect(await first.wasCancelled)
            try await second.value
            #expect(semaphore.availablePermits == 1)
        }
    }

    @Test("cancelled just after the permit was given: it has it, and gives it back", arguments: Stage.allCases)
    func releaseThenCancel(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let semaphore = AsyncSemaphore(permits: 1)
            let hold = try await semaphore.acquire()
            let first = await crew.start(raising: { semaphore.waitingTasks.count }) {
                try await semaphore.withPermit { 1 }
            }
            let second = await crew.start(raising: { semaphore.waitingTasks.count }) {
                try await semaphore.withPermit { 2 }
            }
            hold.release()
            first.cancel()
            #expect(try await first.value == 1)
            #expect(try await second.value == 2)
            #expect(semaphore.availablePermits == 1)
        }
    }

    @Test("a cancelled waiter and a permit that came back: the next acquire does not hang", arguments: Stage.allCases)
    func noHang(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let semaphore = AsyncSemaphore(permits: 1)
            let hold = try await semaphore.acquire()
            let task = await crew.start(raising: { semaphore.waitingTasks.count }) {
                try await semaphore.withPermit {}
            }
            hold.release()
            task.cancel()
            try await semaphore.withPermit {}
            try await task.value
            #expect(semaphore.availablePermits == 1)
        }
    }

    @Test("a permit goes back once: when it is released, or else at the end of its scope", arguments: Stage.allCases)
    func scope(stage: Stage) async throws {
        try await onStage(stage) { _ in
            let semaphore = AsyncSemaphore(permits: 5)
            do {
                let permit = try await semaphore.acquire(2)
                #expect(permit.count == 2)
                #expect(semaphore.availablePermits == 3)
            }
            #expect(semaphore.availablePermits == 5)
            let permit = try await semaphore.acquire(3)
            permit.release()
            #expect(semaphore.availablePermits == 5)
        }
    }

    @Test("trying takes what is there and never waits", arguments: Stage.allCases)
    func trying(stage: Stage) async throws {
        try await onStage(stage) { _ in
            let semaphore = AsyncSemaphore(permits: 2)
            #expect(semaphore.canGive(2))
            #expect(!semaphore.canGive(3))
            let permit = semaphore.tryAcquire()
            #expect(semaphore.canGive(1))
            #expect(!semaphore.canGive(2))
            #expect(semaphore.canGive(0))
            _ = consume permit
            #expect(semaphore.statistics.waits == 0)
        }
    }
}

extension AsyncSemaphore {
    /// Whether so many permits could be had at this moment: they are given back.
    func canGive(_ count: Int) -> Bool { isThere(tryAcquire(count)) }
}
