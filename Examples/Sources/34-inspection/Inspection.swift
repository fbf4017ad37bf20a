import AsyncIO
import AsyncIOInspection
import Glibc

/// `34-inspection TRACE.html` looks at itself: it prints the tree of its tasks, runs two of them into a deadlock that
/// is named, and leaves a trace of it all in a file for browsers.
///
/// Any program can be looked at from outside as well, without a line of this: `ASYNCIO_INSPECT=1 ./program`, and then
/// `asyncio ps`, `pstree`, `top` and `trace`.
@main
struct Looking {
    static func main() {
        let arguments = CommandLine.arguments
        guard arguments.count == 2 else {
            print("usage: 34-inspection TRACE.html")
            exit(64)
        }
        // Before the loop begins: then no task is missed.
        Inspection.start()
        do { try EventLoop.run { try await look(arguments[1]) } } catch {
            print("34-inspection: \(error)")
            exit(1)
        }
    }

    static func look(_ path: String) async throws {
        guard let loop = EventLoop.current else { return }
        Inspection.startTrace()
        let letters = AsyncQueue<String>(capacity: 2, name: "letters")
        let reader = loop.spawn(name: "reader") { while true { _ = try await letters.get() } }
        let sleeper = loop.spawn(name: "sleeper") { try await loop.sleep(for: .seconds(1_000)) }
        // Let them come as far as they can.
        await EventLoop.yield()

        // For people, on standard error; and as a value, for programs.
        Inspection.printTaskTree()
        let tree = await Inspection.captureTaskTree(stacks: true)
        for task in tree.tasks { print(task.label, task.status) }

        print(try await deadlock(on: loop))
        reader.cancel()
        sleeper.cancel()

        let trace = await Inspection.stopTrace()
        try await File.writeAll(path, trace.html(title: "34-inspection"))
        print("\(trace.taskCount) tasks and \(trace.eventCount) events are in \(path)")
    }

    /// Two tasks take two locks, each in its own order, and what is said of it.
    static func deadlock(on loop: EventLoop) async throws -> String {
        let (accounts, journal) = (AsyncLock(name: "accounts"), AsyncLock(name: "journal"))
        let bothHoldOne = AsyncBarrier(parties: 2)
        let tasks = [("anna", accounts, journal), ("bob", journal, accounts)].map { name, first, second in
            loop.spawn(name: name) {
                try await first.withLock {
                    try await bothHoldOne.wait()
                    try await second.withLock {}
                }
            }
        }
        defer { for task in tasks { task.cancel() } }
        // In debug builds one of the two is told, which lets the other one go on.
        let told = loop.spawn(name: "listener") {
            for task in tasks {
                do { try await task.value } catch let error as DeadlockError { return "\(error)" } catch {}
            }
            return ""
        }
        while true {
            // In release builds both wait for ever, and the tree says it.
            let tree = await Inspection.captureTaskTree()
            if let circle = tree.circles.first { return "deadlock: \(circle.text)" }
            if tree.tasks.allSatisfy({ $0.name != "listener" }) { return try await told.value }
            await EventLoop.yield()
        }
    }
}
