import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("A staggered race")
struct StaggeredRaceTests {
    @Test("the next attempt begins when the delay has passed", arguments: Setting.timeless)
    func delay(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let (start, begun) = (loop.now, Log<Duration>())
            let (index, value) = try await staggeredRace([1000, 1000, 40, 1], delay: .milliseconds(250)) { time in
                begun.add(loop.elapsed(since: start))
                return try await loop.after(time)
            }
            #expect(index == 2)
            #expect(value == 40)
            #expect(begun.all == [.zero, .milliseconds(250), .milliseconds(500)])
            #expect(loop.elapsed(since: start) == .milliseconds(540))
        }
    }

    @Test("an attempt that fails lets the next begin at once", arguments: Setting.timeless)
    func failure(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let start = loop.now
            let (index, _) = try await staggeredRace(0..<5, delay: .seconds(1)) { number in
                _ = try await loop.after(10)
                if number < 3 { throw Failure(number: number) }
            }
            #expect(index == 3)
            #expect(loop.elapsed(since: start) == .milliseconds(40))
        }
    }

    @Test("an earlier attempt may still win; the later ones are cancelled and awaited", arguments: Setting.timeless)
    func earlierWins(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let occupancy = Occupancy()
            let (index, _) = try await staggeredRace([100, 1000, 1000], delay: .milliseconds(30)) { time in
                try await occupancy.visit { try await loop.after(time) }
            }
            #expect(index == 0)
            #expect(occupancy.visits == 3)
            #expect(occupancy.current == 0)
        }
    }

    @Test("the failure of an earlier attempt does not hurry the next", arguments: Setting.timeless)
    func earlierFails(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let (start, begun) = (loop.now, Log<Duration>())
            _ = try await staggeredRace(0..<3, delay: .milliseconds(100)) { number in
                begun.add(loop.elapsed(since: start))
                _ = try await loop.after(number == 0 ? 110 : 1000)
                if number == 0 { throw Failure() }
            }
            #expect(begun.all == [.zero, .milliseconds(100), .milliseconds(200)])
        }
    }

    @Test(
        "the first attempt that succeeds soon is the only one, and no further input is taken",
        arguments: Setting.timeless)
    func onlyOne(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let taken = Counter()
            let inputs = (0..<10).lazy.map { number in
                taken.add()
                return number
            }
            _ = try await staggeredRace(inputs, delay: .milliseconds(100)) { _ in try await loop.after(99) }
            #expect(taken.value == 1)
        }
    }

    @Test("if all fail, the error has all errors in the order of the attempts", arguments: Setting.timeless)
    func allFail(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            do {
                _ = try await staggeredRace([300, 200, 10], delay: .milliseconds(50)) { time -> Int in
                    throw Failure(number: try await loop.after(time))
                }
                Issue.record("nobody could win")
            } catch let error as RaceError {
                #expect(error.errors.map { ($0 as? Failure)?.number } == [300, 200, 10])
            }
        }
    }

    @Test("no inputs, no winner", arguments: Setting.timeless)
    func none(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ in
            await #expect(throws: RaceError.self) { _ = try await staggeredRace([Int](), delay: .zero) { $0 } }
        }
    }

    @Test("a late success is discarded, by somebody who is not cancelled", arguments: Setting.timeless)
    func discards(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let discarded = Log<Int>()
            let (index, _) = try await staggeredRace([60, 50], delay: .milliseconds(5)) { time in
                await deaf(loop, time)
                return time
            } discarding: { value in
                _ = try? await loop.after(1)
                if !Task.isCancelled { discarded.add(value) }
            }
            #expect(index == 1)
            #expect(discarded.all == [60])
        }
    }

    @Test("cancelled from outside, the attempts are cancelled and no further one begins", arguments: Setting.timeless)
    func outside(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let occupancy = Occupancy()
            let task = loop.submit {
                try await staggeredRace(0..<10, delay: .milliseconds(10)) { _ in
                    try await occupancy.visit { try await loop.after(1000) }
                }.value
            }
            try await loop.sleep(for: .milliseconds(25))
            task.cancel()
            await #expect(throws: CancellationError.self) { _ = try await task.value }
            #expect(occupancy.visits == 3)
            #expect(occupancy.current == 0)
        }
    }

    @Test("no delay: one attempt after the other begins, each a turn later", arguments: Setting.timeless)
    func noDelay(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let occupancy = Occupancy()
            let (index, _) = try await staggeredRace([30, 20, 10], delay: .zero) { time in
                try await occupancy.visit { try await loop.after(time) }
            }
            #expect(index == 2)
            #expect(occupancy.peak == 3)
        }
    }

    @Test("no timer is left when it is over", arguments: Setting.timeless)
    func noTimers(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            _ = try await staggeredRace(0..<3, delay: .seconds(100)) { try await loop.after($0) }
            await loop.settle()
            #expect(await loop.statistics.pendingTimers == 0)
        }
    }

    @Test("without a loop it says so")
    func noLoop() async throws {
        await #expect(throws: EventLoopError.noLoop) { _ = try await staggeredRace([1], delay: .zero) { $0 } }
    }
}
