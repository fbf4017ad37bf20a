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

    @Test("those who wait go on when it is cancelled, or at once when it has been", arguments: Setting.timeless)
    func wait(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let token = CancellationToken()
            let waiting = (0..<3).map { _ in loop.submit { try await token.waitUntilCancelled() } }
            await until { token.waitingTasks.count == 3 }
            token.cancel()
            for task in waiting { try await task.value }
            try await token.waitUntilCancelled()
            #expect(token.waitingTasks.isEmpty)
        }
    }

    @Test("waiting can itself be cancelled, and then the token is as it was", arguments: Setting.timeless)
    func waitCancelled(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
            let token = CancellationToken()
            let waiting = loop.submit { try await token.waitUntilCancelled() }
            await until { token.waitingTasks.count == 1 }
            waiting.cancel()
            await #expect(throws: CancellationError.self) { try await waiting.value }
            #expect(token.waitingTasks.isEmpty)
            #expect(!token.isCancelled)
        }
    }

    @Test(
        "a wait of a task that is cancelled already throws, even if the token is cancelled, too",
        arguments: Setting.timeless)
    func cancelledBefore(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
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

    @Test(
        "a body that runs under a token is cancelled with it, or with its parent", arguments: [true, false],
        Setting.timeless)
    func run(parent: Bool, setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
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

    @Test("a body's value and error come through, and the task itself is not cancelled", arguments: Setting.timeless)
    func runEnds(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
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

    @Test("cancelling the task that runs a body cancels the body, and not the token", arguments: Setting.timeless)
    func runCancelledFromOutside(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop in
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

    @Test("under a cancelled token nothing runs", arguments: Setting.timeless)
    func runCancelledBefore(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ in
            let (token, ran) = (CancellationToken(), Counter())
            token.cancel()
            await #expect(throws: CancellationError.self) { _ = try await token.run { ran.add() } }
            #expect(ran.value == 0)
        }
    }

    @Test("cancelled from another thread, bodies end and waiters go on", arguments: Setting.onRealLoop)
    func threads(setting: Setting) async throws {
        try await withLoop(setting) { loop in
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
