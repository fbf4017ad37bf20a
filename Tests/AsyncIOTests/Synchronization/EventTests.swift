import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("AsyncEvent", .timeLimit(.minutes(10)))
struct EventTests {
    @Test("waiting for a set event does not suspend, for one that is not set it does", arguments: Setting.onLoop)
    func suspending(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let event = AsyncEvent()
            event.set()
            let suspends = try await hasSuspended(loop) { try await event.wait() }
            #expect(!suspends)
            event.clear()
            let setter = Crew(loop: loop).start { event.set() }
            let suspendsUnset = try await hasSuspended(loop) { try await event.wait() }
            #expect(suspendsUnset)
            try await setter.value
        }
    }

    @Test("set wakes all who wait, longest first", arguments: Setting.onRealLoop)
    func order(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (event, log, crew) = (AsyncEvent(), Log<Int>(), Crew(loop: loop))
            var tasks: [Task<Void, any Error>] = []
            for number in 0..<5 {
                tasks.append(
                    await crew.start(raising: { event.waitingTasks.count }) {
                        try await event.wait()
                        log.add(number)
                    })
            }
            event.set()
            for task in tasks { try await task.value }
            #expect(log.all == [0, 1, 2, 3, 4])
            #expect(event.isSet)
        }
    }

    @Test("set wakes all who wait even if clear follows at once", arguments: Stage.allCases)
    func pulse(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let event = AsyncEvent()
            var tasks: [Task<Void, any Error>] = []
            for _ in 0..<5 {
                tasks.append(await crew.start(raising: { event.waitingTasks.count }) { try await event.wait() })
            }
            event.set()
            event.clear()
            #expect(!event.isSet)
            for task in tasks { try await task.value }
        }
    }

    @Test("who comes after clear waits for the next set", arguments: Stage.allCases)
    func again(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let event = AsyncEvent()
            event.set()
            event.clear()
            let task = await crew.start(raising: { event.waitingTasks.count }) { try await event.wait() }
            event.set()
            try await task.value
        }
    }

    @Test("setting a set event and clearing one that is not set do nothing", arguments: Stage.allCases)
    func twice(stage: Stage) async throws {
        try await onStage(stage) { _ in
            let event = AsyncEvent()
            event.clear()
            #expect(!event.isSet)
            event.set()
            event.set()
            #expect(event.isSet)
            #expect(event.statistics.sets == 1)
            event.clear()
            event.clear()
            #expect(!event.isSet)
        }
    }

    @Test("a cancelled waiter throws, and the others go on waiting", arguments: Stage.allCases)
    func cancelled(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let event = AsyncEvent()
            let first = await crew.start(raising: { event.waitingTasks.count }) { try await event.wait() }
            let second = await crew.start(raising: { event.waitingTasks.count }) { try await event.wait() }
            first.cancel()
            #expect(await first.wasCancelled)
            #expect(event.waitingTasks.count == 1)
            event.set()
            try await second.value
        }
    }

    @Test("a task that is cancelled already throws, although the event is set", arguments: Stage.allCases)
    func cancelledBefore(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let event = AsyncEvent()
            event.set()
            let task = crew.start {
                await untilCancelled()
                try await event.wait()
            }
            task.cancel()
            #expect(await task.wasCancelled)
        }
    }

    @Test("cancelled just before the event is set it throws, just after it returns", arguments: Stage.allCases)
    func sameMoment(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let event = AsyncEvent()
            let early = await crew.start(raising: { event.waitingTasks.count }) { try await event.wait() }
            let late = await crew.start(raising: { event.waitingTasks.count }) { try await event.wait() }
            early.cancel()
            event.set()
            late.cancel()
            #expect(await early.wasCancelled)
            try await late.value
        }
    }

    @Test("any thread may set it", arguments: Stage.real)
    func fromThread(stage: Stage) async throws {
        try await onStage(stage) { crew in
            for _ in 0..<50 {
                let event = AsyncEvent()
                let task = crew.start { try await event.wait() }
                try await onThread { event.set() }
                try await task.value
            }
        }
    }

    @Test("a task that waits for a set event again and again lets others run", arguments: Setting.onLoop)
    func turns(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (event, turns) = (AsyncEvent(), Counter())
            event.set()
            let other = Task.detached(executorPreference: loop) { turns.add() }
            while turns.value == 0 { try await event.wait() }
            _ = await other.value
        }
    }

    @Test("it says whether it is set and how many wait", arguments: Stage.allCases)
    func description(stage: Stage) async throws {
        try await onStage(stage) { crew in
            let event = AsyncEvent(name: "ready")
            let task = await crew.start(raising: { event.waitingTasks.count }) { try await event.wait() }
            #expect("\(event)" == "AsyncEvent(ready, not set, 1 waiting)")
            #expect(event.statistics.waiting == 1)
            event.set()
            try await task.value
            #expect("\(event)" == "AsyncEvent(ready, set)")
            #expect(event.statistics.waits == 1)
        }
    }
}
