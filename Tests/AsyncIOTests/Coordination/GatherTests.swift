import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("gather")
struct GatherTests {
    @Test("values of different types come back in the order of the arguments, not of the ends")
    func types() async throws {
        try await withVirtualTime { loop in
            let (number, text, nothing): (Int, String, Void) = try await gather(
                { try await loop.after(30) }, { "\(try await loop.after(10))" }, { _ = try await loop.after(20) })
            #expect(number == 30)
            #expect(text == "10")
            #expect(nothing == ())
        }
    }

    @Test("all run at the same time: the whole takes as long as the longest")
    func concurrent() async throws {
        try await withVirtualTime { loop in
            let start = loop.now
            _ = try await gather({ try await loop.after(30) }, { try await loop.after(40) }, { try await loop.after(20) })
            #expect(loop.elapsed(since: start) == .milliseconds(40))
        }
    }

    @Test("one piece of work gives its value, and none gives nothing")
    func few() async throws {
        try await withVirtualTime { loop in
            let one = try await gather({ try await loop.after(1) })
            #expect(one == 1)
            let none: () = try await gather()
            #expect(none == ())
        }
    }

    @Test("the first error cancels the others, and is thrown when all have ended")
    func firstError() async throws {
        try await withVirtualTime { loop in
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

    @Test("of two errors the earlier is thrown and the later goes to the loop's error handler")
    func laterError() async throws {
        let errors = Errors()
        try await withVirtualTime(errors: errors) { loop in
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

    @Test("what siblings throw because they were cancelled is not reported")
    func quietCancellation() async throws {
        let errors = Errors()
        try await withVirtualTime(errors: errors) { loop in
            await #expect(throws: Failure.self) {
                _ = try await gather({ try await untilCancelled(loop) }, { throw Failure() })
            }
        }
        #expect(errors.all.isEmpty)
    }

    @Test("cancelled from outside, the children are cancelled and awaited, and the call throws CancellationError")
    func outside() async throws {
        try await withVirtualTime { loop in
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

    @Test("a cancelled call whose children all have a value returns them")
    func completes() async throws {
        try await withVirtualTime { loop in
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

    @Test("a task that is cancelled already starts nothing")
    func cancelledBefore() async throws {
        try await withVirtualTime { loop in
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

    @Test("a child that throws CancellationError by itself is an error like others")
    func ownCancellation() async throws {
        try await withVirtualTime { loop in
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

    @Test("children run on the loop, with the caller's task locals")
    func home() async throws {
        try await withVirtualTime { loop in
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

@Suite("gatherEach")
struct GatherSequenceTests {
    @Test("outputs are in the order of the inputs, whatever ends first", arguments: [1, 2, 3, 7, 100, Int.max])
    func order(limit: Int) async throws {
        try await withVirtualTime { loop in
            let outputs = try await gatherEach(0..<50, limit: limit) { number in
                _ = try await loop.after((number * 37) % 50)
                return number * 2
            }
            #expect(outputs == (0..<50).map { $0 * 2 })
        }
    }

    @Test("never more than the limit run at the same time, and the limit is used", arguments: [1, 2, 5])
    func limit(limit: Int) async throws {
        try await withVirtualTime { loop in
            let occupancy = Occupancy()
            _ = try await gatherEach(0..<20, limit: limit) { _ in
                try await occupancy.visit { try await loop.after(10) }
            }
            #expect(occupancy.peak == limit)
            #expect(occupancy.visits == 20)
        }
    }

    @Test("inputs are taken only when there is room: an endless sequence with an error ends")
    func lazy() async throws {
        try await withVirtualTime { loop in
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
            #expect(taken.value <= 13)
        }
    }

    @Test("no inputs, no outputs; one input, one output")
    func few() async throws {
        try await withVirtualTime { loop in
            try await expect(gatherEach([Int](), limit: 3) { $0 }.isEmpty, is: true)
            try await expect(gatherEach([4], limit: 3) { try await loop.after($0) }, is: [4])
        }
    }

    @Test("an output that is nil is an output")
    func optional() async throws {
        try await withVirtualTime { _ in
            let outputs: [Int?] = try await gatherEach(0..<4, limit: 2) { $0.isMultiple(of: 2) ? nil : $0 }
            #expect(outputs == [nil, 1, nil, 3])
        }
    }

    @Test("the first error cancels who runs, and starts nobody else")
    func error() async throws {
        try await withVirtualTime { loop in
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

    @Test("cancelled with inputs left, it throws CancellationError though nobody failed")
    func cancelledWithRest() async throws {
        try await withVirtualTime { loop in
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

    @Test("wherever the cancellation comes, all that was started has ended when the call returns")
    func cancelledAnywhere() async throws {
        try await withVirtualTime { loop in
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
    @Test("every piece of work has a result, and an error cancels nobody")
    func results() async throws {
        try await withVirtualTime { loop in
            let (one, two, three) = await gatherResults(
                { try await loop.after(20) }, { () -> String in throw Failure(number: 3) }, { try await loop.after(10) })
            try expect(one.get(), is: 20)
            #expect(throws: Failure(number: 3)) { try two.get() }
            try expect(three.get(), is: 10)
        }
    }

    @Test("cancelled from outside, the children are cancelled, and their results say what became of each")
    func cancelled() async throws {
        try await withVirtualTime { loop in
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

    @Test("nothing to do has no results")
    func none() async throws {
        try await withVirtualTime { _ in
            let none: () = await gatherResults()
            #expect(none == ())
            try await expect(gatherEachResult([Int](), limit: 1) { $0 }.isEmpty, is: true)
        }
    }

    @Test("over a sequence, results are in order and all inputs are worked on", arguments: [1, 4, 100])
    func sequence(limit: Int) async throws {
        try await withVirtualTime { loop in
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

    @Test("over a sequence, a cancellation with inputs left throws; without, the results come")
    func cancelledSequence() async throws {
        try await withVirtualTime { loop in
            let short = loop.submit { try await gatherEachResult(0..<2, limit: 2) { _ in try await untilCancelled(loop) } }
            let long = loop.submit { try await gatherEachResult(0..<3, limit: 2) { _ in try await untilCancelled(loop) } }
            await loop.settle()
            short.cancel()
            long.cancel()
            try await expect(short.value.count, is: 2)
            await #expect(throws: CancellationError.self) { _ = try await long.value }
        }
    }
}
