import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("gather")
struct GatherTests {
    @Test(
        "values of different types come back in the order of the arguments, not of the ends",
        arguments: Setting.timeless)
    func types(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let (number, text, nothing): (Int, String, Void) = try await gather(
                { try await loop.after(30) }, { "\(try await loop.after(10))" }, { _ = try await loop.after(20) })
            #expect(number == 30)
            #expect(text == "10")
            #expect(nothing == ())
        }
    }

    @Test("all run at the same time: the whole takes as long as the longest", arguments: Setting.timeless)
    func concurrent(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let start = loop.now
            _ = try await gather(
                { try await loop.after(30) }, { try await loop.after(40) }, { try await loop.after(20) })
            #expect(loop.elapsed(since: start) == .milliseconds(40))
        }
    }

    @Test("one piece of work gives its value, and none gives nothing", arguments: Setting.timeless)
    func few(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let one = try await gather({ try await loop.after(1) })
            #expect(one == 1)
            let none: () = try await gather()
            #expect(none == ())
        }
    }

    @Test("the first error cancels the others, and is thrown when all have ended", arguments: Setting.timeless)
    func firstError(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let (cancelled, start) = (Counter(), loop.now)
            await #expect(throws: Failure(number: 1)) {
                _ = try await gather(
                    {
                        defer { cancelled.add() }
                        do { try await untilCancelled(loop) } catch {
                            await deaf(loop, 50)
                            throw error
                        }
                    },
                    {
                        _ = try await loop.after(10)
                        throw Failure(number: 1)
                    },
                    {
                        defer { cancelled.add() }
                        try await untilCancelled(loop)
                    })
            }
            #expect(cancelled.value == 2)
            #expect(loop.elapsed(since: start) == .milliseconds(60))
        }
    }

    @Test(
        "of two errors the earlier is thrown and the later goes to the loop's error handler",
        arguments: Setting.timeless)
    func laterError(setting: Setting) async throws {
        let errors = Errors()
        try await withVirtualTime(setting, errors: errors) { loop in
            await #expect(throws: Failure(number: 1)) {
                _ = try await gather(
                    {
                        try? await untilCancelled(loop)
                        throw Failure(number: 2)
                    }, { throw Failure(number: 1) })
            }
        }
        #expect(errors.all.map { $0.error as? Failure } == [Failure(number: 2)])
        #expect(errors.contexts == ["gather, after its first error"])
    }

    @Test("what siblings throw because they were cancelled is not reported", arguments: Setting.timeless)
    func quietCancellation(setting: Setting) async throws {
        let errors = Errors()
        try await withVirtualTime(setting, errors: errors) { loop in
            await #expect(throws: Failure.self) {
                _ = try await gather({ try await untilCancelled(loop) }, { throw Failure() })
            }
        }
        #expect(errors.all.isEmpty)
    }

    @Test(
        "cancelled from outside, the children are cancelled and awaited, and the call throws CancellationError",
        arguments: Setting.timeless)
    func outside(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let ended = Counter()
            let task = loop.submit {
                try await gather(
                    {
                        defer { ended.add() }
                        try await untilCancelled(loop)
                    },
                    {
                        try? await untilCancelled(loop)
                        await deaf(loop, 30)
                        ended.add()
                    })
            }
            await loop.settle()
            task.cancel()
            await #expect(throws: CancellationError.self) { _ = try await task.value }
            #expect(ended.value == 2)
        }
    }

    @Test("a cancelled call whose children all have a value returns them", arguments: Setting.timeless)
    func completes(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let task = loop.submit {
                try await gather(
                    {
                        await deaf(loop, 20)
                        return 1
                    },
                    {
                        await deaf(loop, 10)
                        return 2
                    })
            }
            await loop.settle()
            task.cancel()
            let (one, two) = try await task.value
            #expect(one == 1 && two == 2)
        }
    }

    @Test("a task that is cancelled already starts nothing", arguments: Setting.timeless)
    func cancelledBefore(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let started = Counter()
            let task = loop.submit {
                try? await untilCancelled(loop)
                await #expect(throws: CancellationError.self) { try await gather({ _ = started.add() }) }
                await #expect(throws: CancellationError.self) {
                    _ = try await gatherEach([1, 2], limit: 2) { _ in started.add() }
                }
            }
            await loop.settle()
            task.cancel()
            try await task.value
            #expect(started.value == 0)
        }
    }

    @Test("a child that throws CancellationError by itself is an error like others", arguments: Setting.timeless)
    func ownCancellation(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let cancelled = Counter()
            await #expect(throws: CancellationError.self) {
                _ = try await gather(
                    { throw CancellationError() },
                    {
                        defer { cancelled.add() }
                        try await untilCancelled(loop)
                    })
            }
            #expect(cancelled.value == 1)
            #expect(!Task.isCancelled)
        }
    }

    @Test("children run on the loop, with the caller's task locals", arguments: Setting.timeless)
    func home(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            try await Mark.$value.withValue(7) {
                let (here, mark) = try await gather({ loop.isCurrent }, { Mark.value })
                #expect(here)
                #expect(mark == 7)
            }
        }
    }

    @Test("it needs no loop")
    func noLoop() async throws {
        let (one, two) = try await gather({ 1 }, { 2 })
        #expect(one + two == 3)
        try await expect(gatherEach(1...5, limit: 2) { $0 * 2 }, is: [2, 4, 6, 8, 10])
    }
}

enum Mark {
    @TaskLocal static var value = 0
}
