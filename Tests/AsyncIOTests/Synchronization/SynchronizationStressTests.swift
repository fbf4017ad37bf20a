import AsyncIO
import AsyncIOTestSupport
import Testing

/// Tasks on four threads take, give back and are cancelled at random. What they guard is plain memory, so that the
/// thread sanitizer sees whether the primitives order it.
@Suite("Synchronization on four threads", .timeLimit(.minutes(30)))
struct SynchronizationStressTests {
    private static let rounds = Stress.isOn ? 20_000 : 400

    private enum Cancelling { case some, all }

    /// Runs the work again and again in tasks on four loops, and cancels them: some, or sooner or later all, where one
    /// might otherwise wait for others that do not come any more.
    private static func onFourLoops(
        _ name: String = #function, cancelling: Cancelling = .some,
        _ work: @escaping @Sendable (Int) async throws -> Void
    ) async throws {
        try await Watchdog.watch(name, limit: .seconds(1_500)) {
            let threads = try (0..<4).map { try LoopThread(options: .guest(name: "stress \($0)")) }
            let workers = threads.enumerated().flatMap { index, thread in
                (0..<3).map { number in
                    thread.loop.submit {
                        var generator = Randomness()
                        for round in 0..<rounds {
                            let task = Task.detached(executorPreference: thread.loop) {
                                try await work(index * 3 + number + round)
                            }
                            if cancelling == .all || Int.random(in: 0..<3, using: &generator) == 0 {
                                for _ in 0..<Int.random(in: 0..<8, using: &generator) { await Task.yield() }
                                task.cancel()
                            }
                            do { try await task.value } catch is CancellationError {}
                        }
                    }
                }
            }
            for worker in workers { try await worker.value }
            for thread in threads { await thread.shutdown() }
        }
    }

    @Test("a lock: one is inside, and at the end it is free")
    func lock() async throws {
        let (lock, guarded) = (AsyncLock(), Guarded())
        try await Self.onFourLoops { round in
            try await lock.withLock {
                guarded.enter()
                if round % 3 == 0 { await Task.yield() }
                guarded.leave()
            }
        }
        #expect(!lock.isLocked)
        #expect(lock.waitingTasks.isEmpty)
        #expect(guarded.isIntact(lock.statistics.acquired))
    }

    @Test("a semaphore: never more than its permits are out, and at the end all are back")
    func semaphore() async throws {
        let (semaphore, out, guarded) = (AsyncSemaphore(permits: 3), Counter(), Guarded())
        try await Self.onFourLoops { round in
            let count = round % 4
            try await semaphore.withPermits(count) {
                #expect(out.add(count) <= 3)
                // Whoever has all is alone.
                if count == 3 { guarded.enter() }
                if round % 3 == 0 { await Task.yield() }
                if count == 3 { guarded.leave() }
                out.add(-count)
            }
        }
        #expect(semaphore.availablePermits == 3)
        #expect(semaphore.waitingTasks.isEmpty)
        #expect(guarded.isIntact(nil))
    }

    @Test("a read-write lock: writers are alone, readers see what was written, and at the end it is free")
    func readWriteLock() async throws {
        let (lock, guarded) = (AsyncReadWriteLock(), Guarded())
        try await Self.onFourLoops { round in
            if round % 4 == 0 {
                let hold = try await lock.acquireWrite()
                guarded.enter()
                if round % 3 == 0 { await Task.yield() }
                guarded.leave()
                let reading = hold.downgrade()
                #expect(!guarded.isEntered)
                reading.release()
            } else {
                try await lock.withReadLock {
                    #expect(!guarded.isEntered)
                    if round % 3 == 0 { await Task.yield() }
                }
            }
        }
        #expect(guarded.isIntact(lock.statistics.writes))
        #expect(lock.canBeWritten)
    }

    @Test("a condition: what is brought is taken, once, whoever is cancelled")
    func condition() async throws {
        let (condition, shelf) = (AsyncCondition(), Shelf())
        let (brought, taken) = (Counter(), Counter())
        try await Self.onFourLoops(cancelling: .all) { round in
            try await condition.withLock { held in
                if round % 2 == 0 {
                    shelf.items.append(round)
                    brought.add()
                    held.notify()
                } else {
                    try await held.wait(until: { !shelf.items.isEmpty })
                    shelf.items.removeLast()
                    taken.add()
                }
            }
        }
        #expect(shelf.items.count == brought.value - taken.value)
        #expect(!condition.lock.isLocked)
        #expect(condition.waitingTasks.isEmpty)
        #expect(taken.value > 0)
    }

    @Test("an event and a value: what was written before is seen after")
    func eventAndOnce() async throws {
        let (event, guarded, once) = (AsyncEvent(), Guarded(), AsyncOnce<Guarded>())
        try await Self.onFourLoops { round in
            // One task alone comes with this number.
            if round == 0 {
                guarded.enter()
                guarded.leave()
                event.set()
            }
            let value = try await once.get {
                await Task.yield()
                try Task.checkCancellation()
                let made = Guarded()
                made.enter()
                return made
            }
            #expect(value.isEntered)
            try await event.wait()
            #expect(!guarded.isEntered)
        }
        #expect(event.waitingTasks.isEmpty)
        #expect(once.isReady)
    }

    @Test("a barrier: whoever goes on has met others, and at the end nobody waits")
    func barrier() async throws {
        let barrier = AsyncBarrier(parties: 3)
        let places = (0..<3).map { _ in Counter() }
        try await Self.onFourLoops(cancelling: .all) { _ in
            let place = try await barrier.wait()
            places[place].add()
        }
        #expect(barrier.waiting == 0)
        // Complete or throw: every round has had each of its places, once.
        #expect(places.map { UInt64($0.value) } == Array(repeating: barrier.statistics.rounds, count: 3))
        #expect(barrier.statistics.rounds > 0)
    }
}

/// Memory without a lock of its own: whoever is not alone here is found out.
final class Guarded: @unchecked Sendable {
    private(set) var isEntered = false
    private var entries: UInt64 = 0
    private var mistakes = 0

    func enter() {
        if isEntered { mistakes += 1 }
        isEntered = true
        entries += 1
    }

    func leave() {
        if !isEntered { mistakes += 1 }
        isEntered = false
    }

    /// Whether nobody met anybody, in so many visits.
    func isIntact(_ visits: UInt64?) -> Bool {
        mistakes == 0 && !isEntered && visits ?? entries == entries
    }
}
