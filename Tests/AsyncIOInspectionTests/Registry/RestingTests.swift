import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import Glibc
import Testing

@testable import AsyncIOInspection
@testable import AsyncIOLoop

/// An inspector of a test's own, who is told of one runner's loop.
private final class InspectedRunner: @unchecked Sendable {
    let inspector = ProcessInspector()
    private let runner: EventLoop.Runner
    var loop: EventLoop { runner.loop }

    init(_ options: EventLoop.Options) throws {
        _ = inspector.start(Inspection.Options())
        runner = try EventLoop.Runner(options: options)
    }

    deinit {
        inspector.loopRuns(loop)
        inspector.loopEnds(loop)
        runner.close()
    }

    func run<Success: Sendable>(_ body: sending @escaping () async throws -> Success) throws -> Success {
        inspector.loopRuns(loop)
        defer { inspector.loopRests(loop) }
        return try runner.run(body)
    }

    func look() -> TaskTree {
        let capture = Capture(of: inspector, stacks: false)
        capture.run(timeout: .seconds(120))
        return capture.tree()
    }
}

@Suite("A loop that is not on its thread")
struct RestingTests {
    @Test("is shown as one that rests, with its tasks, and nobody waits for it", arguments: Drivers.available)
    func rests(driver: DriverChoice) async throws {
        try await Watchdog.onThread {
            let runner = try InspectedRunner(.guest(driver, name: "now and then"))
            let event = AsyncEvent(name: "dawn")
            let keeper = try runner.run { runner.loop.spawn(name: "keeper") { try await event.wait() } }
            try runner.run { await EventLoop.yield() }
            let began = Instant.monotonicNow
            let tree = runner.look()
            #expect(began.duration(to: .monotonicNow) < .seconds(60))
            #expect(tree.notes == [])
            #expect(tree.loops.map(\.isResting) == [true])
            #expect(tree.text().contains("now and then (\(runner.loop.driverName)) rests: "))
            let task = try #require(tree.tasks.first { $0.name == "keeper" })
            #expect(task.wait?.kind == "event" && task.wait?.target == "dawn")
            // It is as before when it is back.
            let during = try runner.run {
                event.set()
                try await keeper.value
                return await Capture(of: runner.inspector, stacks: false).tree(within: .seconds(120))
            }
            #expect(during.loops.map(\.isResting) == [false])
            #expect(!during.tasks.contains { $0.name == "keeper" })
        }
    }

    @Test("what the program does meanwhile counts for none of its tasks", arguments: Drivers.available)
    func away(driver: DriverChoice) async throws {
        try await Watchdog.onThread {
            let runner = try InspectedRunner(.guest(driver, name: "away"))
            try runner.run { await EventLoop.yield() }
            usleep(500_000)  // sleeps: the time that must not count
            try runner.run { await EventLoop.yield() }
            let loop = try #require(runner.look().loops.first)
            #expect(loop.longestRun < .milliseconds(450), "\(loop.longestRun)")
            #expect(loop.busy < .milliseconds(450), "\(loop.busy)")
        }
    }

    @Test("is not waited for if it leaves after it was asked")
    func leaves() async throws {
        try await Watchdog.onThread {
            let runner = try InspectedRunner(.guest(name: "leaves"))
            let found = Condition<TaskTree?>(nil)
            try runner.run {
                try SystemThread.start(name: "looks") {
                    let tree = runner.look()
                    found.withLock { $0 = tree }
                    found.broadcast()
                }.detach()
                // It has been asked, and goes without an answer.
                while !runner.loop.inbox.hasSomething { sched_yield() }
            }
            let tree = try #require(found.wait(until: .monotonicNow.advanced(by: .seconds(60))) { $0 })
            #expect(tree.notes == [])
            #expect(tree.loops.map(\.isResting) == [true])
        }
    }

    @Test("stays away as long as somebody looks at it")
    func exclusive() async throws {
        try await Watchdog.onThread {
            let presence = Presence()
            #expect(presence.whileAway { true } == nil)
            presence.goes()
            let events = Condition<[String]>([])
            @Sendable func note(_ event: String) {
                events.withLock { $0.append(event) }
                events.broadcast()
            }
            let loop = Condition<SystemThread?>(nil)
            let seen: Void? = try presence.whileAway {
                let thread = try SystemThread.start(name: "loop") {
                    note("wants to come")
                    presence.comes()
                    note("comes")
                }
                loop.withLock { $0 = thread }
                _ = events.wait { $0.isEmpty ? nil : true }
                for _ in 0..<10_000 { sched_yield() }
                note("has looked")
            }
            #expect(seen != nil)
            loop.withLock { $0 }?.join()
            #expect(events.withLock { $0 } == ["wants to come", "has looked", "comes"])
            #expect(presence.whileAway { true } == nil)
        }
    }

    @Test("may come back at any moment while it is looked at, and leave again")
    func comesAndGoes() async throws {
        try await Watchdog.onThread {
            let runner = try InspectedRunner(.guest(name: "restless"))
            let event = AsyncEvent()
            let tasks = try runner.run {
                (0..<1_000).map { _ in runner.loop.spawn(name: "patient") { try await event.wait() } }
            }
            let looks = Condition((count: 0, isOver: false))
            try SystemThread.start(name: "looks") {
                while !looks.withLock({ $0.isOver }) {
                    let tree = runner.look()
                    #expect(tree.notes == [])
                    #expect(tree.tasks.count { $0.name == "patient" } == 1_000)
                    looks.withLock { $0.count += 1 }
                }
                looks.withLock { $0.count = -1 }
                looks.broadcast()
            }.detach()
            try runner.run { await EventLoop.yield() }
            while looks.withLock({ $0.count }) < 20 { try runner.run { await EventLoop.yield() } }
            looks.withLock { $0.isOver = true }
            _ = looks.wait { $0.count < 0 ? true : nil }
            try runner.run {
                event.set()
                for task in tasks { try await task.value }
            }
        }
    }
}
