import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("race")
struct RaceTests {
    @Test("the first success wins, and the rest is cancelled and awaited", arguments: Setting.timeless)
    func wins(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let (ended, start) = (Counter(), loop.now)
            let value = try await race(
                {
                    defer { ended.add() }
                    return try await loop.after(1000)
                }, { try await loop.after(10) },
                {
                    defer { ended.add() }
                    try? await untilCancelled(loop)
                    await deaf(loop, 5)
                    throw Failure()
                })
            #expect(value == 10)
            #expect(ended.value == 2)
            #expect(loop.elapsed(since: start) == .milliseconds(15))
        }
    }

    @Test("an error does not end a race for the first success", arguments: Setting.timeless)
    func errorsDoNotWin(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let value = try await race({ throw Failure() }, { try await loop.after(10) })
            #expect(value == 10)
        }
    }

    @Test("an error ends a race for the first to finish", arguments: Setting.timeless)
    func firstToFinish(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let start = loop.now
            await #expect(throws: Failure(number: 4)) {
                try await race(
                    { try await loop.after(100) },
                    {
                        _ = try await loop.after(5)
                        throw Failure(number: 4)
                    }, until: .firstToFinish)
            }
            #expect(loop.elapsed(since: start) == .milliseconds(5))
            let value = try await race(
                { try await loop.after(1) }, { throw Failure(number: try await loop.after(2)) }, until: .firstToFinish)
            #expect(value == 1)
        }
    }

    @Test("if all fail, the error has every error, in the order of the contenders", arguments: Setting.timeless)
    func allFail(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            do {
                _ = try await raceEach([30, 10, 20]) { number -> Int in
                    throw Failure(number: try await loop.after(number))
                }
                Issue.record("nobody could win")
            } catch let error as RaceError {
                #expect(error.errors.map { ($0 as? Failure)?.number } == [30, 10, 20])
                #expect("\(error)".hasPrefix("all 3 contenders of a race failed: Failure(number: 30); "))
            }
        }
    }

    @Test("a race of one is a race, and a race of none has no winner", arguments: Setting.timeless)
    func few(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let contenders: [@Sendable () async throws -> Int] = [{ try await loop.after(3) }]
            try await expect(race(contenders), is: 3)
            await #expect(throws: RaceError.self) { _ = try await raceEach([Int]()) { $0 } }
            do {
                _ = try await race({ () -> Int in throw Failure(number: 1) })
            } catch let error as RaceError {
                #expect(error.errors.count == 1)
            }
        }
    }

    @Test("a loser that succeeds all the same is handed to the one who discards", arguments: Setting.timeless)
    func discards(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let discarded = Log<Int>()
            let value = try await race(
                { 1 },
                {
                    await deaf(loop, 10)
                    return 2
                },
                {
                    await deaf(loop, 20)
                    return 3
                }, discarding: { discarded.add($0) })
            #expect(value == 1)
            #expect(discarded.all == [2, 3])
        }
    }

    @Test("a success after the deciding error is handed to the one who discards", arguments: Setting.timeless)
    func discardsAfterError(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let discarded = Log<Int>()
            await #expect(throws: Failure.self) {
                _ = try await race(
                    { throw Failure() },
                    {
                        await deaf(loop, 10)
                        return 2
                    }, until: .firstToFinish, discarding: { discarded.add($0) })
            }
            #expect(discarded.all == [2])
        }
    }

    @Test("discarding is not cancelled, though the caller is", arguments: Setting.timeless)
    func discardingIsShielded(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let log = Log<Bool>()
            let task = loop.submit {
                try await race(
                    {
                        await deaf(loop, 5)
                        return 1
                    },
                    {
                        await deaf(loop, 10)
                        return 2
                    },
                    discarding: { _ in
                        _ = try? await loop.after(5)
                        log.add(Task.isCancelled)
                    })
            }
            await loop.settle()
            task.cancel()
            try await expect(task.value, is: 1, "complete, or throw")
            #expect(log.all == [false])
        }
    }

    @Test(
        "cancelled from outside, all are cancelled and awaited, and the call throws CancellationError",
        arguments: Setting.timeless)
    func outside(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let occupancy = Occupancy()
            let task = loop.submit {
                try await raceEach(0..<3) { _ in
                    try await occupancy.visit { try await loop.after(1000) }
                }
            }
            await loop.settle()
            #expect(occupancy.current == 3)
            task.cancel()
            await #expect(throws: CancellationError.self) { _ = try await task.value }
            #expect(occupancy.current == 0)
        }
    }

    @Test("a task that is cancelled already starts nobody", arguments: Setting.timeless)
    func cancelledBefore(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let started = Counter()
            let task = loop.submit {
                try? await untilCancelled(loop)
                return try await race({ started.add() })
            }
            await loop.settle()
            task.cancel()
            await #expect(throws: CancellationError.self) { _ = try await task.value }
            #expect(started.value == 0)
        }
    }

    @Test("of two that succeed in the same turn, exactly one wins and one is discarded", arguments: Setting.timeless)
    func tie(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            for _ in 0..<50 {
                let discarded = Log<Int>()
                let value = try await race(
                    { try await loop.after(10) + 1 }, { try await loop.after(10) + 2 },
                    discarding: { discarded.add($0) })
                #expect(discarded.all.count <= 1)
                #expect(!discarded.all.contains(value))
            }
        }
    }

    @Test("wherever the cancellation comes, no value is lost: returned or discarded", arguments: Setting.timeless)
    func cancelledAnywhere(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            for turns in 0..<30 {
                let (made, kept) = (Counter(), Counter())
                let task = loop.submit {
                    try await raceEach(1...4, discarding: { _ in kept.add() }) { number in
                        for _ in 0..<number * 2 { try await loop.sleep(for: .zero) }
                        return made.add()
                    }
                }
                for _ in 0..<turns { await EventLoop.yield() }
                task.cancel()
                if (try? await task.value) != nil { kept.add() }
                #expect(made.value == kept.value)
            }
        }
    }
}
