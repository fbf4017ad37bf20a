import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import Testing

/// What asyncio documents of `Future`, and tokio tests of `oneshot`.
@Suite("A promise of one value")
struct PromiseTests {
    struct Broken: Error {}

    @Test("who asks before the value comes waits for it, who asks later has it at once", arguments: Setting.timeless)
    func value(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (promise, resolver) = Promise<Int>.make()
            #expect(!promise.isFulfilled && !resolver.isFulfilled && promise.result == nil)
            loop.callLater(.seconds(3)) { resolver.fulfil(42) }
            let start = loop.now
            #expect(try await promise.value == 42)
            #expect(start.duration(to: loop.now) == .seconds(3))
            #expect(try await promise.value == 42)
            #expect(promise.isFulfilled && (try? promise.result?.get()) == 42)
        }
    }

    @Test("all who wait get the value, in the order of coming", arguments: Setting.virtual)
    func many(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (promise, resolver) = Promise<Int>.make(of: Int.self)
            let order = Log<Int>()
            let waiters = (0..<10).map { number in
                loop.spawn {
                    order.add(number)
                    let value = try await promise.value
                    order.add(number + 100)
                    return value
                }
            }
            await until { promise.statistics.waiting == 10 }
            let arrivals = order.all
            resolver.fulfil(7)
            for waiter in waiters { #expect(try await waiter.value == 7) }
            #expect(order.all == arrivals + arrivals.map { $0 + 100 })
            #expect(promise.statistics.waits == 10)
        }
    }

    @Test("an error goes to all who wait and all who ask later", arguments: Setting.timeless)
    func error(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (promise, resolver) = Promise<Int>.make()
            let waiter = loop.spawn { try await promise.value }
            await until { promise.statistics.waiting == 1 }
            #expect(resolver.fail(Broken()))
            await #expect(throws: Broken.self) { try await waiter.value }
            await #expect(throws: Broken.self) { try await promise.value }
            #expect(throws: Broken.self) { try promise.result?.get() }
            #expect(promise.isFulfilled)
        }
    }

    @Test("only the first of several answers counts", arguments: [true, false], [true, false])
    func once(firstIsValue: Bool, secondIsValue: Bool) async throws {
        let (promise, resolver) = Promise<Int>.make()
        #expect(firstIsValue ? resolver.fulfil(1) : resolver.fail(Broken()))
        #expect(!(secondIsValue ? resolver.fulfil(2) : resolver.fail(CancellationError())))
        if firstIsValue {
            #expect(try promise.result?.get() == 1)
        } else {
            #expect(throws: Broken.self) { try promise.result?.get() }
        }
    }

    @Test(
        "a promise whose resolver is let go is broken: who waits and who asks later is told",
        arguments: Setting.timeless)
    func broken(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            var both: (promise: Promise<Int>, resolver: Promise<Int>.Resolver?) = Promise.make(name: "answer")
            let promise = both.promise
            let waiter = loop.spawn { try await promise.value }
            await until { promise.statistics.waiting == 1 }
            var copy = both.resolver
            both.resolver = nil
            #expect(!promise.isFulfilled && copy?.isFulfilled == false)
            copy = nil
            await #expect(throws: BrokenPromiseError(subject: "answer")) { try await waiter.value }
            let error = await #expect(throws: BrokenPromiseError.self) { try await promise.value }
            #expect(error.map { "\($0)" }?.hasPrefix("answer was never fulfilled: its resolver was let go") == true)
        }
    }

    @Test("a resolver that goes after the answer changes nothing")
    func goesAfter() async throws {
        var both: (promise: Promise<Int>, resolver: Promise<Int>.Resolver?) = Promise.make()
        both.resolver?.fulfil(1)
        both.resolver = nil
        #expect(try both.promise.result?.get() == 1)
    }

    @Test(
        "a waiter that is cancelled stops waiting; the promise and the others do not notice",
        arguments: Setting.timeless)
    func cancelled(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (promise, resolver) = Promise<Int>.make()
            let first = loop.spawn { try await promise.value }
            let second = loop.spawn { try await promise.value }
            await until { promise.waitingTasks.count == 2 }
            first.cancel()
            #expect(await first.queueEnding == .cancelled)
            #expect(!promise.isFulfilled && promise.waitingTasks.count == 1)
            resolver.fulfil(1)
            #expect(await second.queueEnding == .value(1))
        }
    }

    @Test(
        "cancelled before it asks, a task gets the cancellation, and result tells it what has come",
        arguments: Setting.timeless)
    func cancelledBefore(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (promise, resolver) = Promise<Int>.make()
            resolver.fulfil(5)
            let late = loop.spawn { try await promise.value }
            late.cancel()
            #expect(await late.queueEnding == .cancelled)
            let looks = loop.spawn { try promise.result?.get() }
            looks.cancel()
            #expect(await looks.queueEnding == .value(5))
        }
    }

    @Test(
        "in one tick, what comes first decides: the value or the cancellation", arguments: [true, false],
        Setting.timeless)
    func sameTick(valueFirst: Bool, setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (promise, resolver) = Promise<Int>.make()
            let waiter = loop.spawn { try await promise.value }
            await until { promise.waitingTasks.count == 1 }
            if valueFirst { resolver.fulfil(1) }
            waiter.cancel()
            if !valueFirst { resolver.fulfil(1) }
            #expect(await waiter.queueEnding == (valueFirst ? .value(1) : .cancelled))
        }
    }

    @Test("resolve takes what a body returns or throws")
    func resolve() async throws {
        let (good, goodResolver) = Promise<Int>.make()
        #expect(goodResolver.resolve { 3 } && !goodResolver.resolve { 4 })
        #expect(try good.result?.get() == 3)
        let (bad, badResolver) = Promise<Int>.make()
        #expect(badResolver.resolve { throw Broken() })
        #expect(throws: Broken.self) { try bad.result?.get() }
    }

    @Test("a promise of nothing is an event that may fail", arguments: Setting.timeless)
    func void(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ async throws in
            let (promise, resolver) = Promise<Void>.make(name: "ready")
            #expect("\(promise)" == "Promise(ready, open)" && "\(resolver)" == "Promise.Resolver(ready, open)")
            #expect(resolver.fulfil())
            try await promise.value
            #expect("\(promise)" == "Promise(ready, fulfilled)")
        }
    }

    @Test("the value ends with the promise, a refused one at once")
    func ends() {
        let ended = Log<Int>()
        do {
            let (promise, resolver) = Promise<Mortal>.make()
            resolver.fulfil(Mortal(1) { ended.add($0) })
            resolver.fulfil(Mortal(2) { ended.add($0) })
            #expect(ended.all == [2])
            #expect(promise.isFulfilled)
        }
        #expect(ended.all == [2, 1])
    }

    @Test("many threads answer, one is first, and all who wait on loops and elsewhere agree", arguments: Setting.onLoop)
    func acrossThreads(setting: Setting) async throws {
        try await withLoop(setting) { loop async throws in
            for _ in 0..<100 {
                let (promise, resolver) = Promise<Int>.make()
                let here = loop.spawn { try await promise.value }
                let elsewhere = Task { try await promise.value }
                let winners = try await withThrowingTaskGroup(of: Int?.self) { group in
                    for number in 0..<4 {
                        group.addTask { try await loop.offload { resolver.fulfil(number) ? number : nil } }
                    }
                    var winners: [Int] = []
                    for try await winner in group { if let winner { winners.append(winner) } }
                    return winners
                }
                #expect(winners.count == 1)
                #expect(try await here.value == winners.first)
                #expect(try await elsewhere.value == winners.first)
            }
        }
    }

    @Test(
        "an error that nobody has asked for is told to the error handler when the promise goes",
        arguments: Setting.timeless)
    func unseenError(setting: Setting) async throws {
        let errors = Errors()
        try await withVirtualTime(setting, errors: errors) { _ in
            let unseen = Promise<Int>.make(name: "unseen")
            unseen.resolver.fail(EventLoopError.noLoop)
            let seen = Promise<Int>.make(name: "seen")
            seen.resolver.fail(EventLoopError.noLoop)
            await #expect(throws: EventLoopError.noLoop) { try await seen.promise.value }
            let looked = Promise<Int>.make(name: "looked at")
            looked.resolver.fail(EventLoopError.noLoop)
            #expect(looked.promise.result != nil)
            Promise<Int>.make(name: "cancelled").resolver.fail(CancellationError())
            _ = Promise<Int>.make(name: "broken").promise
        }
        #expect(errors.contexts == ["promise \"unseen\", which nobody has awaited"])
    }
}
