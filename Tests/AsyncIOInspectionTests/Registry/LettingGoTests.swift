import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTesting
import Glibc
import Testing

@testable import AsyncIOInspection

/// What must be gone.
private struct Remains: @unchecked Sendable {
    weak var loop: EventLoop?
    weak var inspector: LoopInspector?

    /// Whoever looks at it just then lets go a moment later.
    func areGone() async -> Bool {
        let end = Instant.monotonicNow.advanced(by: .seconds(10))
        while Instant.monotonicNow < end {
            if loop == nil && inspector == nil { return true }
            await Task.yield()
        }
        return false
    }
}

/// All loops of the process are told of to an inspector of the test's own.
@Suite("An inspected loop", .serialized, .alone)
struct LettingGoTests {
    private func inspecting(_ body: (ProcessInspector) async throws -> Remains) async throws {
        let scratch = try Scratch()
        let home = ProcessInspector(socket: SocketSwitch(InspectionSocket(answers: .canned, folder: scratch.path)))
        _ = home.start(
            Inspection.Options(
                watchdog: .init(limit: .milliseconds(1)), debug: Inspection.DebugOptions(handler: { _ in }),
                socket: true))
        home.startThreads()
        let former = EventLoop.observer
        EventLoop.observer = home
        let result: Result<Remains, any Error>
        do { result = .success(try await body(home)) } catch { result = .failure(error) }
        EventLoop.observer = former
        let remains = try result.get()
        #expect(await remains.areGone(), "loop \(remains.loop as Any), inspector \(remains.inspector as Any)")
        #expect(home.loops.isEmpty)
    }

    @Test("on a thread of its own is let go of after its end", arguments: Drivers.available)
    func loopThread(driver: DriverChoice) async throws {
        try await inspecting { home in
            let thread = try LoopThread(options: .guest(driver, name: "short"))
            let task = thread.loop.spawn(name: "left") { try await thread.loop.sleep(for: .seconds(1_000)) }
            let remains = Remains(loop: thread.loop, inspector: home.inspector(of: thread.loop))
            #expect(remains.inspector != nil)
            let tree = await Capture(of: home, stacks: true).tree(within: .seconds(60))
            #expect(tree.tasks.contains { $0.name == "left" })
            await thread.shutdown()
            _ = try? await task.value
            return remains
        }
    }

    @Test("of a runner is let go of after its end", arguments: Drivers.available)
    func runner(driver: DriverChoice) async throws {
        try await inspecting { home in
            try await Watchdog.onThread {
                let runner = try EventLoop.Runner(options: .guest(driver, name: "runner"))
                for _ in 0..<3 { try runner.run { await EventLoop.yield() } }
                let capture = Capture(of: home, stacks: true)
                capture.run(timeout: .seconds(60))
                #expect(capture.tree().loops.contains { $0.name == "runner" && $0.isResting })
                let remains = Remains(loop: runner.loop, inspector: home.inspector(of: runner.loop))
                #expect(remains.inspector != nil)
                runner.close()
                return remains
            }
        }
    }

    @Test("in virtual time is let go of, though it wakes nobody who sleeps")
    func virtualTime() async throws {
        try await inspecting { home in
            try await withVirtualTime { time in
                let watchdog = home.watchdog.withLock { $0 }
                while !watchdog.isAsleep { sched_yield() }
                return Remains(loop: time.loop, inspector: home.inspector(of: time.loop))
            }
        }
    }

    private func shortLoop(_ home: ProcessInspector) async throws -> Remains {
        let thread = try LoopThread(options: .guest(name: "short"))
        try await thread.loop.submit(name: "work") { await EventLoop.yield() }.value
        let remains = Remains(loop: thread.loop, inspector: home.inspector(of: thread.loop))
        await thread.shutdown()
        return remains
    }

    @Test("is let go of while others go on")
    func others() async throws {
        try await inspecting { home in
            let other = try LoopThread(options: .guest(name: "goes on"))
            let remains = try await self.shortLoop(home)
            #expect(await remains.areGone())
            await other.shutdown()
            return remains
        }
    }
}
