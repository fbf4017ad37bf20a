import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Testing

@Suite("Cancellation at a queue loses no item and doubles none")
struct QueueCancellationTests {
    @Test("a task that is cancelled already takes nothing, although there is something", arguments: Setting.timeless)
    func cancelledBefore(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 2)
            try await queue.put(1)
            let getter = loop.spawn { try await queue.get() }
            getter.cancel()
            #expect(await getter.queueEnding == .cancelled)
            let putter = loop.spawn {
                try await queue.put(2); return true
            }
            putter.cancel()
            #expect(await putter.queueEnding == .cancelled)
            let joiner = loop.spawn {
                try await queue.join(); return true
            }
            joiner.cancel()
            #expect(await joiner.queueEnding == .cancelled)
            #expect(queue.count == 1 && queue.tryGet() == 1)
        }
    }

    @Test("a cancelled task may still use what does not suspend", arguments: Setting.timeless)
    func tryAfterCancel(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 1)
            let task = loop.spawn { queue.tryPut(1) && queue.tryGet() == 1 }
            task.cancel()
            #expect(try await task.value)
        }
    }

    @Test(
        "a getter cancelled while it waits leaves the queue, and the next item goes to the next getter",
        arguments: Setting.timeless)
    func getterWaits(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 2)
            var getters: [BackgroundTask<Int>] = []
            for number in 1...3 {
                getters.append(loop.spawn { try await queue.get() })
                await until { queue.statistics.waitingGetters == number }
            }
            getters[0].cancel()
            getters[1].cancel()
            #expect(queue.statistics.waitingGetters == 1)
            try await queue.put(1)
            #expect(await getters[0].queueEnding == .cancelled)
            #expect(await getters[1].queueEnding == .cancelled)
            #expect(await getters[2].queueEnding == .value(1))
        }
    }

    @Test("a putter cancelled while it waits takes its item back", arguments: Setting.timeless)
    func putterWaits(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let ended = Log<Int>()
            let queue = AsyncQueue<Mortal>(capacity: 1)
            try await queue.put(Mortal(0) { ended.add($0) })
            var putters: [BackgroundTask<Bool>] = []
            for number in 1...3 {
                putters.append(
                    loop.spawn {
                        try await queue.put(Mortal(number) { ended.add($0) }); return true
                    })
                await until { queue.statistics.waitingPutters == number }
            }
            putters[1].cancel()
            #expect(await putters[1].queueEnding == .cancelled)
            #expect(ended.all == [2])
            var numbers: [Int] = []
            while let item = queue.tryGet() { numbers.append(item.number) }
            #expect(numbers == [0, 1, 3])
            #expect(await putters[0].queueEnding == .value(true))
            #expect(await putters[2].queueEnding == .value(true))
        }
    }

    @Test("a getter that was handed an item before its cancellation has it", arguments: Setting.timeless)
    func handedThenCancelled(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 2)
            let getter = loop.spawn { try await queue.get() }
            await until { queue.statistics.waitingGetters == 1 }
            // One tick: the getter runs after both.
            #expect(queue.tryPut(1))
            getter.cancel()
            #expect(await getter.queueEnding == .value(1))
            #expect(queue.isEmpty)
        }
    }

    @Test(
        "an item that comes after the cancellation, in the same tick, stays in the queue", arguments: Setting.timeless)
    func cancelledThenHanded(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 2)
            let getter = loop.spawn { try await queue.get() }
            await until { queue.statistics.waitingGetters == 1 }
            getter.cancel()
            #expect(queue.tryPut(1))
            #expect(await getter.queueEnding == .cancelled)
            #expect(queue.tryGet() == 1)
        }
    }

    @Test("a putter whose item was taken in before its cancellation has put it", arguments: Setting.timeless)
    func admittedThenCancelled(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 1)
            try await queue.put(1)
            let putter = loop.spawn {
                try await queue.put(2); return true
            }
            await until { queue.statistics.waitingPutters == 1 }
            #expect(queue.tryGet() == 1)
            putter.cancel()
            #expect(await putter.queueEnding == .value(true))
            #expect(queue.tryGet() == 2 && queue.tryGet() == nil)
        }
    }

    @Test(
        "room that comes after the cancellation, in the same tick, goes to the next putter", arguments: Setting.timeless
    )
    func cancelledThenRoom(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 1)
            try await queue.put(1)
            var putters: [BackgroundTask<Bool>] = []
            for number in 2...3 {
                putters.append(
                    loop.spawn {
                        try await queue.put(number); return true
                    })
                await until { queue.statistics.waitingPutters == number - 1 }
            }
            putters[0].cancel()
            #expect(queue.tryGet() == 1)
            #expect(await putters[0].queueEnding == .cancelled)
            #expect(await putters[1].queueEnding == .value(true))
            #expect(queue.tryGet() == 3 && queue.tryGet() == nil)
        }
    }

    @Test(
        "a getter that is cancelled and ended in the same tick ends once", arguments: [true, false], Setting.timeless)
    func cancelAndFinish(cancelFirst: Bool, setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 1)
            let getter = loop.spawn { try await queue.get() }
            await until { queue.statistics.waitingGetters == 1 }
            if cancelFirst { getter.cancel() }
            queue.finish()
            if !cancelFirst { getter.cancel() }
            #expect(await getter.queueEnding == (cancelFirst ? .cancelled : .closed(.finished)))
        }
    }

    @Test("get(upTo:) that is cancelled while it waits takes nothing", arguments: Setting.timeless)
    func cancelledMany(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 5)
            let getter = loop.spawn { try await queue.get(upTo: 3) }
            await until { queue.statistics.waitingGetters == 1 }
            getter.cancel()
            for number in 0..<3 { #expect(queue.tryPut(number)) }
            #expect(await getter.queueEnding == .cancelled)
            #expect(queue.count == 3)
        }
    }

    @Test(
        "every getter cancelled in one tick, then one item: it waits for the next who comes",
        arguments: Setting.timeless)
    func allCancelled(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 5)
            let getters = (0..<50).map { _ in loop.spawn { try await queue.get() } }
            await until { queue.statistics.waitingGetters == 50 }
            for getter in getters.shuffled() { getter.cancel() }
            #expect(queue.tryPut(1) && queue.count == 1)
            for getter in getters { #expect(await getter.queueEnding == .cancelled) }
            #expect(try await queue.get() == 1)
        }
    }

    @Test("a cancelled task that tries again and again does not keep the loop", arguments: Setting.timeless)
    func triesAgain(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 1)
            let stop = Gate()
            let stubborn = loop.spawn {
                var tries = 0
                while !stop.isOpen {
                    _ = try? await queue.put(1)
                    tries += 1
                }
                return tries
            }
            stubborn.cancel()
            loop.callSoon { stop.open() }
            #expect(try await stubborn.value > 0)
            #expect(queue.isEmpty)
        }
    }

    @Test("a task that never has to wait takes turns with the others", arguments: Setting.timeless)
    func takesTurns(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let queue = AsyncQueue<Int>(capacity: 1)
            let stop = Gate()
            let busy = loop.spawn {
                while !stop.isOpen {
                    try await queue.put(1)
                    _ = try await queue.get()
                }
            }
            loop.spawn { stop.open() }
            try await busy.value
        }
    }

    @Test(
        "cancelled from another thread at any moment, a getter has the item or the queue has it",
        arguments: Setting.onLoop)
    func acrossThreads(setting: Setting) async throws {
        try await withLoop(setting) { loop async throws in
            for _ in 0..<300 {
                let queue = AsyncQueue<Int>(capacity: 1)
                let getter = loop.spawn { try await queue.get() }
                await until { queue.statistics.waitingGetters == 1 }
                async let cancelled: Void = loop.offload { getter.cancel() }
                #expect(queue.tryPut(1))
                try await cancelled
                let ending = await getter.queueEnding
                #expect(ending == .value(1) && queue.isEmpty || ending == .cancelled && queue.count == 1)
            }
        }
    }

    @Test("a task that is cancelled in the moment in which its loop closes does not wait for ever")
    func loopCloses() async throws {
        let tasks = Log<Task<Int, any Error>>()
        try await Guest.run(.guest(grace: .milliseconds(1), errors: Errors())) { loop in
            let queue = AsyncQueue<Int>(capacity: 1, sharing: .withinLoop)
            let task = Task<Int, any Error>.detached(executorPreference: loop) { try await queue.get() }
            tasks.add(task)
            await until { queue.statistics.waitingGetters == 1 }
            // From another thread, and the loop does not look into its inbox again.
            let isCancelled = Gate()
            let thread = try SystemThread.start(name: "canceller") {
                task.cancel()
                isCancelled.open()
            }
            isCancelled.block()
            thread.detach()
        }
        for task in tasks.all {
            await #expect(throws: CancellationError.self) {
                try await Watchdog.watch("cancelled while the loop closes") { try await task.value }
            }
        }
    }
}
