import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("gatherEach")
struct GatherSequenceTests {
    @Test(
        "outputs are in the order of the inputs, whatever ends first", arguments: [1, 2, 3, 7, 100, Int.max],
        Setting.timeless)
    func order(limit: Int, setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let outputs = try await gatherEach(0..<50, limit: limit) { number in
                _ = try await loop.after((number * 37) % 50)
                return number * 2
            }
            #expect(outputs == (0..<50).map { $0 * 2 })
        }
    }

    @Test(
        "never more than the limit run at the same time, and the limit is used", arguments: [1, 2, 5], Setting.timeless)
    func limit(limit: Int, setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let occupancy = Occupancy()
            _ = try await gatherEach(0..<20, limit: limit) { _ in
                try await occupancy.visit { try await loop.after(10) }
            }
            #expect(occupancy.peak == limit)
            #expect(occupancy.visits == 20)
        }
    }

    @Test(
        "inputs are taken only when there is room: an endless sequence with an error ends", arguments: Setting.timeless)
    func lazy(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let taken = Counter()
            let endless = sequence(first: 0) { $0 + 1 }.lazy.map { number in
                taken.add()
                return number
            }
            await #expect(throws: Failure(number: 10)) {
                _ = try await gatherEach(endless, limit: 3) { number in
                    _ = try await loop.after(1)
                    if number == 10 { throw Failure(number: 10) }
                }
            }
            // The two that run beside it may end first, and be followed.
            #expect(taken.value <= 14)
        }
    }

    @Test("no inputs, no outputs; one input, one output", arguments: Setting.timeless)
    func few(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            try await expect(gatherEach([Int](), limit: 3) { $0 }.isEmpty, is: true)
            try await expect(gatherEach([4], limit: 3) { try await loop.after($0) }, is: [4])
        }
    }

    @Test("an output that is nil is an output", arguments: Setting.timeless)
    func optional(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ in
            let outputs: [Int?] = try await gatherEach(0..<4, limit: 2) { $0.isMultiple(of: 2) ? nil : $0 }
            #expect(outputs == [nil, 1, nil, 3])
        }
    }

    @Test("the first error cancels who runs, and starts nobody else", arguments: Setting.timeless)
    func error(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let (started, ended) = (Counter(), Counter())
            await #expect(throws: Failure(number: 2)) {
                _ = try await gatherEach(0..<100, limit: 4) { number in
                    started.add()
                    defer { ended.add() }
                    _ = try await loop.after(number == 2 ? 5 : 1000)
                    throw Failure(number: number)
                }
            }
            #expect(started.value == 4)
            #expect(ended.value == 4)
        }
    }

    @Test("cancelled with inputs left, it throws CancellationError though nobody failed", arguments: Setting.timeless)
    func cancelledWithRest(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let started = Counter()
            let task = loop.submit {
                try await gatherEach(0..<10, limit: 2) { _ in
                    started.add()
                    await deaf(loop, 10)
                }
            }
            await loop.settle()
            task.cancel()
            await #expect(throws: CancellationError.self) { _ = try await task.value }
            #expect(started.value == 2)
        }
    }

    @Test("a limit below one stops the program with a message")
    func badLimit() async {
        await #expect(processExitsWith: .failure) { _ = try await gatherEach([1], limit: 0) { $0 } }
    }

    @Test(
        "wherever the cancellation comes, all that was started has ended when the call returns",
        arguments: Setting.timeless)
    func cancelledAnywhere(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            for turns in 0..<40 {
                let occupancy = Occupancy()
                let task = loop.submit {
                    try await gatherEach(0..<6, limit: 2) { number in
                        try await occupancy.visit { for _ in 0..<number { try await loop.sleep(for: .zero) } }
                        return number
                    }
                }
                for _ in 0..<turns { await EventLoop.yield() }
                task.cancel()
                do {
                    try await expect(task.value, is: Array(0..<6))
                } catch {
                    #expect(error is CancellationError)
                }
                #expect(occupancy.current == 0)
            }
        }
    }
}

@Suite("gatherResults")
struct GatherResultsTests {
    @Test("every piece of work has a result, and an error cancels nobody", arguments: Setting.timeless)
    func results(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let (one, two, three) = await gatherResults(
                { try await loop.after(20) }, { () -> String in throw Failure(number: 3) }, { try await loop.after(10) }
            )
            try expect(one.get(), is: 20)
            #expect(throws: Failure(number: 3)) { try two.get() }
            try expect(three.get(), is: 10)
        }
    }

    @Test(
        "cancelled from outside, the children are cancelled, and their results say what became of each",
        arguments: Setting.timeless)
    func cancelled(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let task = loop.submit {
                await gatherResults({ try await untilCancelled(loop) }, { await deaf(loop, 10) })
            }
            await loop.settle()
            task.cancel()
            let (one, two) = try await task.value
            #expect(throws: CancellationError.self) { try one.get() }
            #expect(throws: Never.self) { try two.get() }
        }
    }

    @Test("nothing to do has no results", arguments: Setting.timeless)
    func none(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ in
            let none: () = await gatherResults()
            #expect(none == ())
            try await expect(gatherEachResult([Int](), limit: 1) { $0 }.isEmpty, is: true)
        }
    }

    @Test(
        "over a sequence, results are in order and all inputs are worked on", arguments: [1, 4, 100], Setting.timeless)
    func sequence(limit: Int, setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let results = try await gatherEachResult(0..<20, limit: limit) { number in
                _ = try await loop.after(20 - number)
                if number.isMultiple(of: 3) { throw Failure(number: number) }
                return number
            }
            #expect(results.count == 20)
            for (number, result) in results.enumerated() {
                switch result {
                case .success(let value): #expect(value == number && !number.isMultiple(of: 3))
                case .failure(let error): #expect(error as? Failure == Failure(number: number))
                }
            }
        }
    }

    @Test(
        "over a sequence, a cancellation with inputs left throws; without, the results come",
        arguments: Setting.timeless)
    func cancelledSequence(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let short = loop.submit {
                try await gatherEachResult(0..<2, limit: 2) { _ in try await untilCancelled(loop) }
            }
            let long = loop.submit {
                try await gatherEachResult(0..<3, limit: 2) { _ in try await untilCancelled(loop) }
            }
            await loop.settle()
            short.cancel()
            long.cancel()
            try await expect(short.value.count, is: 2)
            await #expect(throws: CancellationError.self) { _ = try await long.value }
        }
    }
}
