import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import Testing

/// What tokio tests of `watch`.
@Suite("A value that is watched")
struct WatchTests {
    @Test("a subscription gives the value now, then the newest after each change", arguments: Setting.timeless)
    func follows(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let watch = Watch(1)
            let subscription = watch.subscribe()
            #expect(subscription.hasChanged)
            #expect(try await subscription.next() == 1)
            #expect(!subscription.hasChanged)
            let waiter = loop.spawn { try await subscription.next() }
            await until { watch.waitingTasks.count == 1 }
            #expect(watch.set(2))
            #expect(await waiter.queueEnding == .value(2))
        }
    }

    @Test("values in between are skipped", arguments: Setting.timeless)
    func skips(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ async throws in
            let watch = Watch(0)
            let subscription = watch.subscribe()
            #expect(try await subscription.next() == 0)
            for number in 1...10 { watch.set(number) }
            #expect(try await subscription.next() == 10)
            #expect(!subscription.hasChanged && subscription.value == 10 && watch.value == 10)
        }
    }

    @Test("setting the same value is a change as well", arguments: Setting.timeless)
    func same(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ async throws in
            let watch = Watch("a", name: "letter")
            let subscription = watch.subscribe()
            #expect(try await subscription.next() == "a")
            watch.set("a")
            #expect(subscription.hasChanged)
            #expect(try await subscription.next() == "a")
            #expect("\(watch)" == "Watch(letter, 1 changes)" && "\(subscription)" == "Watch.Subscription(letter)")
        }
    }

    @Test("update changes the value where it stands, and returns what the body returns")
    func update() throws {
        struct Refused: Error {}
        let watch = Watch([1])
        let count = watch.update { value in
            value.append(2)
            return value.count
        }
        #expect(count == 2 && watch.value == [1, 2] && watch.statistics.changes == 1)
        #expect(throws: Refused.self) {
            try watch.update { value in
                value.append(3)
                throw Refused()
            }
        }
        #expect(watch.value == [1, 2] && watch.statistics.changes == 1)
    }

    @Test("an update that another change overtakes runs again: neither is lost")
    func overtaken() {
        let watch = Watch(1)
        let runs = Counter()
        watch.update { value in
            // What a thread would do at the worst moment.
            if runs.add() == 1 { watch.set(10) }
            value += 1
        }
        #expect(runs.value == 2 && watch.value == 11)
    }

    @Test("the body of an update may read the watch: it runs under no lock")
    func reads() {
        let watch = Watch(1)
        watch.update { $0 = watch.value + 1 }
        #expect(watch.value == 2)
    }

    @Test("all who follow get the news", arguments: Setting.timeless)
    func everybody(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let watch = Watch(0)
            let followers = (0..<5).map { _ in
                let subscription = watch.subscribe()
                return loop.spawn { [try await subscription.next(), try await subscription.next()] }
            }
            await until { watch.waitingTasks.count == 5 }
            watch.set(1)
            for follower in followers { #expect(await follower.queueEnding == .value([0, 1])) }
            #expect(watch.statistics.waits == 5)
        }
    }

    @Test(
        "wait(until:) returns the value that fulfils the condition, at once if it does now", arguments: Setting.timeless
    )
    func waits(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let watch = Watch(0)
            #expect(try await watch.wait { $0 == 0 } == 0)
            let waiter = loop.spawn { try await watch.wait { $0 > 3 } }
            let other = loop.spawn { try await watch.subscribe().wait { $0 > 5 } }
            for number in 1...6 {
                await until { watch.waitingTasks.count == (number <= 4 ? 2 : 1) }
                watch.set(number)
            }
            #expect(await waiter.queueEnding == .value(4))
            #expect(await other.queueEnding == .value(6))
        }
    }

    @Test("a condition that throws ends the waiting with its error", arguments: Setting.timeless)
    func conditionThrows(setting: Setting) async throws {
        struct Unwanted: Error {}
        try await withVirtualTime(setting) { loop async throws in
            let watch = Watch(0)
            let waiter = loop.spawn { try await watch.wait { if $0 == 1 { throw Unwanted() } else { false } } }
            await until { watch.waitingTasks.count == 1 }
            watch.set(1)
            #expect(await waiter.queueEnding == .failed("Unwanted"))
        }
    }

    @Test("after finish, a subscription gives the last value if it has not, then ends", arguments: Setting.timeless)
    func finish(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let watch = Watch(1)
            let fresh = watch.subscribe()
            let waiting = watch.subscribe()
            #expect(try await waiting.next() == 1)
            let waiter = loop.spawn { try await waiting.next() }
            await until { watch.waitingTasks.count == 1 }
            watch.finish()
            #expect(watch.isFinished)
            #expect(await waiter.queueEnding == .value(nil))
            #expect(try await fresh.next() == 1)
            #expect(try await fresh.next() == nil)
        }
    }

    @Test("a finished watch keeps its value")
    func keeps() {
        let ended = Log<Int>()
        let watch = Watch(Mortal(1) { ended.add($0) })
        watch.finish()
        watch.finish()
        #expect(!watch.set(Mortal(2) { ended.add($0) }))
        watch.update { $0 = Mortal(3) { ended.add($0) } }
        #expect(watch.value.number == 1 && ended.all == [2, 3])
    }

    @Test(
        "who waits for a condition when the watch finishes gets the error, unless the last value fulfils it",
        arguments: Setting.timeless)
    func finishWhileWaiting(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let watch = Watch(1)
            let waiter = loop.spawn { try await watch.wait { $0 == 2 } }
            await until { watch.waitingTasks.count == 1 }
            watch.finish()
            #expect(await waiter.queueEnding == .closed(.finished))
            #expect(await QueueEnding { try await watch.wait { $0 == 2 } } == .closed(.finished))
            #expect(try await watch.wait { $0 == 1 } == 1)
        }
    }

    @Test("a value that fulfils the condition just before the end is seen", arguments: Setting.timeless)
    func setAndFinish(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let watch = Watch(1)
            let waiter = loop.spawn { try await watch.wait { $0 == 2 } }
            let follower = loop.spawn {
                var values: [Int] = []
                for try await value in watch.subscribe() { values.append(value) }
                return values
            }
            await until { watch.waitingTasks.count == 2 }
            watch.set(2)
            watch.finish()
            #expect(await waiter.queueEnding == .value(2))
            #expect(await follower.queueEnding == .value([1, 2]))
        }
    }

    @Test("when the watch goes, it finishes", arguments: Setting.timeless)
    func goes(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ async throws in
            let subscription = Watch(3).subscribe()
            #expect(try await subscription.next() == 3)
            #expect(try await subscription.next() == nil)
            #expect(subscription.value == 3)
        }
    }

    @Test("an old value ends outside of the lock: its end may ask the watch")
    func endsOutside() {
        let seen = Log<Int>()
        let watch = Watch<Mortal?>(nil)
        watch.set(Mortal(1) { [weak watch] number in seen.add(number + (watch?.value?.number ?? 0)) })
        watch.set(Mortal(20) { _ in })
        #expect(seen.all == [21])
    }

    @Test("a follower that is cancelled while it waits does not use the news up", arguments: Setting.timeless)
    func cancelled(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let watch = Watch(0)
            let subscription = watch.subscribe()
            #expect(try await subscription.next() == 0)
            let follower = loop.spawn { try await subscription.next() }
            await until { watch.waitingTasks.count == 1 }
            follower.cancel()
            watch.set(1)
            #expect(await follower.queueEnding == .cancelled)
            #expect(try await subscription.next() == 1)
        }
    }

    @Test("a follower that is cancelled already takes no news", arguments: Setting.timeless)
    func cancelledBefore(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let watch = Watch(0)
            let subscription = watch.subscribe()
            let follower = loop.spawn { try await subscription.next() }
            follower.cancel()
            #expect(await follower.queueEnding == .cancelled)
            #expect(subscription.hasChanged)
            let waiter = loop.spawn { try await watch.wait { $0 == 0 } }
            waiter.cancel()
            #expect(await waiter.queueEnding == .cancelled)
        }
    }

    @Test("a follower let go by news before its cancellation has the news", arguments: [true, false], Setting.timeless)
    func sameTick(newsFirst: Bool, setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let watch = Watch(0)
            let waiter = loop.spawn { try await watch.wait { $0 == 1 } }
            await until { watch.waitingTasks.count == 1 }
            if newsFirst { watch.set(1) }
            waiter.cancel()
            if !newsFirst { watch.set(1) }
            #expect(await waiter.queueEnding == (newsFirst ? .value(1) : .cancelled))
        }
    }

    @Test("updates from many threads all count, and a follower sees the last", arguments: Setting.onLoop)
    func acrossThreads(setting: Setting) async throws {
        try await withLoop(setting) { loop async throws in
            let watch = Watch(0)
            let last = loop.spawn { try await watch.wait { $0 == 4000 } }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 {
                    group.addTask { try await loop.offload { for _ in 0..<1000 { watch.update { $0 += 1 } } } }
                }
                try await group.waitForAll()
            }
            #expect(await last.queueEnding == .value(4000))
        }
    }
}
