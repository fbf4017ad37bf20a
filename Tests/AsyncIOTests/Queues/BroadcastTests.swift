import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import Testing

/// What tokio tests of `broadcast`.
@Suite("A broadcast to everybody who listens")
struct BroadcastTests {
    @Test("every subscription gets every item, in order", arguments: Setting.timeless)
    func everybody(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ async throws in
            let news = Broadcast<Int>(capacity: 16)
            let subscriptions = (0..<3).map { _ in news.subscribe() }
            for number in 0..<10 { #expect(news.send(number) == 3) }
            for subscription in subscriptions {
                #expect(subscription.count == 10)
                for number in 0..<10 { #expect(try await subscription.next() == number) }
                #expect(try subscription.tryNext() == nil)
            }
        }
    }

    @Test("a subscription gets what is sent after it began, not before")
    func after() throws {
        let news = Broadcast<Int>(capacity: 16)
        let early = news.subscribe()
        news.send(1)
        let late = news.subscribe()
        news.send(2)
        #expect(try [early.tryNext(), early.tryNext(), early.tryNext()] == [1, 2, nil])
        #expect(try [late.tryNext(), late.tryNext()] == [2, nil])
    }

    @Test("an item that nobody listens to is gone")
    func nobody() throws {
        let ended = Log<Int>()
        let news = Broadcast<Mortal>(capacity: 2, name: "news")
        #expect(news.send(Mortal(1) { ended.add($0) }) == 0)
        #expect(ended.all == [1])
        let subscription = news.subscribe()
        #expect(try subscription.tryNext() == nil)
        #expect(news.send(Mortal(2) { ended.add($0) }) == 1)
        #expect(try subscription.tryNext()?.number == 2)
        #expect("\(news)" == "Broadcast(news, 1 subscribers)")
        #expect("\(subscription)" == "Broadcast.Subscription(news, 0 items behind)")
    }

    @Test("all who wait for the next item get it", arguments: Setting.timeless)
    func wakes(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let news = Broadcast<Int>(capacity: 1)
            let listeners = (0..<5).map { _ in
                let subscription = news.subscribe()
                return loop.spawn { try await subscription.next() }
            }
            await until { news.waitingTasks.count == 5 }
            #expect(news.send(7) == 5)
            for listener in listeners { #expect(await listener.queueEnding == .value(7)) }
            #expect(news.statistics.waits == 5)
        }
    }

    @Test(
        "who lags behind by more than the capacity is told once how much it missed, and goes on with the oldest kept",
        arguments: Setting.timeless)
    func lagged(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ async throws in
            let news = Broadcast<Int>(capacity: 2, name: "news")
            let slow = news.subscribe()
            let fast = news.subscribe()
            for number in 0..<5 {
                news.send(number)
                #expect(try fast.tryNext() == number)
            }
            let error = await #expect(throws: LaggedError.self) { try await slow.next() }
            #expect(error == LaggedError(subject: "news", missed: 3))
            #expect(error.map { "\($0)" }?.hasPrefix("a subscription to news missed 3 items") == true)
            #expect(try await slow.next() == 3)
            #expect(try await slow.next() == 4)
            #expect(try slow.tryNext() == nil)
            #expect(slow.missed == 3 && fast.missed == 0 && news.statistics.missed == 3)
        }
    }

    @Test("a subscription that fills the capacity exactly misses nothing")
    func exactly() throws {
        for capacity in [1, 2, 3, 5, 8] {
            let news = Broadcast<Int>(capacity: capacity)
            let subscription = news.subscribe()
            for number in 0..<capacity { news.send(number) }
            for number in 0..<capacity { #expect(try subscription.tryNext() == number) }
            for number in 0...capacity { news.send(number) }
            #expect(throws: LaggedError(subject: "broadcast", missed: 1)) { try subscription.tryNext() }
            for number in 1...capacity { #expect(try subscription.tryNext() == number) }
        }
    }

    @Test("each gap is told anew, with what was missed since")
    func gaps() throws {
        let news = Broadcast<Int>(capacity: 1)
        let subscription = news.subscribe()
        for _ in 0..<3 { news.send(0) }
        #expect(throws: LaggedError(subject: "broadcast", missed: 2)) { try subscription.tryNext() }
        // The oldest that was kept goes as well before it is taken.
        for number in 1...2 { news.send(number) }
        #expect(throws: LaggedError(subject: "broadcast", missed: 2)) { try subscription.tryNext() }
        #expect(try subscription.tryNext() == 2)
    }

    @Test("a subscription that skips goes on without an error and counts", arguments: Setting.timeless)
    func skips(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ async throws in
            let news = Broadcast<Int>(capacity: 2)
            let subscription = news.subscribe(lagging: .skips)
            for number in 0..<10 { news.send(number) }
            news.finish()
            var items: [Int] = []
            for try await item in subscription { items.append(item) }
            #expect(items == [8, 9] && subscription.missed == 8)
        }
    }

    @Test("the error ends a loop, not the subscription: the next loop goes on", arguments: Setting.timeless)
    func loopsAgain(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ async throws in
            let news = Broadcast<Int>(capacity: 2)
            let subscription = news.subscribe()
            for number in 0..<3 { news.send(number) }
            news.finish()
            var items: [Int] = []
            await #expect(throws: LaggedError.self) { for try await item in subscription { items.append(item) } }
            for try await item in subscription { items.append(item) }
            #expect(items == [1, 2])
        }
    }

    @Test("who sends never waits, however slow the others are")
    func neverWaits() throws {
        let news = Broadcast<Int>(capacity: 4)
        let subscription = news.subscribe()
        for number in 0..<100_000 { news.send(number) }
        #expect(throws: LaggedError(subject: "broadcast", missed: 99_996)) { try subscription.tryNext() }
    }

    @Test(
        "after finish, what is kept can be taken, then comes the end; nothing more is sent", arguments: Setting.timeless
    )
    func finish(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let news = Broadcast<Int>(capacity: 4)
            let subscription = news.subscribe()
            let waiting = news.subscribe()
            news.send(1)
            #expect(try await waiting.next() == 1)
            let waiter = loop.spawn { try await waiting.next() }
            await until { news.waitingTasks.count == 1 }
            news.finish()
            news.finish()
            #expect(news.send(2) == 0)
            #expect(await waiter.queueEnding == .value(nil))
            #expect(try await subscription.next() == 1)
            #expect(try await subscription.next() == nil)
            #expect(try await news.subscribe().next() == nil)
        }
    }

    @Test("when the broadcast goes, it finishes", arguments: Setting.timeless)
    func goes(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let subscription = {
                let news = Broadcast<Int>(capacity: 4)
                let subscription = news.subscribe()
                news.send(1)
                return subscription
            }()
            #expect(try await subscription.next() == 1)
            #expect(try await subscription.next() == nil)
        }
    }

    @Test("an item ends when the last subscription has taken it or is gone")
    func ends() throws {
        let ended = Log<Int>()
        let news = Broadcast<Mortal>(capacity: 4)
        let first = news.subscribe()
        var others: [Broadcast<Mortal>.Subscription] = [news.subscribe(), news.subscribe()]
        for number in 0..<3 { news.send(Mortal(number) { ended.add($0) }) }
        #expect(try first.tryNext()?.number == 0)
        #expect(try others[0].tryNext()?.number == 0)
        #expect(ended.all == [])
        #expect(try others[1].tryNext()?.number == 0)
        #expect(ended.all == [0])
        for _ in 1..<3 { _ = try first.tryNext() }
        #expect(ended.all == [0])
        others.removeAll()
        #expect(ended.all == [0, 1, 2] && news.statistics.kept == 0 && news.subscribers == 1)
    }

    @Test("an item that is pushed out ends outside of the lock, and so does what a subscription leaves behind")
    func endsOutside() {
        let ended = Log<Int>()
        let news = Broadcast<Mortal>(capacity: 1)
        var subscriptions = [news.subscribe()]
        for number in 0..<3 {
            news.send(
                Mortal(number) { [weak news] number in
                    ended.add(number * 10 + (news?.subscribers ?? 9))
                })
        }
        // Swift lets go of what is not used any more.
        withExtendedLifetime(subscriptions) { #expect(ended.all == [1, 11]) }
        subscriptions.removeAll()
        #expect(ended.all == [1, 11, 20])
    }

    @Test("a listener that is cancelled while it waits misses nothing of what comes later", arguments: Setting.timeless)
    func cancelled(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let news = Broadcast<Int>(capacity: 4)
            let subscription = news.subscribe()
            let listener = loop.spawn { try await subscription.next() }
            await until { news.waitingTasks.count == 1 }
            listener.cancel()
            news.send(1)
            #expect(await listener.queueEnding == .cancelled)
            #expect(try await subscription.next() == 1)
        }
    }

    @Test("a listener for whom an item came before its cancellation has it", arguments: Setting.timeless)
    func newsThenCancelled(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let news = Broadcast<Int>(capacity: 4)
            let subscription = news.subscribe()
            let listener = loop.spawn { try await subscription.next() }
            await until { news.waitingTasks.count == 1 }
            news.send(1)
            listener.cancel()
            #expect(await listener.queueEnding == .value(1))
            #expect(try subscription.tryNext() == nil)
        }
    }

    @Test("a task that is cancelled already takes nothing", arguments: Setting.timeless)
    func cancelledBefore(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let news = Broadcast<Int>(capacity: 4)
            let subscription = news.subscribe()
            news.send(1)
            let listener = loop.spawn { try await subscription.next() }
            listener.cancel()
            #expect(await listener.queueEnding == .cancelled)
            #expect(try subscription.tryNext() == 1)
        }
    }

    @Test("tasks that share a subscription share its items", arguments: Setting.timeless)
    func shared(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let news = Broadcast<Int>(capacity: 100)
            let subscription = news.subscribe()
            let listeners = (0..<4).map { _ in
                loop.spawn {
                    var items: [Int] = []
                    for try await item in subscription {
                        items.append(item)
                        await Task.yield()
                    }
                    return items
                }
            }
            await until { news.waitingTasks.count == 4 }
            for number in 0..<100 { news.send(number) }
            news.finish()
            var all: [Int] = []
            for listener in listeners { all += try await listener.value }
            #expect(all.sorted() == Array(0..<100))
        }
    }

    @Test(
        "listeners on other threads get everything that they are told they did not miss", arguments: Setting.onRealLoop)
    func acrossThreads(setting: Setting) async throws {
        try await withLoop(setting) { loop async throws in
            let threads = try (0..<2).map { _ in try LoopThread() }
            let news = Broadcast<Int>(capacity: 8)
            let listeners = threads.map { thread in
                let subscription = news.subscribe()
                return thread.loop.spawn {
                    var (seen, missed, last) = (0, 0, -1)
                    while true {
                        do {
                            guard let item = try await subscription.next() else { return seen + missed }
                            guard item > last else { return -1 }
                            last = item
                            seen += 1
                        } catch let error as LaggedError {
                            missed += Int(error.missed)
                        }
                    }
                }
            }
            for number in 0..<5000 {
                news.send(number)
                if number % 50 == 0 { await Task.yield() }
            }
            news.finish()
            for listener in listeners { #expect(try await listener.value == 5000) }
            for thread in threads { await thread.shutdown() }
        }
    }

    @Test("a broadcast that keeps nothing is a mistake that says so")
    func noRoom() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Broadcast<Int>(capacity: 0)
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("let it keep at least one"))
    }
}
