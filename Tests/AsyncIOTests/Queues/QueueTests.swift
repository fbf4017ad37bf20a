import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import Testing

/// What asyncio documents of `Queue`, and tests in `test_queues`.
@Suite("A queue between tasks")
struct QueueTests {
    @Test("a new queue is empty, and says what it is")
    func new() {
        let queue = AsyncQueue<Int>(capacity: 3, name: "jobs")
        #expect(queue.isEmpty && !queue.isFull && !queue.isClosed && queue.count == 0)
        #expect("\(queue)" == "AsyncQueue(jobs, 0 of 3)")
        #expect("\(AsyncQueue<Int>(capacity: .unbounded))" == "AsyncQueue(queue, 0)")
        #expect(queue.statistics.put == 0 && queue.waitingTasks.isEmpty)
    }

    @Test("items leave in the order in which they came", arguments: Setting.timeless)
    func order(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ async throws in
            let queue = AsyncQueue<Int>(capacity: .unbounded)
            for number in 0..<100 { try await queue.put(number) }
            #expect(queue.count == 100)
            for number in 0..<100 { #expect(try await queue.get() == number) }
            #expect(queue.isEmpty)
        }
    }

    @Test("a queue for one item is full with one", arguments: Setting.timeless)
    func one(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 1)
            try await queue.put(1)
            #expect(queue.isFull && !queue.tryPut(2))
            let putter = loop.spawn { try await queue.put(2) }
            await until { queue.statistics.waitingPutters == 1 }
            #expect(try await queue.get() == 1)
            // The item of the one who waited is inside before anybody else can come.
            #expect(queue.isFull && queue.statistics.waitingPutters == 0 && !queue.tryPut(3))
            try await putter.value
            #expect(queue.tryGet() == 2)
        }
    }

    @Test("an unbounded queue is never full")
    func unbounded() {
        let queue = AsyncQueue<Int>(capacity: .unbounded)
        for number in 0..<1000 { #expect(queue.tryPut(number)) }
        #expect(!queue.isFull && queue.count == 1000)
    }

    @Test("tryGet of an empty queue and tryPut of a full one are declined")
    func declined() {
        let queue = AsyncQueue<Int>(capacity: 2)
        #expect(queue.tryGet() == nil)
        #expect(queue.tryPut(1) && queue.tryPut(2) && !queue.tryPut(3))
        #expect(queue.tryGet() == 1 && queue.tryGet() == 2 && queue.tryGet() == nil)
    }

    @Test("get waits for an item", arguments: Setting.timeless)
    func blockingGet(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 1)
            loop.callLater(.seconds(10)) { _ = queue.tryPut(1) }
            let start = loop.now
            #expect(try await queue.get() == 1)
            #expect(start.duration(to: loop.now) == .seconds(10))
        }
    }

    @Test("put waits for room", arguments: Setting.timeless)
    func blockingPut(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 1)
            #expect(queue.tryPut(1))
            let got = Log<Int?>()
            loop.callLater(.seconds(10)) { got.add(queue.tryGet()) }
            let start = loop.now
            try await queue.put(2)
            #expect(start.duration(to: loop.now) == .seconds(10))
            #expect(got.all == [1] && queue.tryGet() == 2)
        }
    }

    @Test("who waits for an item is served in the order of coming", arguments: Setting.timeless)
    func fairGetters(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 10)
            var getters: [BackgroundTask<Int>] = []
            for number in 0..<10 {
                getters.append(loop.spawn { try await queue.get() })
                await until { queue.statistics.waitingGetters == number + 1 }
            }
            for number in 0..<10 { try await queue.put(number) }
            for (number, getter) in getters.enumerated() { #expect(try await getter.value == number) }
        }
    }

    @Test("who waits for room is served in the order of coming", arguments: Setting.timeless)
    func fairPutters(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 1)
            #expect(queue.tryPut(-1))
            for number in 0..<10 {
                loop.spawn { try await queue.put(number) }
                await until { queue.statistics.waitingPutters == number + 1 }
            }
            for number in -1..<10 { #expect(try await queue.get() == number) }
        }
    }

    @Test("nobody overtakes a getter that waits: its item is out of reach at once", arguments: Setting.timeless)
    func handedOver(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 3)
            let getter = loop.spawn { try await queue.get() }
            await until { queue.statistics.waitingGetters == 1 }
            #expect(queue.tryPut(7))
            // The getter has not run yet.
            #expect(queue.isEmpty && queue.tryGet() == nil)
            #expect(try await getter.value == 7)
        }
    }

    @Test("a producer and a consumer take turns at one place", arguments: [1, 2, 7], Setting.timeless)
    func pingPong(capacity: Int, setting: Setting) async throws {
        let sum = try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: QueueCapacity(capacity))
            loop.spawn {
                for number in 1...1000 { try await queue.put(number) }
                queue.finish()
            }
            var sum = 0
            var last = 0
            for try await number in queue {
                #expect(number == last + 1)
                last = number
                sum += number
            }
            return sum
        }
        #expect(sum == 500_500)
    }

    @Test("several consumers that iterate share the items, and all end", arguments: Setting.timeless)
    func severalConsumers(setting: Setting) async throws {
        let taken = try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 4)
            let consumers = (0..<5).map { _ in
                loop.spawn {
                    var mine: [Int] = []
                    for try await number in queue {
                        mine.append(number)
                        await Task.yield()
                    }
                    return mine
                }
            }
            for number in 0..<500 { try await queue.put(number) }
            queue.finish()
            var all: [[Int]] = []
            for consumer in consumers { all.append(try await consumer.value) }
            return all
        }
        #expect(taken.flatMap { $0 }.sorted() == Array(0..<500))
        #expect(taken.allSatisfy { $0 == $0.sorted() && !$0.isEmpty })
    }

    @Test("get(upTo:) takes what is there and waits for the first only", arguments: Setting.timeless)
    func many(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 10)
            for number in 0..<5 { try await queue.put(number) }
            #expect(try await queue.get(upTo: 3) == [0, 1, 2])
            #expect(try await queue.get(upTo: 100) == [3, 4])
            #expect(queue.isEmpty)
            let getter = loop.spawn { try await queue.get(upTo: 100) }
            await until { queue.statistics.waitingGetters == 1 }
            #expect(queue.tryPut(5) && queue.tryPut(6))
            #expect(try await getter.value == [5, 6])
        }
    }

    @Test("get(upTo:) with a limit below one takes one", arguments: Setting.timeless)
    func atLeastOne(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ async throws in
            let queue = AsyncQueue<Int>(capacity: 10)
            for number in 0..<3 { try await queue.put(number) }
            #expect(try await queue.get(upTo: 0) == [0])
            #expect(try await queue.get(upTo: -1) == [1])
            #expect(try await queue.get(upTo: 1) == [2])
        }
    }

    @Test("get(upTo:) makes room: those who wait to put have their items taken as well", arguments: Setting.timeless)
    func manyAdmits(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 2)
            for number in 0..<6 {
                loop.spawn { try await queue.put(number) }
                await loop.settle()
            }
            #expect(queue.statistics.waitingPutters == 4)
            #expect(try await queue.get(upTo: 100) == [0, 1, 2, 3, 4, 5])
        }
    }

    @Test("statistics count what was put, who had to wait and the most that was inside", arguments: Setting.timeless)
    func statistics(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 2)
            let getter = loop.spawn { try await queue.get() }
            await until { queue.statistics.waitingGetters == 1 }
            #expect(queue.waitingTasks.count == 1)
            for number in 0..<3 { try await queue.put(number) }
            _ = try await getter.value
            let statistics = queue.statistics
            #expect(statistics.put == 3 && statistics.waits == 1 && statistics.peak == 2 && statistics.count == 2)
            #expect(statistics.unfinished == 3 && queue.waitingTasks.isEmpty)
        }
    }

    @Test("items end when they leave, and when the queue does")
    func ends() async throws {
        let ended = Log<Int>()
        do {
            let queue = AsyncQueue<Mortal>(capacity: 3)
            for number in 0..<3 { #expect(queue.tryPut(Mortal(number) { ended.add($0) })) }
            _ = queue.tryGet()
            #expect(ended.all == [0])
        }
        #expect(ended.all.sorted() == [0, 1, 2])
    }

    @Test("an item may be optional: nil inside is not the end", arguments: Setting.timeless)
    func optional(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ async throws in
            let queue = AsyncQueue<Int?>(capacity: 3)
            try await queue.put(nil)
            try await queue.put(1)
            queue.finish()
            var items: [Int?] = []
            for try await item in queue { items.append(item) }
            #expect(items == [nil, 1])
        }
    }

    @Test("a queue confined to its loop does the same without a lock", arguments: Setting.timeless)
    func withinLoop(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 1, sharing: .withinLoop)
            let putter = loop.spawn { for number in 0..<100 { try await queue.put(number) } }
            for number in 0..<100 { #expect(try await queue.get() == number) }
            try await putter.value
            let waiter = loop.spawn { try await queue.get() }
            await until { queue.statistics.waitingGetters == 1 }
            waiter.cancel()
            #expect(await waiter.queueEnding == .cancelled)
        }
    }

    @Test("a queue without room is a mistake that says so")
    func noRoom() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = AsyncQueue<Int>(capacity: 0)
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("give it room for at least one, or .unbounded"))
    }
}
