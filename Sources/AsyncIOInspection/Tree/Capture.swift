import AsyncIOKernel
import AsyncIOLoop
import Glibc

extension Inspection {
    /// What the tasks of the process are at.
    ///
    /// Each loop is asked on its own thread, in pieces of a few hundred tasks between which it goes on with its work;
    /// so the picture is that of a few milliseconds, and not of one moment. A loop that is not on its thread now is
    /// read from here. One that does not answer in time, since one of its tasks blocks it, is told of in
    /// ``TaskTree/notes``, and so is one whose time is a test's: that is asked on its own thread alone.
    ///
    /// Suspends. Cancellation does nothing: the call is over after the timeout at the latest. Where nothing is
    /// inspected, the tree is empty and a note says so. To read the tasks' stacks, too, costs the loops some
    /// microseconds a task.
    public static func captureTaskTree(stacks: Bool = false, timeout: Duration = .seconds(2)) async -> TaskTree {
        await Capture(of: .shared, stacks: stacks).tree(within: timeout)
    }

    /// Writes the tree of the process's tasks to standard error: for a debugger's command line, or a moment of despair.
    ///
    /// Does not suspend: the calling loop is read at once, others get a fifth of a second to answer.
    public static func printTaskTree(stacks: Bool = false) {
        StandardError.write(captureTaskTreeBlocking(stacks: stacks, timeout: .milliseconds(200)).text())
    }

    /// As ``captureTaskTree(stacks:timeout:)`` on a thread that may block. On a loop's thread that loop is read whole.
    package static func captureTaskTreeBlocking(stacks: Bool, timeout: Duration) -> TaskTree {
        let capture = Capture(of: .shared, stacks: stacks)
        capture.run(timeout: timeout)
        return capture.tree()
    }
}

/// One capture of the tasks of a process: asks the loops, waits for their answers, puts them together.
final class Capture: Sendable {
    private struct State {
        var loops: [LoopView] = []
        /// How far the tables of the loops have been read, by the loops' numbers.
        var places: [Int: Int] = [:]
        var tasks: [RawTask] = []
        var notes: [String] = []
    }

    private let inspector: ProcessInspector
    private let readsStacks: Bool
    private let state = Locked(State())

    init(of inspector: ProcessInspector, stacks: Bool) {
        self.inspector = inspector
        readsStacks = stacks
    }

    /// Runs on a thread of its own, and returns what it has found. On a loop whose time is a test's it runs here: there
    /// nobody may be woken by another thread.
    func tree(within timeout: Duration) async -> TaskTree {
        if EventLoop.current?.hasOwnTime == true {
            run(timeout: timeout)
            return tree()
        }
        await Waiter.suspend(for: Errand("capture")) { waiter in
            do {
                let thread = try InspectionThread.start("capture") {
                    self.run(timeout: timeout)
                    waiter.wake()
                }
                thread.detach()
                return true
            } catch {
                note("no thread for the capture: \(error)")
                return false
            }
        }
        return tree()
    }

    func note(_ text: String) { state.withLock { $0.notes.append(text) } }

    /// Asks all loops, and waits until they have answered or the time is up.
    func run(timeout: Duration) {
        guard inspector.options != nil else {
            return note("nothing is inspected: call Inspection.start() first, or set ASYNCIO_INSPECT=1")
        }
        if let refusal = TaskReader.refusal { note(refusal) }
        let visits = LoopVisits(inspector) { self.readOn($0, isAway: $1) }
        let outcome = visits.run(until: .monotonicNow.advanced(by: timeout))
        for loop in outcome.untouched {
            note(
                "\(loop.name): its time is a test's, so nobody asks it from outside, which would change what happens "
                    + "on it; call Inspection.printTaskTree() there")
        }
        for loop in outcome.late {
            note(
                "\(loop.name): has not answered for \(timeout.inWords): one of its tasks blocks it, "
                    + "or the process stalls")
        }
    }

    /// Reads some tasks of a loop; true if those were the last ones. Where nothing of the loop runs.
    private func readOn(_ inspector: LoopInspector, isAway: Bool) -> Bool {
        let number = inspector.number
        let place = state.withLock { $0.places[number] }
        if place == nil {
            let view = inspector.view(isAway: isAway)
            state.withLock { $0.loops.append(view) }
        }
        inspector.lookWhoIsReady()
        let start = place ?? 0
        let end = min(start + 256, inspector.table.capacity)
        var found: [RawTask] = []
        let pages = CopiedPages()
        for position in start..<max(start, end) {
            // Where a task began, which is its name if it has no other, stands at the end of its stack.
            if let task = inspector.read(position, frames: 64, isAway: isAway, from: pages) { found.append(task) }
        }
        state.withLock { state in
            state.tasks += found
            state.places[number] = end
        }
        return end == inspector.table.capacity
    }

    // MARK: The answer

    /// What has been found, with the addresses resolved. Not on a loop's thread, unless somebody wants it at once.
    func tree() -> TaskTree {
        let state = state.withLock { $0 }
        var found = state.tasks
        // Where tasks cannot be read, a loop forgets those that live in their parents' memory, and meets them again.
        if state.loops.count > 1 || TaskReader.refusal != nil {
            // A task that has moved from loop to loop is known to several: the one that saw it last is right.
            var newest: [UInt64: Instant] = [:]
            for task in found { newest[task.view.id] = max(newest[task.view.id] ?? task.seen, task.seen) }
            found = found.filter { newest[$0.view.id] == $0.seen && newest.removeValue(forKey: $0.view.id) != nil }
        }
        var tasks = found.map { $0.resolved(withStack: readsStacks) }
        tasks.sort { $0.id < $1.id }
        return TaskTree(
            process: getpid(), program: CommandLine.arguments.first ?? "",
            loops: state.loops.sorted { $0.number < $1.number }, tasks: tasks, notes: state.notes)
    }
}

/// A task as it was read on its loop: the addresses are still to be resolved.
struct RawTask: Sendable {
    var view: TaskView
    /// Where its code begins.
    var entryPoint: UInt
    var stack: [UInt]
    /// When its loop saw it last.
    var seen: Instant

    func resolved(withStack showsStack: Bool) -> TaskView {
        var view = view
        // Code often begins in something of the compiler's, which only the stack leads on from.
        view.origin = Symbols.origin(of: stack) ?? Symbols.origin(of: [entryPoint])
        let isForeign = view.wait?.kind == "continuation"
        guard showsStack || isForeign else { return view }
        let frames = Symbols.frames(of: stack)
        if isForeign { view.wait?.standing = frames.first.map { "in \($0)" } }
        if showsStack { view.stack = frames }
        return view
    }
}
