import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("A cancellation token")
struct CancellationTokenTests {
    @Test("is cancelled once and for good")
    func once() {
        let token = CancellationToken(name: "stop")
        #expect(!token.isCancelled)
        #expect("\(token)" == "CancellationToken(stop)")
        #expect(throws: Never.self) { try token.check() }
        token.cancel()
        token.cancel()
        #expect(token.isCancelled)
        #expect("\(token)" == "CancellationToken(stop, cancelled)")
        #expect(throws: CancellationError.self) { try token.check() }
    }

    @Test("cancels its children and theirs, never its parent or its siblings")
    func tree() {
        let root = CancellationToken()
        let (left, right) = (root.child(), root.child())
        let (leaf, other) = (left.child(), left.child())
        leaf.cancel()
        #expect([root, left, right, leaf, other].map(\.isCancelled) == [false, false, false, true, false])
        left.cancel()
        #expect([root, left, right, leaf, other].map(\.isCancelled) == [false, true, false, true, true])
        root.cancel()
        #expect([root, left, right, leaf, other].map(\.isCancelled) == [true, true, true, true, true])
    }

    @Test("a child of a cancelled token is cancelled")
    func lateChild() {
        let token = CancellationToken()
        token.cancel()
        #expect(token.child().isCancelled)
        #expect(token.childCount == 0)
    }

    @Test("children that were dropped leave nothing behind")
    func droppedChildren() {
        let token = CancellationToken()
        for _ in 0..<1000 { _ = token.child() }
        #expect(token.childCount == 0)
        let child = token.child()
        #expect(token.childCount == 1)
        withExtendedLifetime(child) {}
    }

    @Test("a token is gone when nobody knows it, with and without parents, cancelled or not", arguments: [true, false])
    func dropped(cancel: Bool) {
        weak var weakParent: CancellationToken?
        weak var weakChild: CancellationToken?
        do {
            let parent = CancellationToken()
            let child = parent.child()
            (weakParent, weakChild) = (parent, child)
            if cancel { parent.cancel() }
        }
        #expect(weakParent == nil)
        #expect(weakChild == nil)
    }

    @Test("the cancellation passes a token in between that nobody but its child knows")
    func middle() {
        let root = CancellationToken()
        let leaf = root.child().child().child()
        root.cancel()
        #expect(leaf.isCancelled)
    }

    @Test("a line of a hundred thousand tokens is cancelled and let go without overflowing the stack")
    func longLine() {
        let root = CancellationToken()
        var leaf = root
        for _ in 0..<100_000 { leaf = leaf.child(name: "") }
        root.cancel()
        #expect(leaf.isCancelled)
        leaf = root
        var other = CancellationToken()
        for _ in 0..<100_000 { other = other.child(name: "") }
        #expect(!other.isCancelled)
    }

    @Test("handlers run once, in the order in which they came, parents before children")
    func handlers() {
        let log = Log<Int>()
        let token = CancellationToken()
        let child = token.child()
        child.onCancel { log.add(3) }
        token.onCancel { log.add(1) }
        token.onCancel { log.add(2) }
        #expect(log.all.isEmpty)
        token.cancel()
        token.cancel()
        child.cancel()
        #expect(log.all == [1, 2, 3])
    }

    @Test("a handler for a token that is cancelled already runs at once")
    func lateHandler() {
        let log = Log<Int>()
        let token = CancellationToken()
        token.cancel()
        let registration = token.onCancel { log.add(1) }
        #expect(log.all == [1])
        registration.remove()
    }

    @Test("a handler that was removed does not run, and what it captured is let go")
    func removedHandler() {
        final class Witness: Sendable {}
        weak var weakWitness: Witness?
        let (token, log) = (CancellationToken(), Log<Int>())
        do {
            let witness = Witness()
            weakWitness = witness
            let registration = token.onCancel { withExtendedLifetime(witness) { log.add(1) } }
            registration.remove()
            registration.remove()
        }
        #expect(weakWitness == nil)
        token.cancel()
        #expect(log.all.isEmpty)
    }

    @Test("a handler may come back to the token: it runs outside of the lock")
    func reentrant() {
        let (token, log) = (CancellationToken(), Log<Bool>())
        let child = token.child()
        token.onCancel {
            log.add(token.isCancelled)
            child.cancel()
            token.onCancel { log.add(true) }
            token.cancel()
            _ = token.child()
        }
        token.cancel()
        #expect(log.all == [true, true])
    }

    @Test("those who wait go on when it is cancelled, or at once when it has been")
    func wait() async throws {
        try await withVirtualTime { loop in
            let token = CancellationToken()
            let waiting = (0..<3).map { _ in loop.submit { try await token.waitUntilCancelled() } }
            await until { token.waitingTasks.count == 3 }
            token.cancel()
            for task in waiting { try await task.value }
            try await token.waitUntilCancelled()
            #expect(token.waitingTasks.isEmpty)
        }
    }

    @Test("waiting can itself be cancelled, and then the token is as it was")
    func waitCancelled() async throws {
        try await withVirtualTime { loop in
            let token = CancellationToken()
            let waiting = loop.submit { try await token.waitUntilCancelled() }
            await until { token.waitingTasks.count == 1 }
            waiting.cancel()
            await #expect(throws: CancellationError.self) { try await waiting.value }
            #expect(token.waitingTasks.isEmpty)
            #expect(!token.isCancelled)
        }
    }

    @Test("a wait of a task that is cancelled already throws, even if the token is cancelled, too")
    func cancelledBefore() async throws {
        try await withVirtualTime { loop in
            let token = CancellationToken()
            token.cancel()
            let task = loop.submit {
                try? await untilCancelled(loop)
                try await token.waitUntilCancelled()
            }
            await loop.settle()
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
    }

    @Test("a body that runs under a token is cancelled with it, or with its parent", arguments: [true, false])
    func run(parent: Bool) async throws {
        try await withVirtualTime { loop in
            let token = CancellationToken()
            let child = token.child()
            let ended = Counter()
            let task = loop.submit {
                try await child.run {
                    defer { ended.add() }
                    try await untilCancelled(loop)
                }
            }
            await loop.settle()
            (parent ? token : child).cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(ended.value == 1)
        }
    }

    @Test("a body's value and error come through, and the task itself is not cancelled")
    func runEnds() async throws {
        try await withVirtualTime { loop in
            let token = CancellationToken()
            try await expect(token.run { try await loop.after(10) }, is: 10)
            await #expect(throws: Failure.self) { try await token.run { throw Failure() } }
            #expect(token.waitingTasks.isEmpty)
            let value = try await token.run {
                token.cancel()
                return 5
            }
            #expect(value == 5, "what was completed is returned")
            #expect(!Task.isCancelled)
        }
    }

    @Test("cancelling the task that runs a body cancels the body, and not the token")
    func runCancelledFromOutside() async throws {
        try await withVirtualTime { loop in
            let (token, ended) = (CancellationToken(), Counter())
            let task = loop.submit {
                try await token.run {
                    defer { ended.add() }
                    try await untilCancelled(loop)
                }
            }
            await loop.settle()
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(ended.value == 1)
            #expect(!token.isCancelled)
        }
    }

    @Test("under a cancelled token nothing runs")
    func runCancelledBefore() async throws {
        try await withVirtualTime { _ in
            let (token, ran) = (CancellationToken(), Counter())
            token.cancel()
            await #expect(throws: CancellationError.self) { _ = try await token.run { ran.add() } }
            #expect(ran.value == 0)
        }
    }

    @Test("cancelled from another thread, bodies end and waiters go on")
    func threads() async throws {
        try await Guest.run { loop in
            let token = CancellationToken()
            let tasks = (0..<20).map { _ in
                loop.submit {
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        group.addTask { try await token.waitUntilCancelled() }
                        group.addTask { try? await token.child().run { try await untilCancelled(loop) } }
                        try await group.waitForAll()
                    }
                }
            }
            await until { token.waitingTasks.count == 20 }
            try await Watchdog.onThread { token.cancel() }
            for task in tasks { try await task.value }
        }
    }
}

@Suite("A task tracker")
struct TaskTrackerTests {
    @Test("lets who waits go when it is closed and its tasks have ended")
    func closes() async throws {
        try await withVirtualTime { loop in
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

    @Test("an empty tracker keeps who waits until it is closed")
    func emptyButOpen() async throws {
        try await withVirtualTime { loop in
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

    @Test("a closed and empty tracker lets everybody through at once")
    func closedAndEmpty() async throws {
        try await withVirtualTime { _ in
            let tracker = TaskTracker()
            tracker.close()
            try await tracker.wait()
            try await tracker.wait()
        }
    }

    @Test("closing does not refuse tasks: who waits, waits for them, too")
    func spawnAfterClose() async throws {
        try await withVirtualTime { loop in
            let tracker = TaskTracker()
            tracker.close()
            try tracker.spawn { try await loop.after(20) }
            let start = loop.now
            try await tracker.wait()
            #expect(loop.elapsed(since: start) == .milliseconds(20))
        }
    }

    @Test("opened again, it keeps who waits")
    func reopen() async throws {
        try await withVirtualTime { loop in
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

    @Test("tasks end in whatever way: with an error, or cancelled; errors are reported as ever")
    func endings() async throws {
        let errors = Errors()
        try await withVirtualTime(errors: errors) { loop in
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

    @Test("waiting can be cancelled; the tasks go on")
    func cancelled() async throws {
        try await withVirtualTime { loop in
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
