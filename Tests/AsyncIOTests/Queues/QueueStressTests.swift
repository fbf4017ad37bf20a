import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Testing

/// Four threads that put, take and cancel each other at random. At the end every item is accounted for.
@Suite("Many threads at one queue", .timeLimit(.minutes(20)))
struct QueueStressTests {
    /// What the tasks report, and which of them can be cancelled by whom.
    private final class Ledger: Sendable {
        private struct State {
            var put: [Int] = []
            var got: [Int] = []
            var ended = 0
            var victims: [BackgroundTask<Void>] = []
        }

        private let state = Condition(State())

        func hasPut(_ item: Int) { state.withLock { $0.put.append(item) } }
        func hasGot(_ item: Int) { state.withLock { $0.got.append(item) } }
        func hasEnded() { state.withLock { $0.ended += 1 } }

        /// Offers a task as a victim and takes another one in exchange.
        func exchange(_ task: BackgroundTask<Void>, _ pick: UInt64) -> BackgroundTask<Void>? {
            state.withLock { state in
                guard state.victims.count >= 16 else {
                    state.victims.append(task)
                    return nil
                }
                let index = Int(pick % 16)
                defer { state.victims[index] = task }
                return state.victims[index]
            }
        }

        var put: [Int] { state.withLock { $0.put.sorted() } }
        var got: [Int] { state.withLock { $0.got.sorted() } }
        var ended: Int { state.withLock { $0.ended } }
    }

    private static func threads(_ body: @escaping @Sendable (Int, EventLoop) async throws -> Void) async throws {
        let threads = try (0..<4).map { _ in try LoopThread(options: .guest(name: "stress")) }
        let tasks = threads.enumerated().map { index, thread in thread.loop.spawn { try await body(index, thread.loop) }
        }
        for task in tasks { try await task.value }
        for thread in threads { await thread.shutdown() }
    }

    @Test("put, get and cancel at random: no item is lost and none comes twice", arguments: [1, 3, 64])
    func queue(capacity: Int) async throws {
        var random = Randomness()
        let note = random.note
        let seeds = (0..<4).map { _ in random.next() }
        let ledger = Ledger()
        let queue = AsyncQueue<Int>(capacity: QueueCapacity(capacity))
        try await Self.threads { thread, loop async throws in
            var random = Randomness(seed: seeds[thread])
            var running: [BackgroundTask<Void>] = []
            for number in 0..<Stress.items / 4 {
                let item = number * 4 + thread
                let isPutter = Bool.random(using: &random)
                let task = loop.spawn {
                    if isPutter {
                        try await queue.put(item)
                        ledger.hasPut(item)
                    } else {
                        ledger.hasGot(try await queue.get())
                    }
                }
                running.append(task)
                if Bool.random(using: &random) { ledger.exchange(task, random.next())?.cancel() }
                if number % 8 == 0 { await Task.yield() }
                guard running.count >= 64 else { continue }
                // Whoever still waits then has had its chance.
                for _ in 0..<4 { await Task.yield() }
                for task in running { task.cancel() }
                for task in running { _ = try? await task.value }
                running = []
            }
            for task in running { task.cancel() }
            for task in running { _ = try? await task.value }
        }
        while let item = queue.tryGet() { ledger.hasGot(item) }
        #expect(ledger.put == ledger.got, "\(note)")
        #expect(!ledger.put.isEmpty && queue.waitingTasks.isEmpty, "\(note)")
        #expect(queue.statistics.put == ledger.put.count, "\(note)")
    }

    @Test("finished, cancelled and asked from several threads at once, a queue ends once")
    func ends() async throws {
        let ended = Counter()
        let rounds = Stress.items / 40
        for _ in 0..<rounds {
            let queue = AsyncQueue<Mortal>(capacity: 4, order: .priority { $0.number < $1.number })
            for number in 0..<3 { #expect(queue.tryPut(Mortal(number) { _ in ended.add() })) }
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<4 {
                    group.addTask {
                        if number == 0 {
                            queue.finish()
                        } else if number == 1 {
                            _ = queue.tryGet()
                        } else {
                            queue.cancel()
                        }
                    }
                }
            }
            #expect(queue.isEmpty && queue.isClosed)
        }
        #expect(ended.value == 3 * rounds)
    }

    @Test("a channel whose ends go at any moment: every item ends once, and nobody waits for ever")
    func channel() async throws {
        var random = Randomness()
        let seeds = (0..<4).map { _ in random.next() }
        let ledger = Ledger()
        let made = Counter()
        let note = random.note
        try await Self.threads { thread, loop async throws in
            var random = Randomness(seed: seeds[thread])
            for _ in 0..<Stress.items / 400 {
                var tasks: [BackgroundTask<Void>] = []
                do {
                    let (sender, receiver) = Channel<Mortal>.make(capacity: 2)
                    for number in 0..<5 {
                        tasks.append(
                            loop.spawn {
                                made.add()
                                try await sender.send(Mortal(number) { _ in ledger.hasEnded() })
                            })
                    }
                    let limit = Int.random(in: 0...6, using: &random)
                    tasks.append(
                        loop.spawn {
                            for _ in 0..<limit { _ = try await receiver.next() }
                        })
                }
                let pick = random.next()
                for task in tasks where pick & 3 == 0 { ledger.exchange(task, pick >> 2)?.cancel() }
                for task in tasks { _ = try? await task.value }
            }
        }
        #expect(ledger.ended == made.value && made.value > 0, "\(note)")
    }

    @Test("a broadcast, with listeners that come and go: each sees a part of the sequence without a hole untold")
    func broadcast() async throws {
        var random = Randomness()
        let seeds = (0..<4).map { _ in random.next() }
        let note = random.note
        let news = Broadcast<Int>(capacity: 8)
        let wrong = Counter()
        let isOver = Gate()
        try await Self.threads { thread, loop async throws in
            var random = Randomness(seed: seeds[thread])
            if thread == 0 {
                for number in 0..<Stress.items {
                    news.send(number)
                    if number % 16 == 0 { await Task.yield() }
                }
                isOver.open()
                return news.finish()
            }
            while !isOver.isOpen {
                let subscription = news.subscribe()
                let limit = Int.random(in: 1...100, using: &random)
                let listener = loop.spawn {
                    var expected: Int?
                    for _ in 0..<limit {
                        do {
                            guard let item = try await subscription.next() else { return }
                            if let expected, expected != item { wrong.add() }
                            expected = item + 1
                        } catch let error as LaggedError {
                            expected = expected.map { $0 + Int(error.missed) }
                        }
                    }
                }
                if Int.random(in: 0..<4, using: &random) == 0 { listener.cancel() }
                _ = try? await listener.value
            }
        }
        #expect(wrong.value == 0 && news.subscribers == 0 && news.statistics.kept == 0, "\(note)")
    }

    @Test("a watch, set from several threads: who follows sees values grow, and the last one")
    func watch() async throws {
        let count = Stress.items / 4
        let watch = Watch(0)
        try await Self.threads { thread, loop async throws in
            let follower = loop.spawn {
                var last = -1
                for try await value in watch.subscribe() {
                    guard value > last else { return false }
                    last = value
                    if value == 3 * count { return true }
                }
                return false
            }
            if thread > 0 {
                for number in 0..<count {
                    watch.update { $0 += 1 }
                    if number % 32 == 0 { await Task.yield() }
                }
            }
            #expect(try await follower.value)
        }
    }

    @Test("a rate limiter asked and left from several threads uses up what it granted, and nobody waits for ever")
    func rate() async throws {
        var random = Randomness()
        let note = random.note
        let seeds = (0..<4).map { _ in random.next() }
        let limiter = RateLimiter(permits: 100_000, per: .seconds(1), burst: 4)
        let granted = Counter()
        try await Self.threads { thread, loop async throws in
            var random = Randomness(seed: seeds[thread])
            for _ in 0..<Stress.items / 80 {
                let counts = (0..<4).map { _ in Int.random(in: 1...4, using: &random) }
                let tasks = counts.map { count in
                    loop.spawn {
                        try await limiter.acquire(count)
                        granted.add(count)
                    }
                }
                await Task.yield()
                for task in tasks where Bool.random(using: &random) { task.cancel() }
                for task in tasks { _ = try? await task.value }
            }
        }
        #expect(limiter.statistics.used == granted.value && limiter.waitingTasks.isEmpty, "\(note)")
    }
}
