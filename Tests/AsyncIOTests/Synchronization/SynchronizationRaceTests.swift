import AsyncIO
import AsyncIOTestSupport
import Testing

/// A cancellation and what it races with, at the same moment, on two threads or in one tick.
@Suite("Cancellation against everything", .timeLimit(.minutes(30)))
struct SynchronizationRaceTests {
    /// Starts a waiter, and when it waits (or sooner) cancels it while the other side acts.
    private static func race(
        rounds: Int, _ generator: inout Randomness, waiting: @Sendable () -> Bool,
        _ wait: @escaping @Sendable () async throws -> Void, against act: @escaping @Sendable () -> Void
    ) async -> (completed: Int, cancelled: Int) {
        var (completed, cancelled) = (0, 0)
        for _ in 0..<rounds {
            let task = Task.detached { try await wait() }
            if Bool.random(using: &generator) { await until { waiting() } }
            if Bool.random(using: &generator) {
                let other = Task.detached { task.cancel() }
                act()
                await other.value
            } else {
                let other = Task.detached { act() }
                task.cancel()
                await other.value
            }
            if await task.wasCancelled { cancelled += 1 } else { completed += 1 }
        }
        return (completed, cancelled)
    }

    @Test("a pool of one: a cancelled request races the return, and the pool stays one")
    func poolOfOne() async throws {
        var generator = Randomness()
        let note = generator.note
        try await Watchdog.watch(limit: .seconds(1_500)) {
            let semaphore = AsyncSemaphore(permits: 1)
            let slot = PermitSlot()
            var (completed, cancelled) = (0, 0)
            for _ in 0..<Stress.raceRounds / 20 {
                for _ in 0..<20 {
                    slot.put(try await semaphore.acquire())
                    let part = await Self.race(
                        rounds: 1, &generator, waiting: { !semaphore.waitingTasks.isEmpty },
                        { try await semaphore.acquire().release() }, against: { slot.release() })
                    completed += part.completed
                    cancelled += part.cancelled
                }
                #expect(semaphore.availablePermits == 1, "\(note)")
                #expect(semaphore.waitingTasks.isEmpty, "\(note)")
            }
            #expect(completed > 0 && cancelled > 0, "both outcomes were seen")
        }
    }

    @Test(
        "a pool of one: a deadline that cancels and a return in the same tick, in either order",
        arguments: Setting.timeless)
    func deadline(setting: Setting) async throws {
        try await withVirtualTime(setting, limit: .seconds(1_500)) { loop in
            var generator = Randomness()
            let note = generator.note
            let semaphore = AsyncSemaphore(permits: 1)
            let slot = PermitSlot()
            let crew = Crew(loop: loop)
            for _ in 0..<Stress.raceRounds {
                slot.put(try await semaphore.acquire())
                let task = crew.start { try await semaphore.acquire().release() }
                let deadline = loop.now.advanced(by: .seconds(1))
                let isCancelledFirst = Bool.random(using: &generator)
                loop.callAt(deadline) { isCancelledFirst ? task.cancel() : slot.release() }
                loop.callAt(deadline) { isCancelledFirst ? slot.release() : task.cancel() }
                guard await task.wasCancelled == isCancelledFirst else {
                    return #expect(Bool(false), "cancelled first: \(isCancelledFirst); \(note)")
                }
                // The return may still be to come in this tick.
                await until { semaphore.availablePermits == 1 }
            }
            #expect(semaphore.statistics.availablePermits == 1)
            #expect(semaphore.waitingTasks.isEmpty)
        }
    }

    @Test("an event that is set while its waiter is cancelled: nobody hangs")
    func event() async throws {
        var generator = Randomness()
        try await Watchdog.watch(limit: .seconds(1_500)) {
            let event = AsyncEvent()
            for _ in 0..<Stress.raceRounds / 4 {
                _ = await Self.race(
                    rounds: 1, &generator, waiting: { !event.waitingTasks.isEmpty }, { try await event.wait() },
                    against: { event.set() })
                event.clear()
            }
            #expect(event.waitingTasks.isEmpty)
        }
    }

    @Test("a lock that is given back while its waiter is cancelled: nobody hangs, and it is free")
    func lock() async throws {
        var generator = Randomness()
        try await Watchdog.watch(limit: .seconds(1_500)) {
            let (lock, slot) = (AsyncLock(), HoldSlot())
            for _ in 0..<Stress.raceRounds / 4 {
                slot.put(try await lock.acquire())
                _ = await Self.race(
                    rounds: 1, &generator, waiting: { !lock.waitingTasks.isEmpty }, { try await lock.withLock {} },
                    against: { slot.release() })
                #expect(!lock.isLocked)
            }
        }
    }

    @Test("a barrier whose last comes while another is cancelled: all go, or one is left")
    func barrier() async throws {
        var generator = Randomness()
        try await Watchdog.watch(limit: .seconds(1_500)) {
            let barrier = AsyncBarrier(parties: 2)
            for _ in 0..<Stress.raceRounds / 4 {
                let other = Task.detached { try await barrier.wait() }
                _ = await Self.race(
                    rounds: 1, &generator, waiting: { true }, { try await barrier.wait() },
                    against: { if barrier.waiting == 2 { barrier.abort() } })
                other.cancel()
                _ = await other.result
                #expect(barrier.waiting == 0)
                #expect(!barrier.isBroken)
            }
        }
    }

    @Test("a notification while its waiter is cancelled: the next one has it, or nobody needs it")
    func condition() async throws {
        var generator = Randomness()
        let note = generator.note
        try await Watchdog.watch(limit: .seconds(1_500)) {
            let (condition, shelf) = (AsyncCondition(), Shelf())
            for _ in 0..<Stress.raceRounds / 10 {
                let take: @Sendable () async throws -> Int = {
                    try await condition.withLock { held in
                        try await held.wait(until: { !shelf.items.isEmpty })
                        return shelf.items.removeFirst()
                    }
                }
                let takers = (0..<2).map { _ in Task.detached { try await take() } }
                if Bool.random(using: &generator) { await until { condition.waitingTasks.count == 2 } }
                let cancelled = Int.random(in: 0...1, using: &generator)
                let canceller = Task.detached { takers[cancelled].cancel() }
                try await condition.withLock { held in
                    shelf.items.append(1)
                    held.notify()
                }
                await canceller.value
                // One item, and one taker at least that wants it.
                if await takers[cancelled].wasCancelled {
                    let item = try await takers[1 - cancelled].value
                    #expect(item == 1, "\(note)")
                } else {
                    takers[1 - cancelled].cancel()
                    #expect(await takers[1 - cancelled].wasCancelled, "\(note)")
                }
                #expect(shelf.items.isEmpty, "\(note)")
            }
        }
    }
}

/// A permit that one task puts here and another gives back.
private final class PermitSlot: @unchecked Sendable {
    private var permit: AsyncSemaphore.Permit?
    func put(_ permit: consuming AsyncSemaphore.Permit) { self.permit = consume permit }
    func release() { permit = nil }
}

/// A hold that one task puts here and another gives back.
private final class HoldSlot: @unchecked Sendable {
    private var hold: AsyncLock.Hold?
    func put(_ hold: consuming AsyncLock.Hold) { self.hold = consume hold }
    func release() { hold = nil }
}
