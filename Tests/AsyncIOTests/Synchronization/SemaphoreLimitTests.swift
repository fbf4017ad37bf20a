import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("The limits of an AsyncSemaphore", .timeLimit(.minutes(10)))
struct SemaphoreLimitTests {
    @Test("added permits go to who waits, and stay", arguments: Stage.allCases)
    func adding(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let semaphore = AsyncSemaphore(permits: 2)
            let hold = try await semaphore.acquire(2)
            let task = await crew.start(raising: { semaphore.waitingTasks.count }) {
                try await semaphore.withPermits(2) {}
            }
            semaphore.addPermits(1)
            #expect(semaphore.waitingTasks.count == 1)
            semaphore.addPermits(1)
            try await task.value
            hold.release()
            #expect(semaphore.availablePermits == 4)
            #expect(semaphore.statistics.totalPermits == 4)
        }
    }

    @Test("more than there are in all throws at once, and says what to do", arguments: Stage.allCases)
    func tooMany(stage: Stage) async throws {
        try await onStage(stage) { _ in
            let semaphore = AsyncSemaphore(permits: 3, name: "db")
            let error = await #expect(throws: TooManyPermitsError.self) {
                try await semaphore.withPermits(4) { _ = Issue.record("the body ran") }
            }
            #expect(error == TooManyPermitsError(semaphore: "db", requested: 4, limit: 3))
            #expect("\(TooManyPermitsError(semaphore: "db", requested: 4, limit: 3))".contains("only 3 in all"))
            #expect(semaphore.availablePermits == 3)
            #expect(!semaphore.canGive(4))
        }
    }

    @Test("it throws at once also while others wait", arguments: Stage.allCases)
    func tooManyBehind(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let semaphore = AsyncSemaphore(permits: 1)
            let hold = try await semaphore.acquire()
            let task = await crew.start(raising: { semaphore.waitingTasks.count }) {
                try await semaphore.withPermit {}
            }
            await #expect(throws: TooManyPermitsError.self) { _ = try await semaphore.acquire(.max) }
            hold.release()
            try await task.value
        }
    }

    @Test("with a limit, a request up to it waits for permits to be added", arguments: Stage.allCases)
    func limit(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let semaphore = AsyncSemaphore(permits: 0, limit: 2, name: "signal")
            let task = await crew.start(raising: { semaphore.waitingTasks.count }) {
                try await semaphore.withPermits(2) {}
            }
            await #expect(throws: TooManyPermitsError.self) { _ = try await semaphore.acquire(3) }
            semaphore.addPermits(1)
            semaphore.addPermits(1)
            try await task.value
            #expect(semaphore.availablePermits == 2)
        }
    }

    @Test("no permits of none are given at once, and behind others in turn", arguments: Stage.allCases)
    func zero(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let semaphore = AsyncSemaphore(permits: 0, limit: 1)
            try await semaphore.withPermits(0) {}
            let first = await crew.start(raising: { semaphore.waitingTasks.count }) {
                try await semaphore.withPermit {}
            }
            let second = await crew.start(raising: { semaphore.waitingTasks.count }) {
                try await semaphore.withPermits(0) {}
            }
            semaphore.addPermits(1)
            try await first.value
            try await second.value
        }
    }

    @Test("as many permits as an Int can count are no trouble", arguments: Stage.allCases)
    func enormous(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let semaphore = AsyncSemaphore(permits: .max)
            let hold = try await semaphore.acquire(.max)
            let task = await crew.start(raising: { semaphore.waitingTasks.count }) {
                try await semaphore.withPermits(.max) {}
            }
            hold.release()
            try await task.value
            #expect(semaphore.availablePermits == .max)
        }
    }

    @Test("closing sends away who waits and who comes", arguments: Stage.allCases)
    func close(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let semaphore = AsyncSemaphore(permits: 1, name: "db")
            let hold = try await semaphore.acquire()
            let task = await crew.start(raising: { semaphore.waitingTasks.count }) {
                try await semaphore.withPermit {}
            }
            semaphore.close()
            let error = ClosedError(subject: "db", reason: .finished)
            await #expect(throws: error) { try await task.value }
            await #expect(throws: error) { try await semaphore.withPermit {} }
            await #expect(throws: error) { _ = try await semaphore.acquire(7) }
            #expect(!semaphore.canGive(1))
            #expect(semaphore.isClosed)
            semaphore.close()
            hold.release()
            #expect(semaphore.availablePermits == 1)
        }
    }

    @Test(
        "cancelled just before the closing it hears of the cancellation, just after of the closing",
        arguments: Stage.allCases)
    func closeAndCancel(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let semaphore = AsyncSemaphore(permits: 0, limit: 1)
            let early = await crew.start(raising: { semaphore.waitingTasks.count }) {
                try await semaphore.withPermit {}
            }
            let late = await crew.start(raising: { semaphore.waitingTasks.count }) {
                try await semaphore.withPermit {}
            }
            early.cancel()
            semaphore.close()
            late.cancel()
            #expect(await early.wasCancelled)
            await #expect(throws: ClosedError.self) { try await late.value }
        }
    }

    @Test("it says how many permits there are and how many wait", arguments: Stage.allCases)
    func description(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let semaphore = AsyncSemaphore(permits: 2, name: "db")
            #expect("\(semaphore)" == "AsyncSemaphore(db, 2 of 2 available)")
            let hold = try await semaphore.acquire()
            let task = await crew.start(raising: { semaphore.waitingTasks.count }) {
                try await semaphore.withPermits(2) {}
            }
            #expect("\(semaphore)" == "AsyncSemaphore(db, 1 of 2 available, 1 waiting)")
            #expect(semaphore.statistics.waiting == 1)
            hold.release()
            try await task.value
            semaphore.close()
            #expect("\(semaphore)" == "AsyncSemaphore(db, 2 of 2 available, closed)")
            #expect(semaphore.statistics.waits == 1)
        }
    }

    @Test("a task that takes free permits again and again lets others run", arguments: Setting.onLoop)
    func turns(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (semaphore, turns) = (AsyncSemaphore(permits: 1), Counter())
            let other = Task.detached(executorPreference: loop) { turns.add() }
            while turns.value == 0 { try await semaphore.withPermit {} }
            _ = await other.value
        }
    }

    @Test("nonsense stops the program: less than none, or more than may be")
    func nonsense() async {
        await #expect(processExitsWith: .failure) { _ = AsyncSemaphore(permits: -1) }
        await #expect(processExitsWith: .failure) { _ = AsyncSemaphore(permits: 3, limit: 2) }
        await #expect(processExitsWith: .failure) { _ = AsyncSemaphore(permits: 3).tryAcquire(-1) }
        await #expect(processExitsWith: .failure) { try await AsyncSemaphore(permits: 3).withPermits(-1) {} }
        await #expect(processExitsWith: .failure) { AsyncSemaphore(permits: 3).addPermits(-1) }
        await #expect(processExitsWith: .failure) { AsyncSemaphore(permits: 3).addPermits(.max) }
        await #expect(processExitsWith: .failure) { AsyncSemaphore(permits: 3, limit: 4).addPermits(2) }
    }
}
