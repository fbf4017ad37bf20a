import AsyncIO
import AsyncIOTestSupport
import AsyncIOTesting

/// Something that is taken, and has to be given back by somebody.
private final class Pool: Sendable {
    let taken = Counter()
    let returned = Counter()

    func take(on loop: EventLoop, after seconds: Int) async throws -> Int {
        try await loop.sleep(for: .seconds(seconds))
        taken.add()
        // As a connection that is opened, and whose task goes on a little.
        await EventLoop.yield()
        return seconds
    }

    func giveBack() { returned.add() }

    func check() throws {
        try expect(taken.value == returned.value, "\(taken.value) taken, \(returned.value) given back")
    }
}

extension SweptOperation {
    /// Operations inside of others, where what one has got may be lost by the end of the other.
    static let combinations: [SweptOperation] = [
        SweptOperation("race: what the losers and the cancelled have got is handed over") { loop in
            (Pool(), loop)
        } _: { pool, loop in
            _ = try await race(
                { try await pool.take(on: loop, after: 1) }, { try await pool.take(on: loop, after: 1) },
                { try await pool.take(on: loop, after: 2) }, discarding: { _ in pool.giveBack() })
            pool.giveBack()
        } then: { pool, _ in
            try pool.check()
        },

        SweptOperation("staggeredRace: what the losers and the cancelled have got is handed over") { loop in
            (Pool(), loop)
        } _: { pool, loop in
            _ = try await staggeredRace(
                [3, 2, 1], delay: .seconds(1), attempt: { try await pool.take(on: loop, after: $0) },
                discarding: { _ in pool.giveBack() })
            pool.giveBack()
        } then: { pool, _ in
            try pool.check()
        },

        SweptOperation("withTimeout around get: an item that comes at the last moment is not lost") { loop in
            let (queue, log) = (AsyncQueue<Int>(capacity: 4), Log<Int>())
            loop.spawn(name: "producer") {
                for item in 0..<4 {
                    try await loop.sleep(for: .seconds(1))
                    try await queue.put(item)
                }
                queue.finish()
            }
            return (queue, log)
        } _: { queue, log in
            for _ in 0..<4 {
                do { log.add(try await withTimeout(.seconds(1)) { try await queue.get() }) } catch is TimeoutError {
                    log.add(try await queue.get())
                }
            }
        } then: { queue, log in
            while let item = try await queue.next() { log.add(item) }
            try expect(log.all == Array(0..<4), "\(log.all)")
        },

        SweptOperation("withTimeout around acquire: a permit that comes at the last moment is not lost") { loop in
            let semaphore = AsyncSemaphore(permits: 1)
            loop.spawn(name: "holder") { try await semaphore.withPermit { try await loop.sleep(for: .seconds(1)) } }
            return (semaphore, loop)
        } _: { semaphore, loop in
            do {
                try await withTimeout(.seconds(1)) {
                    let permit = try await semaphore.acquire()
                    await EventLoop.yield()
                    permit.release()
                }
            } catch is TimeoutError {}
            try await semaphore.withPermit { await EventLoop.yield() }
        } then: { semaphore, loop in
            try await loop.sleep(for: .seconds(5))
            try expect(semaphore.tryAcquire() != nil, "\(semaphore) has lost a permit")
        },

        SweptOperation("gather of gets: each item is in a result or still in the queue") { loop in
            let (queue, log) = (AsyncQueue<Int>(capacity: 8), Log<Int>())
            loop.spawn(name: "producer") {
                for item in 0..<6 {
                    try await queue.put(item)
                    if item % 2 == 0 { try await loop.sleep(for: .seconds(1)) }
                }
                queue.finish()
            }
            return (queue, log)
        } _: { queue, log in
            // Each child keeps what it has got, whatever becomes of its siblings.
            _ = try await gatherEach(0..<3, limit: 3) { _ in log.add(try await queue.get()) }
        } then: { queue, log in
            while let item = try await queue.next() { log.add(item) }
            try expect(log.all.sorted() == Array(0..<6), "\(log.all)")
        },

        SweptOperation("a lock inside a semaphore inside a scope inside a timeout") { loop in
            let (lock, semaphore) = (AsyncLock(), AsyncSemaphore(permits: 2))
            loop.spawn(name: "rival") { try await lock.withLock { try await loop.sleep(for: .seconds(2)) } }
            return (lock, semaphore, loop)
        } _: { lock, semaphore, loop in
            try await withTimeout(.seconds(60)) {
                try await withTaskScope { scope in
                    for _ in 0..<3 {
                        try scope.spawn {
                            try await semaphore.withPermit {
                                try await lock.withLock { try await loop.sleep(for: .seconds(1)) }
                            }
                        }
                    }
                }
            }
        } then: { lock, semaphore, loop in
            try await loop.sleep(for: .seconds(60))
            try expect(lock.tryAcquire() != nil && semaphore.tryAcquire(2) != nil, "\(lock), \(semaphore)")
        },

        SweptOperation("a priority queue, a broadcast that lags, and a watch, together") { loop in
            let queue = AsyncQueue<Int>(capacity: 2, order: .priority { $0 > $1 })
            let broadcast = Broadcast<Int>(capacity: 2)
            let subscription = broadcast.subscribe(lagging: .skips)
            let watch = Watch(0)
            loop.spawn(name: "source") {
                for item in 1...5 {
                    try await queue.put(item)
                    broadcast.send(item)
                    watch.set(item)
                }
                queue.finish()
                broadcast.finish()
                watch.finish()
            }
            return (queue, subscription, watch)
        } _: { queue, subscription, watch in
            while let item = try await queue.next() { _ = try await watch.wait { $0 >= item } }
            while try await subscription.next() != nil {}
        } then: { queue, subscription, _ in
            while try await queue.next() != nil {}
            while try await subscription.next() != nil {}
        },

        SweptOperation("withCleanup inside of race: each loser's clean-up is done before the race is over") { loop in
            (Pool(), loop)
        } _: { pool, loop in
            _ = try await raceEach([1, 2, 3]) { seconds in
                pool.taken.add()
                return try await withCleanup(limit: .seconds(30)) {
                    try await loop.sleep(for: .seconds(seconds))
                    return seconds
                } cleanup: { _ in
                    try await loop.sleep(for: .seconds(1))
                    pool.giveBack()
                }
            }
        } then: { pool, _ in
            try pool.check()
        },
    ]
}
