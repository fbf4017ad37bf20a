import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("AsyncOnce", .timeLimit(.minutes(10)))
struct OnceTests {
    @Test("the value is made once, and kept", arguments: Stage.allCases)
    func once(stage: Stage) async throws {
        try await onStage(stage) { _ in
            let (once, made) = (AsyncOnce<Int>(), Counter())
            for _ in 0..<3 {
                let value = try await once.get { made.add() + 6 }
                #expect(value == 7)
            }
            #expect(made.value == 1)
            #expect(once.isReady)
        }
    }

    @Test("all who ask while it is made wait, and get the same", arguments: Stage.allCases)
    func together(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (once, made, gate) = (AsyncOnce<Int>(), Counter(), Gate())
            let tasks = (0..<20).map { _ in
                crew.start {
                    try await once.get {
                        await gate.pass()
                        return made.add()
                    }
                }
            }
            await until { once.waitingTasks.count == 19 }
            gate.open()
            for task in tasks {
                let value = try await task.value
                #expect(value == 1)
            }
            #expect(made.value == 1)
        }
    }

    @Test("once there is a value, nobody suspends for it", arguments: Setting.onLoop)
    func ready(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let once = AsyncOnce<String>()
            _ = try await once.get { "made" }
            let suspends = try await hasSuspended(loop) {
                for _ in 0..<10_000 { _ = try await once.get { "again" } }
            }
            #expect(!suspends)
            #expect(once.valueIfReady == "made")
        }
    }

    @Test("the first to ask makes it in its own task", arguments: Stage.allCases)
    func ownTask(stage: Stage) async throws {
        try await onStage(stage) { _ in
            let once = AsyncOnce<TaskID?>()
            let maker = try await once.get {
                #expect(once.maker == TaskID.current)
                return TaskID.current
            }
            #expect(maker == TaskID.current)
            #expect(once.maker == nil)
        }
    }

    @Test(
        "a failure is heard by the one who failed, and the next one that waits makes the value",
        arguments: Stage.allCases)
    func failure(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (once, gate) = (AsyncOnce<Int>(), Gate())
            let failing = await crew.start(raising: { once.maker == nil ? 0 : 1 }) {
                try await once.get {
                    await gate.pass()
                    throw EventLoopError.noLoop
                }
            }
            var others: [Task<Int, any Error>] = []
            for number in 1...3 {
                others.append(await crew.start(raising: { once.waitingTasks.count }) { try await once.get { number } })
            }
            gate.open()
            await #expect(throws: EventLoopError.noLoop) { try await failing.value }
            for other in others {
                let value = try await other.value
                #expect(value == 1)
            }
            #expect(once.statistics.attempts == 2)
        }
    }

    @Test("if all fail, each one tries once, in order", arguments: Stage.allCases)
    func allFail(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (once, gate, log) = (AsyncOnce<Int>(), Gate(), Log<Int>())
            var tasks: [Task<Int, any Error>] = []
            for number in 0..<4 {
                tasks.append(
                    await crew.start(raising: { Int(once.statistics.attempts) + once.waitingTasks.count }) {
                        try await once.get {
                            await gate.pass()
                            log.add(number)
                            throw EventLoopError.noLoop
                        }
                    })
            }
            gate.open()
            for task in tasks { await #expect(throws: EventLoopError.noLoop) { try await task.value } }
            #expect(log.all == [0, 1, 2, 3])
            #expect(!once.isReady)
            let value = try await once.get { 9 }
            #expect(value == 9)
        }
    }

    @Test("when the maker is cancelled, the next one that waits makes the value", arguments: Stage.allCases)
    func makerCancelled(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let once = AsyncOnce<Int>()
            let maker = await crew.start(raising: { once.maker == nil ? 0 : 1 }) {
                try await once.get {
                    await untilCancelled()
                    throw CancellationError()
                }
            }
            let next = await crew.start(raising: { once.waitingTasks.count }) { try await once.get { 2 } }
            maker.cancel()
            #expect(await maker.wasCancelled)
            let value = try await next.value
            #expect(value == 2)
        }
    }

    @Test("a cancelled waiter leaves, and the others get the value", arguments: Stage.allCases)
    func waiterCancelled(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (once, gate) = (AsyncOnce<Int>(), Gate())
            let maker = await crew.start(raising: { once.maker == nil ? 0 : 1 }) {
                try await once.get {
                    await gate.pass()
                    return 1
                }
            }
            let first = await crew.start(raising: { once.waitingTasks.count }) { try await once.get { 2 } }
            let second = await crew.start(raising: { once.waitingTasks.count }) { try await once.get { 3 } }
            first.cancel()
            #expect(await first.wasCancelled)
            gate.open()
            let values = [try await maker.value, try await second.value]
            #expect(values == [1, 1])
        }
    }

    @Test(
        "cancelled when its turn to make has come: it throws, and the turn is the next one's", arguments: Setting.onLoop
    )
    func turnCancelled(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (once, crew) = (AsyncOnce<Int>(), Crew(loop: loop))
            let (tasks, first) = (Log<Task<Int, any Error>>(), Log<TaskID>())
            let maker = await crew.start(raising: { once.maker == nil ? 0 : 1 }) { () async throws -> Int in
                do {
                    return try await once.get {
                        await until { tasks.count == 2 }
                        throw EventLoopError.noLoop
                    }
                } catch {
                    // It is the first one's turn now, and it has not run yet.
                    #expect(once.maker == first.all[0])
                    tasks.all[0].cancel()
                    throw error
                }
            }
            for number in 0..<2 {
                let task = await crew.start(raising: { once.waitingTasks.count }) { try await once.get { number } }
                first.add(once.waitingTasks[0])
                tasks.add(task)
            }
            await #expect(throws: EventLoopError.noLoop) { try await maker.value }
            #expect(await tasks.all[0].wasCancelled)
            let value = try await tasks.all[1].value
            #expect(value == 1)
        }
    }

    @Test("a cancelled task does not begin to make a value, and gets one that is there", arguments: Stage.allCases)
    func cancelledBefore(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let once = AsyncOnce<Int>()
            let early = crew.start {
                await untilCancelled()
                return try await once.get { 1 }
            }
            early.cancel()
            #expect(await early.wasCancelled)
            #expect(once.statistics.attempts == 0)
            _ = try await once.get { 2 }
            let late = crew.start {
                await untilCancelled()
                return try await once.get { 3 }
            }
            late.cancel()
            let value = try await late.value
            #expect(value == 2)
        }
    }

    @Test("a value that needs itself is a deadlock, and is told so at once", arguments: Stage.allCases)
    func recursive(stage: Stage) async throws {
        try await onStage(stage) { _ in
            let once = AsyncOnce<Int>(name: "settings")
            await #expect(throws: DeadlockError.self) { try await once.get { try await once.get { 1 } } }
            let value = try await once.get { 2 }
            #expect(value == 2)
        }
    }

    @Test("nothing is a value too", arguments: Stage.allCases)
    func nothing(stage: Stage) async throws {
        try await onStage(stage) { _ in
            let (once, made) = (AsyncOnce<Int?>(), Counter())
            for _ in 0..<2 {
                let value = try await once.get {
                    made.add()
                    return nil
                }
                #expect(value == nil)
            }
            #expect(made.value == 1)
            #expect(once.isReady)
        }
    }

    @Test("the value lives as long as the once, and no longer", arguments: Stage.allCases)
    func lifetime(stage: Stage) async throws {
        try await onStage(stage) { _ in
            let ends = Counter()
            do {
                let once = AsyncOnce<Traced>()
                _ = try await once.get { Traced(ends) }
                #expect(ends.value == 0)
                #expect(once.valueIfReady != nil)
            }
            #expect(ends.value == 1)
            do { _ = AsyncOnce<Traced>() }
            #expect(ends.value == 1)
        }
    }

    @Test("it says how far it is", arguments: Stage.allCases)
    func description(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let (once, gate) = (AsyncOnce<Int>(name: "settings"), Gate())
            #expect("\(once)" == "AsyncOnce(settings, empty)")
            #expect(once.valueIfReady == nil)
            let maker = await crew.start(raising: { once.maker == nil ? 0 : 1 }) {
                try await once.get {
                    await gate.pass()
                    return 1
                }
            }
            let other = await crew.start(raising: { once.waitingTasks.count }) { try await once.get { 2 } }
            #expect("\(once)" == "AsyncOnce(settings, being made, 1 waiting)")
            gate.open()
            _ = (try await maker.value, try await other.value)
            #expect("\(once)" == "AsyncOnce(settings, made)")
            #expect(once.statistics.waits == 1)
        }
    }

    @Test("makers that fail or are cancelled at odd moments: in the end it is made once", arguments: Stage.allCases)
    func disturbed(stage: Stage) async throws {
        try await onStage(stage) { crew in
            var generator = Randomness()
            let note = generator.note
            for _ in 0..<100 {
                let (once, made) = (AsyncOnce<Int>(), Counter())
                let tasks = (0..<8).map { number in
                    crew.start {
                        try await once.get {
                            await Task.yield()
                            try Task.checkCancellation()
                            if number % 3 == 0 { throw EventLoopError.noLoop }
                            return made.add()
                        }
                    }
                }
                for _ in 0..<3 {
                    await Task.yield()
                    tasks.randomElement(using: &generator)?.cancel()
                }
                for task in tasks { _ = await task.result }
                let value = try await once.get { made.add() }
                #expect(value == 1, "\(note)")
            }
        }
    }
}

/// Counts its end.
private final class Traced: Sendable {
    private let ends: Counter
    init(_ ends: Counter) { self.ends = ends }
    deinit { ends.add() }
}
