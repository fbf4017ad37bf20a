import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("A task tracker")
struct TaskTrackerTests {
    @Test("lets who waits go when it is closed and its tasks have ended", arguments: Setting.timeless)
    func closes(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let tracker = TaskTracker(name: "sessions")
            for time in [10, 30, 20] { try tracker.spawn(name: "session \(time)") { try await loop.after(time) } }
            #expect(tracker.count == 3)
            #expect(tracker.names == ["session 10", "session 30", "session 20"])
            #expect("\(tracker)" == "TaskTracker(sessions, 3 tasks)")
            let start = loop.now
            #expect(tracker.close())
            #expect(!tracker.close())
            try await tracker.wait()
            #expect(loop.elapsed(since: start) == .milliseconds(30))
            #expect(tracker.isEmpty)
            #expect("\(tracker)" == "TaskTracker(sessions, 0 tasks, closed)")
        }
    }

    @Test("an empty tracker keeps who waits until it is closed", arguments: Setting.timeless)
    func emptyButOpen(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let (tracker, waited) = (TaskTracker(), Counter())
            let waiting = loop.submit {
                try await tracker.wait()
                waited.add()
            }
            try tracker.spawn {}
            await until { tracker.isEmpty }
            await loop.settle()
            #expect(waited.value == 0)
            tracker.close()
            try await waiting.value
        }
    }

    @Test("a closed and empty tracker lets everybody through at once", arguments: Setting.timeless)
    func closedAndEmpty(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ in
            let tracker = TaskTracker()
            tracker.close()
            try await tracker.wait()
            try await tracker.wait()
        }
    }

    @Test("closing does not refuse tasks: who waits, waits for them, too", arguments: Setting.timeless)
    func spawnAfterClose(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let tracker = TaskTracker()
            tracker.close()
            try tracker.spawn { try await loop.after(20) }
            let start = loop.now
            try await tracker.wait()
            #expect(loop.elapsed(since: start) == .milliseconds(20))
        }
    }

    @Test("opened again, it keeps who waits", arguments: Setting.timeless)
    func reopen(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let (tracker, gate) = (TaskTracker(), Gate())
            try tracker.spawn { await gate.pass() }
            tracker.close()
            let waiting = loop.submit { try await tracker.wait() }
            await until { tracker.waitingTasks.count == 1 }
            #expect(tracker.reopen())
            #expect(!tracker.reopen())
            gate.open()
            await until { tracker.isEmpty }
            #expect(tracker.waitingTasks.count == 1)
            tracker.close()
            try await waiting.value
        }
    }

    @Test(
        "tasks end in whatever way: with an error, or cancelled; errors are reported as ever",
        arguments: Setting.timeless)
    func endings(setting: Setting) async throws {
        let errors = Errors()
        try await withVirtualTime(setting, errors: errors) { loop in
            let tracker = TaskTracker()
            try tracker.spawn(name: "fails") { throw Failure() }
            let cancelled = try tracker.spawn { try await untilCancelled(loop) }
            let value = try tracker.spawn { 5 }
            cancelled.cancel()
            tracker.close()
            try await tracker.wait()
            try await expect(value.value, is: 5)
        }
        #expect(errors.contexts == ["fails"])
    }

    @Test("waiting can be cancelled; the tasks go on", arguments: Setting.timeless)
    func cancelled(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let tracker = TaskTracker()
            let task = try tracker.spawn { try await loop.after(50) }
            tracker.close()
            let waiting = loop.submit { try await tracker.wait() }
            await until { tracker.waitingTasks.count == 1 }
            waiting.cancel()
            await #expect(throws: CancellationError.self) { try await waiting.value }
            #expect(tracker.waitingTasks.isEmpty)
            try await expect(task.value, is: 50)
        }
    }

    @Test("tasks of other threads are spawned on its loop")
    func threads() async throws {
        let thread = try LoopThread(options: .guest())
        let loop = thread.loop
        let (tracker, there) = (TaskTracker(on: loop), Counter())
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<50 {
                group.addTask { _ = try? tracker.spawn { if loop.isCurrent { there.add() } } }
            }
        }
        tracker.close()
        try await tracker.wait()
        #expect(there.value == 50)
        await thread.shutdown()
        let late = try tracker.spawn {}
        await #expect(throws: EventLoopError.closed("guest")) { try await late.value }
        #expect(tracker.isEmpty)
        #expect(throws: EventLoopError.noLoop) { try TaskTracker().spawn {} }
    }
}
