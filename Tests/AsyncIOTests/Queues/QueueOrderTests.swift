import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import Testing

/// asyncio's `LifoQueue` and `PriorityQueue`.
@Suite("The order in which items leave a queue")
struct QueueOrderTests {
    struct Job: Sendable, Equatable {
        let urgency: Int
        let number: Int
    }

    static let byUrgency = QueueOrder<Job>.priority { $0.urgency < $1.urgency }

    @Test("last in, first out", arguments: Setting.timeless)
    func lifo(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ async throws in
            let queue = AsyncQueue<Int>(capacity: 10, order: .lifo)
            for number in [1, 3, 2] { try await queue.put(number) }
            #expect(try await queue.get(upTo: 2) == [2, 3])
            try await queue.put(4)
            #expect(try await queue.get(upTo: 2) == [4, 1])
        }
    }

    @Test("smallest first", arguments: Setting.timeless)
    func priority(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ async throws in
            let queue = AsyncQueue<Int>(capacity: 10, order: .priority)
            for number in [1, 3, 2] { try await queue.put(number) }
            #expect(try await queue.get(upTo: 3) == [1, 2, 3])
        }
    }

    @Test("equal ones leave in the order in which they came", arguments: Setting.timeless)
    func stable(setting: Setting) async throws {
        var random = Randomness()
        let jobs = (0..<2000).map { Job(urgency: .random(in: 0..<8, using: &random), number: $0) }
        let note = random.note
        try await withVirtualTime(setting) { _ async throws in
            let queue = AsyncQueue(capacity: .unbounded, order: Self.byUrgency)
            for job in jobs { try await queue.put(job) }
            let all = try await queue.get(upTo: 2000)
            let expected = jobs.sorted { ($0.urgency, $0.number) < ($1.urgency, $1.number) }
            #expect(all == expected, "\(note)")
        }
    }

    @Test("equal ones stay in order while others come and go", arguments: Setting.timeless)
    func stableInUse(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ async throws in
            let queue = AsyncQueue(capacity: .unbounded, order: Self.byUrgency)
            var last = -1
            for number in 0..<500 {
                try await queue.put(Job(urgency: 5, number: number))
                try await queue.put(Job(urgency: number % 10, number: -1))
                while let job = queue.tryGet() {
                    guard job.number >= 0 else { continue }
                    #expect(job.number > last)
                    last = job.number
                    break
                }
            }
        }
    }

    @Test("an item handed to a getter that waits does not pass through the order", arguments: Setting.timeless)
    func handedOver(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 10, order: .priority)
            let first = loop.spawn { try await queue.get() }
            await until { queue.statistics.waitingGetters == 1 }
            let second = loop.spawn { try await queue.get() }
            await until { queue.statistics.waitingGetters == 2 }
            for number in [9, 5, 1] { #expect(queue.tryPut(number)) }
            #expect(try await first.value == 9)
            #expect(try await second.value == 5)
            #expect(queue.tryGet() == 1)
        }
    }

    @Test(
        "what a putter that waits brings takes its place in the order when there is room", arguments: [true, false],
        Setting.timeless)
    func admitted(lifo: Bool, setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 2, order: lifo ? .lifo : .priority)
            for number in [4, 5] { try await queue.put(number) }
            for (index, number) in [1, 6].enumerated() {
                loop.spawn { try await queue.put(number) }
                await until { queue.statistics.waitingPutters == index + 1 }
            }
            #expect(try await queue.get(upTo: 4) == (lifo ? [5, 1, 6, 4] : [4, 1, 5, 6]))
        }
    }

    @Test("a finished queue gives the rest in its order", arguments: Setting.timeless)
    func finished(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ async throws in
            let queue = AsyncQueue<Int>(capacity: 10, order: .priority { $0 > $1 })
            for number in [1, 3, 2] { try await queue.put(number) }
            queue.finish()
            var items: [Int] = []
            for try await item in queue { items.append(item) }
            #expect(items == [3, 2, 1])
        }
    }

    @Test("what was put and taken lives as long as somebody has it, in whatever order", arguments: [0, 1, 2])
    func references(kind: Int) async throws {
        let orders: [QueueOrder<Mortal>] = [.fifo, .lifo, .priority { $0.number < $1.number }]
        let queue = AsyncQueue<Mortal>(capacity: 100, order: orders[kind])
        let ended = Log<Int>()
        // Never empty, so that the ring turns and grows.
        for number in 0..<50 {
            try await queue.put(Mortal(2 * number) { ended.add($0) })
            try await queue.put(Mortal(2 * number + 1) { ended.add($0) })
            #expect(ended.all.count == number)
            let item = try await queue.next()
            #expect(ended.all.count == number)
            withExtendedLifetime(item) {}
        }
        while let item = queue.tryGet() { withExtendedLifetime(item) {} }
        #expect(ended.all.sorted() == Array(0..<100))
    }

    @Test("the end of an item that nobody keeps may ask for the queue", arguments: [0, 1, 2])
    func endsThatAsk(kind: Int) async throws {
        let orders: [QueueOrder<Mortal>] = [.fifo, .lifo, .priority { $0.number < $1.number }]
        let queue = AsyncQueue<Mortal>(capacity: 10, order: orders[kind])
        let counts = Log<Int>()
        for number in 0..<3 { try await queue.put(Mortal(number) { _ in counts.add(queue.count) }) }
        for _ in 0..<3 { _ = try await queue.next() }
        #expect(counts.all == [2, 1, 0])
    }

    @Test("a cancelled queue drops its items in whatever order, each once", arguments: [0, 1, 2])
    func dropped(kind: Int) {
        let ended = Log<Int>()
        let orders: [QueueOrder<Mortal>] = [.fifo, .lifo, .priority { $0.number < $1.number }]
        let queue = AsyncQueue<Mortal>(capacity: .unbounded, order: orders[kind])
        for number in 0..<20 { #expect(queue.tryPut(Mortal((number * 7) % 20) { ended.add($0) })) }
        for _ in 0..<6 { _ = queue.tryGet() }
        queue.cancel()
        #expect(ended.all.sorted() == Array(0..<20))
    }
}
