import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("AsyncBarrier", .timeLimit(.minutes(10)))
struct BarrierTests {
    /// So many tasks that wait, in order.
    private func waiting(_ count: Int, _ barrier: AsyncBarrier, _ crew: Crew) async -> [Task<Int, any Error>] {
        var tasks: [Task<Int, any Error>] = []
        for _ in 0..<count {
            tasks.append(await crew.start(raising: { barrier.waiting }) { try await barrier.wait() })
        }
        return tasks
    }

    @Test("nobody goes on before all have come, and then all do", arguments: Stage.allCases)
    func together(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (barrier, come, gone) = (AsyncBarrier(parties: 5), Counter(), Counter())
            let tasks = (0..<5).map { _ in
                crew.start {
                    come.add()
                    try await barrier.wait()
                    #expect(come.value == 5)
                    gone.add()
                }
            }
            for task in tasks { try await task.value }
            #expect(gone.value == 5)
            #expect(barrier.waiting == 0)
        }
    }

    @Test("each gets its place: who waited longest 0, who came last the highest", arguments: Stage.allCases)
    func places(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let barrier = AsyncBarrier(parties: 4)
            let tasks = await waiting(3, barrier, crew)
            let place = try await barrier.wait()
            #expect(place == 3)
            for (place, task) in tasks.enumerated() { #expect(try await task.value == place) }
        }
    }

    @Test("the last to come does not suspend, and at a barrier for one nobody does", arguments: Setting.onLoop)
    func last(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (single, double) = (AsyncBarrier(parties: 1), AsyncBarrier(parties: 2))
            let suspends = try await hasSuspended(loop) {
                for _ in 0..<3 { try await single.wait() }
            }
            #expect(!suspends)
            let tasks = await waiting(1, double, Crew(loop: loop))
            let lastSuspends = try await hasSuspended(loop) { try await double.wait() }
            #expect(!lastSuspends)
            _ = try await tasks[0].value
        }
    }

    @Test("it begins anew: the same tasks meet again and again, in step", arguments: Stage.allCases)
    func rounds(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (barrier, arrivals) = (AsyncBarrier(parties: 4), Counter())
            let tasks = (0..<4).map { _ in
                crew.start {
                    var places: [Int] = []
                    for round in 1...50 {
                        arrivals.add()
                        places.append(try await barrier.wait())
                        // All of this round have come, and nobody can be two rounds ahead.
                        #expect((round * 4...round * 4 + 3).contains(arrivals.value))
                    }
                    return places
                }
            }
            var sum = 0
            for task in tasks { sum += try await task.value.reduce(0, +) }
            #expect(sum == 50 * (0 + 1 + 2 + 3))
            #expect(barrier.statistics.rounds == 50)
        }
    }

    @Test("more tasks than parties go in groups", arguments: Stage.allCases)
    func groups(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let barrier = AsyncBarrier(parties: 3)
            let tasks = (0..<12).map { _ in crew.start { try await barrier.wait() } }
            var places: [Int] = []
            for task in tasks { places.append(try await task.value) }
            #expect(places.sorted() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])
            #expect(barrier.statistics.rounds == 4)
        }
    }

    @Test("a cancelled waiter leaves, and one more has to come for it", arguments: Stage.allCases)
    func cancelled(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let barrier = AsyncBarrier(parties: 3)
            let tasks = await waiting(2, barrier, crew)
            tasks[0].cancel()
            #expect(await tasks[0].wasCancelled)
            #expect(barrier.waiting == 1)
            #expect(!barrier.isBroken)
            let more = await waiting(1, barrier, crew)
            #expect(barrier.waiting == 2)
            let place = try await barrier.wait()
            #expect(place == 2)
            // No place is given twice, although somebody left.
            #expect(try await tasks[1].value == 0)
            #expect(try await more[0].value == 1)
        }
    }

    @Test("a task that is cancelled already is not counted", arguments: Stage.allCases)
    func cancelledBefore(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let barrier = AsyncBarrier(parties: 2)
            let tasks = await waiting(1, barrier, crew)
            let late = crew.start {
                await untilCancelled()
                try await barrier.wait()
            }
            late.cancel()
            #expect(await late.wasCancelled)
            #expect(barrier.waiting == 1)
            try await barrier.wait()
            _ = try await tasks[0].value
        }
    }

    @Test("cancelled just before the last comes, the last waits; just after, all go on", arguments: Stage.allCases)
    func sameMoment(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let barrier = AsyncBarrier(parties: 2)
            let early = await waiting(1, barrier, crew)
            early[0].cancel()
            let late = await waiting(1, barrier, crew)
            #expect(await early[0].wasCancelled)
            let place = try await barrier.wait()
            #expect(place == 1)
            late[0].cancel()
            #expect(try await late[0].value == 0)
        }
    }

    @Test("reset sends away who waits, and the barrier is as new", arguments: Stage.allCases)
    func reset(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let barrier = AsyncBarrier(parties: 3, name: "start")
            barrier.reset()
            let tasks = await waiting(2, barrier, crew)
            barrier.reset()
            for task in tasks {
                await #expect(throws: BrokenBarrierError(barrier: "start")) { try await task.value }
            }
            #expect(!barrier.isBroken)
            let more = await waiting(2, barrier, crew)
            try await barrier.wait()
            for task in more { _ = try await task.value }
        }
    }

    @Test("reset after all have come sends nobody away", arguments: Stage.allCases)
    func resetAfterwards(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let barrier = AsyncBarrier(parties: 3)
            let tasks = await waiting(2, barrier, crew)
            try await barrier.wait()
            barrier.reset()
            for task in tasks { _ = try await task.value }
        }
    }

    @Test("abort breaks it for who waits and who comes, until it is reset", arguments: Stage.allCases)
    func abort(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let barrier = AsyncBarrier(parties: 3)
            let tasks = await waiting(2, barrier, crew)
            barrier.abort()
            for task in tasks { await #expect(throws: BrokenBarrierError.self) { try await task.value } }
            #expect(barrier.isBroken)
            #expect(barrier.waiting == 0)
            await #expect(throws: BrokenBarrierError.self) { try await barrier.wait() }
            barrier.reset()
            #expect(!barrier.isBroken)
            let more = await waiting(2, barrier, crew)
            try await barrier.wait()
            for task in more { _ = try await task.value }
        }
    }

    @Test("abort after all have come sends nobody away", arguments: Stage.allCases)
    func abortAfterwards(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let barrier = AsyncBarrier(parties: 2)
            let tasks = await waiting(1, barrier, crew)
            try await barrier.wait()
            barrier.abort()
            #expect(try await tasks[0].value == 0)
            #expect(barrier.isBroken)
        }
    }

    @Test(
        "cancelled just before the abort it hears of the cancellation, just after of the abort",
        arguments: Stage.allCases)
    func abortAndCancel(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let barrier = AsyncBarrier(parties: 3)
            let tasks = await waiting(2, barrier, crew)
            tasks[0].cancel()
            barrier.abort()
            tasks[1].cancel()
            #expect(await tasks[0].wasCancelled)
            await #expect(throws: BrokenBarrierError.self) { try await tasks[1].value }
        }
    }

    @Test("it says how many wait, or that it is broken", arguments: Stage.allCases)
    func description(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let barrier = AsyncBarrier(parties: 3, name: "start")
            let tasks = await waiting(2, barrier, crew)
            #expect("\(barrier)" == "AsyncBarrier(start, 2 of 3 waiting)")
            #expect(barrier.waitingTasks.count == 2)
            #expect(barrier.statistics.waiting == 2)
            barrier.abort()
            #expect("\(barrier)" == "AsyncBarrier(start, broken)")
            #expect("\(BrokenBarrierError(barrier: "start"))".contains("reset()"))
            #expect(barrier.statistics.isBroken)
            for task in tasks { _ = await task.result }
        }
    }

    @Test("whoever comes and is cancelled, at the end nobody is left waiting", arguments: Stage.allCases)
    func disturbed(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let barrier = AsyncBarrier(parties: 3)
            var generator = Randomness()
            let note = generator.note
            let steady = (0..<3).map { _ in
                crew.start { while true { try await barrier.wait() } }
            }
            for _ in 0..<200 {
                let guest = crew.start { try await barrier.wait() }
                for _ in 0..<Int.random(in: 0...3, using: &generator) { await Task.yield() }
                guest.cancel()
                _ = await guest.result
            }
            for task in steady { task.cancel() }
            for task in steady { _ = await task.result }
            #expect(barrier.waiting == 0, "\(note)")
            #expect(barrier.statistics.rounds > 0)
        }
    }

    @Test("a barrier for nobody stops the program")
    func nobody() async {
        await #expect(processExitsWith: .failure) { _ = AsyncBarrier(parties: 0) }
    }
}
