import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import Testing

/// asyncio's `shutdown()` is `finish()`, its `shutdown(immediate=True)` is `cancel()`.
@Suite("A queue that ends")
struct QueueEndTests {
    @Test(
        "what is inside a finished queue can still be got, then get throws and next is nil", arguments: Setting.timeless
    )
    func finished(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ async throws in
            let queue = AsyncQueue<Int>(capacity: 3, name: "jobs")
            try await queue.put(1)
            try await queue.put(2)
            queue.finish()
            #expect(queue.isClosed)
            #expect(try await queue.get() == 1)
            #expect(try await queue.next() == 2)
            #expect(try await queue.next() == nil)
            #expect(queue.tryGet() == nil)
            #expect(try await queue.get(upTo: 4) == [])
            let error = await #expect(throws: ClosedError.self) { try await queue.get() }
            #expect(error.map { "\($0)" } == "jobs has finished")
        }
    }

    @Test("a finished queue takes nothing more", arguments: Setting.timeless)
    func putAfterFinish(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ async throws in
            let queue = AsyncQueue<Int>(capacity: 3)
            queue.finish()
            #expect(
                await QueueEnding {
                    try await queue.put(1); return true
                } == .closed(.finished))
            #expect(!queue.tryPut(1) && queue.isEmpty)
        }
    }

    @Test("getters that wait when the queue finishes find the end", arguments: Setting.timeless)
    func waitingGetters(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 3)
            let get = loop.spawn { try await queue.get() }
            let next = loop.spawn { try await queue.next() }
            await until { queue.statistics.waitingGetters == 2 }
            queue.finish()
            #expect(await get.queueEnding == .closed(.finished))
            #expect(await next.queueEnding == .value(nil))
        }
    }

    @Test("putters that wait when the queue finishes keep their items", arguments: Setting.timeless)
    func waitingPutters(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 1)
            try await queue.put(1)
            let putter = loop.spawn {
                try await queue.put(2); return true
            }
            await until { queue.statistics.waitingPutters == 1 }
            queue.finish()
            #expect(await putter.queueEnding == .closed(.finished))
            #expect(queue.tryGet() == 1 && queue.tryGet() == nil)
        }
    }

    @Test("a cancelled queue drops what is inside, and everybody gets the error", arguments: Setting.timeless)
    func cancelled(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ async throws in
            let queue = AsyncQueue<Int>(capacity: 3, name: "jobs")
            try await queue.put(1)
            queue.cancel()
            #expect(queue.isClosed && queue.isEmpty && queue.tryGet() == nil && !queue.tryPut(2))
            #expect(await QueueEnding { try await queue.get() } == .closed(.cancelled))
            #expect(await QueueEnding { try await queue.next() } == .closed(.cancelled))
            #expect(
                await QueueEnding {
                    try await queue.put(1); return 0
                } == .closed(.cancelled))
            let error = await #expect(throws: ClosedError.self) { try await queue.get() }
            #expect(error.map { "\($0)" } == "jobs was cancelled")
        }
    }

    @Test("everybody who waits when the queue is cancelled gets the error", arguments: [false, true], Setting.timeless)
    func cancelledWaiters(full: Bool, setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 1)
            if full { try await queue.put(1) }
            let waiters = (0..<3).map { _ in
                loop.spawn {
                    if full { try await queue.put(2) } else { _ = try await queue.next() }; return true
                }
            }
            await until { queue.waitingTasks.count == 3 }
            queue.cancel()
            for waiter in waiters { #expect(await waiter.queueEnding == .closed(.cancelled)) }
        }
    }

    @Test(
        "finishing and cancelling again changes nothing; cancelling after finishing drops the rest",
        arguments: Setting.timeless)
    func twice(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ async throws in
            let queue = AsyncQueue<Int>(capacity: 3)
            try await queue.put(1)
            queue.finish()
            queue.finish()
            #expect(queue.count == 1)
            queue.cancel()
            queue.cancel()
            queue.finish()
            #expect(queue.isEmpty)
            #expect(await QueueEnding { try await queue.next() } == .closed(.cancelled))
        }
    }

    @Test("join after finish still waits for what is inside", arguments: Setting.timeless)
    func joinAfterFinish(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 3)
            try await queue.put(1)
            queue.finish()
            let joined = Counter()
            let joiner = loop.spawn {
                try await queue.join()
                joined.add()
            }
            for _ in 0..<10 { await Task.yield() }
            #expect(joined.value == 0)
            _ = try await queue.get()
            queue.itemDone()
            try await joiner.value
        }
    }

    @Test("cancel reports what it drops as done; what was taken before still counts", arguments: Setting.timeless)
    func joinAfterCancel(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 3)
            for number in 0..<3 { try await queue.put(number) }
            _ = try await queue.get()
            let joiner = loop.spawn {
                try await queue.join(); return true
            }
            for _ in 0..<10 { await Task.yield() }
            queue.cancel()
            #expect(queue.statistics.unfinished == 1)
            queue.itemDone()
            #expect(await joiner.queueEnding == .value(true))
        }
    }

    @Test("a queue that is cancelled with everything inside lets joiners go at once", arguments: Setting.timeless)
    func joinEnds(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 3)
            for number in 0..<3 { try await queue.put(number) }
            let joiner = loop.spawn {
                try await queue.join(); return true
            }
            for _ in 0..<10 { await Task.yield() }
            queue.cancel()
            #expect(await joiner.queueEnding == .value(true))
        }
    }

    @Test("what cancel drops ends outside of the lock: its end may ask the queue", arguments: Setting.timeless)
    func dropped(setting: Setting) async throws {
        let ended = Log<Int>()
        try await withVirtualTime(setting) { _ async throws in
            let queue = AsyncQueue<Mortal>(capacity: 3)
            for number in 0..<3 {
                try await queue.put(
                    Mortal(number) { [weak queue] number in
                        // Would wait for ever under the lock.
                        if queue?.isClosed == true { ended.add(number) }
                    })
            }
            queue.cancel()
        }
        #expect(ended.all.sorted() == [0, 1, 2])
    }

    @Test("iteration ends with finish, and throws with cancel", arguments: Setting.timeless)
    func iteration(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            for isCancelled in [false, true] {
                let queue = AsyncQueue<Int>(capacity: 3)
                let consumer = loop.spawn {
                    var items: [Int] = []
                    for try await item in queue { items.append(item) }
                    return items
                }
                for number in 0..<5 { try await queue.put(number) }
                await until { queue.statistics.waitingGetters == 1 }
                if isCancelled { queue.cancel() } else { queue.finish() }
                #expect(await consumer.queueEnding == (isCancelled ? .closed(.cancelled) : .value([0, 1, 2, 3, 4])))
            }
        }
    }
}
