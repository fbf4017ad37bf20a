import AsyncIOLoop
import AsyncIOTestSupport
import Testing

@testable import AsyncIO
@testable import AsyncIOInspection

/// What a capture says of tasks in states that the test has put them into.
@Suite("Capturing the task tree")
struct CaptureTests {
    /// Runs a body on an inspected loop, and lets it look at the tree.
    private func inspected(
        _ driver: DriverChoice,
        _ body: @escaping @Sendable (EventLoop, @escaping @Sendable () async -> TaskTree) async throws -> Void
    ) async throws {
        let inspector = ProcessInspector()
        _ = inspector.start(Inspection.Options())
        try await Guest.run(.guest(driver)) { loop in
            inspector.loopRuns(loop)
            defer { inspector.loopEnds(loop) }
            try await body(loop) { await Capture(of: inspector, stacks: false).tree(within: .seconds(60)) }
        }
    }

    /// Looks until a task is at what it is to be at.
    private func task(
        _ name: String, at kind: String, _ look: @Sendable () async -> TaskTree
    ) async throws -> (TaskView, TaskTree) {
        try await Watchdog.watch {
            while true {
                let tree = await look()
                if let task = tree.tasks.first(where: { $0.name == name && $0.wait?.kind == kind }) {
                    return (task, tree)
                }
                await Task.yield()
            }
        }
    }

    @Test("a task that reads is shown with its peer, one that sleeps with the time left", arguments: Drivers.available)
    func operations(driver: DriverChoice) async throws {
        try await inspected(driver) { loop, look in
            let listener = try await TCPListener.bind("127.0.0.1", 0)
            let client = try await TCPStream.connect("127.0.0.1", listener.address.port ?? 0)
            let server = try await listener.accept()
            let reader = loop.spawn(name: "reads") { try await server.read(upTo: 1) }
            let sleeper = loop.spawn(name: "sleeps") { try await loop.sleep(for: .seconds(1_000)) }
            let (reads, _) = try await task("reads", at: "read", look)
            #expect(reads.state == .waiting)
            let local = await client.local
            #expect(reads.wait?.target == local.map { "\($0)" })
            let (sleeps, _) = try await task("sleeps", at: "sleep", look)
            let left = try #require(sleeps.wait?.left)
            #expect(left > .seconds(900) && left <= .seconds(1_000))
            sleeper.cancel()
            reader.cancel()
            _ = try? await reader.value
            _ = try? await sleeper.value
            client.close()
            server.close()
            listener.close()
        }
    }

    /// What the register knows of a task, asked on the loop's thread.
    private static func known(_ name: String, on loop: EventLoop) -> TaskView? {
        guard let inspector = loop.watcher as? LoopInspector else { return nil }
        inspector.lookWhoIsReady()
        return (0..<inspector.table.capacity).lazy.compactMap { inspector.read($0, frames: 0)?.view }
            .first { $0.name == name }
    }

    @Test("a task that was woken and has not run yet is shown as ready, and since when", arguments: Drivers.available)
    func ready(driver: DriverChoice) async throws {
        try await inspected(driver) { loop, look in
            let event = AsyncEvent(name: "start")
            let parked = loop.spawn(name: "parked") { try await event.wait() }
            _ = try await task("parked", at: "event", look)
            let before = loop.now
            event.set()
            // This job goes on.
            let seen = try #require(Self.known("parked", on: loop))
            #expect(seen.state == .ready)
            #expect(seen.wait == nil)
            #expect(seen.since <= before.duration(to: loop.now))
            try await parked.value
        }
    }

    @Test(
        "of two tasks that have got their bytes, the one that runs sees the other one ready",
        arguments: Drivers.available)
    func bothReady(driver: DriverChoice) async throws {
        try await inspected(driver) { loop, look in
            let listener = try await TCPListener.bind("127.0.0.1", 0)
            let seen = Log<TaskView?>()
            var (clients, readers): ([TCPStream], [BackgroundTask<Void>]) = ([], [])
            for number in 0..<2 {
                clients.append(try await TCPStream.connect("127.0.0.1", listener.address.port ?? 0))
                let server = try await listener.accept()
                readers.append(
                    loop.spawn(name: "reader \(number)") {
                        _ = try await server.read(upTo: 1)
                        seen.add(Self.known("reader \(1 - number)", on: loop))
                        server.close()
                    })
            }
            for number in 0..<2 { _ = try await task("reader \(number)", at: "read", look) }
            let before = loop.now
            // Neither of them suspends.
            for client in clients { try await client.write([1]) }
            for reader in readers { try await reader.value }
            let other = try #require(seen.all.first ?? nil)
            #expect(other.state == .ready)
            #expect(other.wait == nil)
            #expect(other.since <= before.duration(to: loop.now))
            for client in clients { client.close() }
            listener.close()
        }
    }

    @Test(
        "a task that waits for a lock is shown with its holder, and a circle of two is named",
        arguments: Drivers.available)
    func deadlock(driver: DriverChoice) async throws {
        try await inspected(driver) { loop, look in
            let first = AsyncLock(name: "accounts")
            let second = AsyncLock(name: "journal")
            let bothHold = AsyncBarrier(parties: 2)
            let anna = loop.spawn(name: "anna") {
                try await first.withLock {
                    try await bothHold.wait(); try await second.withLock {}
                }
            }
            let bob = loop.spawn(name: "bob") {
                try await second.withLock {
                    try await bothHold.wait(); try await first.withLock {}
                }
            }
            // In debug builds one of the two is told, and gives way: then there is none to be seen.
            if DeadlockWatch.current == nil {
                let (waits, tree) = try await task("anna", at: "lock", look)
                let other = try #require(tree.tasks.first { $0.name == "bob" })
                #expect(waits.wait?.target == "journal")
                #expect(waits.wait?.tasks == [other.id])
                #expect(tree.circles.first?.tasks == [waits.id, other.id])
                #expect(
                    tree.text().contains("deadlock: anna #\(waits.id) waits for lock \"journal\" held by #\(other.id)"))
            }
            anna.cancel()
            bob.cancel()
            _ = try? await anna.value
            _ = try? await bob.value
        }
    }

    @Test("a wait that was none is not shown when the task waits elsewhere", arguments: Drivers.available)
    func noWait(driver: DriverChoice) async throws {
        try await inspected(driver) { loop, look in
            let (stream, feed) = AsyncStream<Int>.makeStream()
            let over = loop.spawn {}
            try await over.value
            let task = loop.spawn(name: "listens") {
                try await over.value
                for await _ in stream {}
            }
            let (listens, _) = try await self.task("listens", at: "continuation", look)
            #expect(listens.wait?.standing?.contains("AsyncStream") == true)
            feed.finish()
            try await task.value
        }
    }

    private actor Clerk {
        func work(_ lock: AsyncLock, _ stream: AsyncStream<Int>) async throws {
            try await lock.withLock {}
            for await _ in stream {}
        }
    }

    @Test(
        "a task that goes on in an actor is shown at its next wait, and not at its last one",
        arguments: Drivers.available)
    func actorsWait(driver: DriverChoice) async throws {
        try await inspected(driver) { loop, look in
            let lock = AsyncLock(name: "desk")
            let (stream, feed) = AsyncStream<Int>.makeStream()
            let hold = try await lock.acquire()
            let clerk = loop.spawn(name: "clerk") { try await Clerk().work(lock, stream) }
            _ = try await self.task("clerk", at: "lock", look)
            hold.release()
            let (_, tree) = try await self.task("clerk", at: "continuation", look)
            #expect(tree.circles.isEmpty)
            feed.finish()
            try await clerk.value
        }
    }
}
