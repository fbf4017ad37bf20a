import AsyncIO
import AsyncIOTestSupport
import AsyncIOTesting

extension SweptOperation {
    /// What is held until the loop has been idle for a while.
    private static func hold(_ loop: EventLoop, _ name: String, _ body: @escaping @Sendable () async throws -> Void) {
        loop.spawn(name: name) { try await body() }
    }

    static let synchronization: [SweptOperation] = [
        SweptOperation("AsyncLock.withLock") { loop in
            let lock = AsyncLock()
            hold(loop, "holder") { try await lock.withLock { try await loop.sleep(for: .seconds(1)) } }
            return (lock, loop)
        } _: { lock, loop in
            for _ in 0..<2 { try await lock.withLock { try await loop.sleep(for: .seconds(1)) } }
        } then: { lock, loop in
            try await loop.sleep(for: .seconds(10))
            try expect(lock.tryAcquire() != nil, "\(lock) is not free")
        },

        SweptOperation("AsyncLock.acquire") { loop in
            let lock = AsyncLock()
            hold(loop, "holder") { try await lock.withLock { try await loop.sleep(for: .seconds(1)) } }
            hold(loop, "rival") { try await lock.withLock { try await loop.sleep(for: .seconds(1)) } }
            return (lock, loop)
        } _: { lock, _ in
            let hold = try await lock.acquire()
            await EventLoop.yield()
            hold.release()
        } then: { lock, loop in
            try await loop.sleep(for: .seconds(10))
            try expect(lock.tryAcquire() != nil, "\(lock) is not free")
        },

        SweptOperation("AsyncReadWriteLock.withReadLock, withWriteLock") { loop in
            let lock = AsyncReadWriteLock()
            hold(loop, "writer") { try await lock.withWriteLock { try await loop.sleep(for: .seconds(1)) } }
            hold(loop, "reader") { try await lock.withReadLock { try await loop.sleep(for: .seconds(1)) } }
            return (lock, loop)
        } _: { lock, loop in
            try await lock.withWriteLock { try await loop.sleep(for: .seconds(1)) }
            hold(loop, "late writer") { try await lock.withWriteLock { try await loop.sleep(for: .seconds(1)) } }
            await EventLoop.yield()
            try await lock.withReadLock { await EventLoop.yield() }
        } then: { lock, loop in
            try await loop.sleep(for: .seconds(10))
            try expect(lock.tryAcquireWrite() != nil, "\(lock) is not free")
        },

        SweptOperation("AsyncSemaphore.acquire, withPermits") { loop in
            let semaphore = AsyncSemaphore(permits: 3)
            hold(loop, "holder") { try await semaphore.withPermits(2) { try await loop.sleep(for: .seconds(1)) } }
            return (semaphore, loop)
        } _: { semaphore, loop in
            try await semaphore.withPermits(3) { await EventLoop.yield() }
            let permit = try await semaphore.acquire(2)
            hold(loop, "late") { try await semaphore.withPermits(3) { await EventLoop.yield() } }
            try await loop.sleep(for: .seconds(1))
            permit.release()
            try await semaphore.withPermit { await EventLoop.yield() }
        } then: { semaphore, loop in
            try await loop.sleep(for: .seconds(10))
            try expect(semaphore.tryAcquire(3) != nil, "\(semaphore) has lost permits")
        },

        SweptOperation("AsyncEvent.wait") { loop in
            let event = AsyncEvent()
            loop.callLater(.seconds(1)) { event.set() }
            return (event, loop)
        } _: { event, _ in
            try await event.wait()
        } then: { event, loop in
            try await loop.sleep(for: .seconds(2))
            try expect(event.isSet && event.waitingTasks.isEmpty, "\(event)")
        },

        SweptOperation("AsyncCondition.wait") { loop in
            let (condition, count) = (AsyncCondition(), Counter())
            hold(loop, "notifier") {
                for _ in 0..<3 {
                    try await loop.sleep(for: .seconds(1))
                    try await condition.withLock { held in
                        count.add()
                        held.notifyAll()
                    }
                }
            }
            return (condition, count, loop)
        } _: { condition, count, _ in
            try await condition.withLock { held in try await held.wait(until: { count.value >= 2 }) }
        } then: { condition, count, loop in
            try await loop.sleep(for: .seconds(10))
            try expect(count.value == 3, "the notifier came to \(count.value)")
            try await condition.withLock { _ in }
        },

        SweptOperation("AsyncBarrier.wait", accepting: { $0 is BrokenBarrierError }) { loop in
            let (barrier, outcomes) = (AsyncBarrier(parties: 3), Log<String>())
            for _ in 0..<2 {
                hold(loop, "party") {
                    try await loop.sleep(for: .seconds(1))
                    do { outcomes.add("\(try await barrier.wait() >= 0)") } catch { outcomes.add("broken") }
                }
            }
            return (barrier, outcomes, loop)
        } _: { barrier, _, _ in
            _ = try await barrier.wait()
        } then: { barrier, outcomes, loop in
            // Who is cancelled leaves its place to another one.
            try await loop.sleep(for: .seconds(5))
            if outcomes.count == 0 { _ = try await barrier.wait() }
            try await loop.sleep(for: .seconds(5))
            try expect(outcomes.count == 2, "\(outcomes.all)")
        },

        SweptOperation("AsyncOnce.get, for the value that another task makes") { loop in
            let once = AsyncOnce<Int>()
            hold(loop, "maker") {
                _ = try await once.get {
                    try await loop.sleep(for: .seconds(1))
                    return 1
                }
            }
            return once
        } _: { once in
            _ = try await once.get { 2 }
        } then: { once in
            let value = try await once.get { 3 }
            try expect(value == 1, "made twice: \(value)")
        },

        SweptOperation("AsyncOnce.get, making the value while others wait for it") { loop in
            (AsyncOnce<Int>(), loop)
        } _: { once, loop in
            _ = try await once.get {
                hold(loop, "second") { _ = try await once.get { 2 } }
                try await loop.sleep(for: .seconds(1))
                return 1
            }
        } then: { once, _ in
            let value = try await once.get { 3 }
            try expect(value != 3, "the one who waits has not taken over")
        },
    ]
}
