import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import Testing

@Suite("Knowing when everything in a queue is done")
struct QueueJoinTests {
    @Test("join of a queue that never had an item returns at once", arguments: Setting.timeless)
    func nothing(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ async throws in
            let queue = AsyncQueue<Int>(capacity: 1)
            try await queue.join()
            try await queue.join()
        }
    }

    @Test("join waits until every item that was put is reported as done", arguments: Setting.timeless)
    func all(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: .unbounded)
            for number in 0..<100 { try await queue.put(number) }
            let done = Counter()
            for _ in 0..<2 {
                loop.spawn {
                    while true {
                        let number = try await queue.get()
                        try await loop.sleep(for: .milliseconds(number))
                        done.add()
                        queue.itemDone()
                    }
                }
            }
            try await queue.join()
            #expect(done.value == 100 && queue.statistics.unfinished == 0)
        }
    }

    @Test("an item that was taken but not reported still counts", arguments: Setting.timeless)
    func taken(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 1)
            try await queue.put(1)
            #expect(queue.tryGet() == 1)
            let joiner = loop.spawn {
                try await queue.join()
                return loop.now
            }
            try await loop.sleep(for: .seconds(5))
            let end = loop.now
            queue.itemDone()
            #expect(try await joiner.value == end)
        }
    }

    @Test("all who join go on together, and the queue can be used again", arguments: Setting.timeless)
    func again(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 1)
            for round in 0..<3 {
                try await queue.put(round)
                let joined = Counter()
                let joiners = (0..<4).map { _ in
                    loop.spawn {
                        try await queue.join()
                        joined.add()
                    }
                }
                for _ in 0..<10 { await Task.yield() }
                #expect(joined.value == 0)
                #expect(queue.tryGet() == round)
                queue.itemDone()
                for joiner in joiners { try await joiner.value }
            }
        }
    }

    @Test("an item handed to a getter that waits counts as well", arguments: Setting.timeless)
    func handedOver(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 1)
            let getter = loop.spawn { try await queue.get() }
            await until { queue.statistics.waitingGetters == 1 }
            try await queue.put(1)
            #expect(queue.statistics.unfinished == 1)
            _ = try await getter.value
            queue.itemDone()
            try await queue.join()
        }
    }

    @Test("a putter that waits does not count before its item is inside", arguments: Setting.timeless)
    func waiting(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 1)
            try await queue.put(1)
            let putter = loop.spawn { try await queue.put(2) }
            await until { queue.statistics.waitingPutters == 1 }
            #expect(queue.statistics.unfinished == 1)
            putter.cancel()
            #expect(queue.tryGet() == 1)
            queue.itemDone()
            try await queue.join()
        }
    }

    @Test("a joiner that is cancelled stops waiting, the others do not", arguments: Setting.timeless)
    func cancelled(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 1)
            try await queue.put(1)
            let first = loop.spawn {
                try await queue.join(); return true
            }
            let second = loop.spawn {
                try await queue.join(); return true
            }
            for _ in 0..<10 { await Task.yield() }
            first.cancel()
            #expect(await first.queueEnding == .cancelled)
            queue.itemDone()
            #expect(await second.queueEnding == .value(true))
        }
    }

    @Test("more reports than items are a mistake that says so")
    func tooMany() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let queue = AsyncQueue<Int>(capacity: 1, name: "jobs")
            _ = queue.tryPut(1)
            queue.itemDone()
            queue.itemDone()
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("itemDone() of jobs was called more often than items were put"))
    }
}
