import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO

/// Debug mode's part on a loop: where its tasks were created, and what of them has been found already. On the loop's
/// thread.
final class DebugRounds {
    let desk: DebugDesk
    /// Where tasks were created, by their ids.
    private(set) var places: [UInt64: [UInt]] = [:]
    /// Since when tasks are seen to be cancelled; nil once that was reported.
    private var cancelled: [UInt64: Instant?] = [:]
    /// The waits that were reported: a task, and since when it waits.
    private var waits: [UInt64: Instant] = [:]
    /// The queues that were reported, and are still full.
    private var fullQueues: Set<ObjectIdentifier> = []

    init(desk: DebugDesk) { self.desk = desk }

    /// On the loop's thread, as the rest. Where time is a test's there are no rounds, since they would be turns of the
    /// loop that come when they like.
    func begin(_ inspector: LoopInspector) {
        guard !inspector.loop.hasOwnTime else { return }
        let held = HeldInspector(inspector)
        desk.visit(inspector.loop) { held.inspector.map { $0.debug?.look($0) } }
    }

    func end(_ inspector: LoopInspector) { desk.leave(inspector.loop) }

    /// A task has been created here.
    func created(_ task: UInt64) { places[task] = DebugDesk.here() }

    func forget(_ task: UInt64) {
        places[task] = nil
        cancelled[task] = nil
        waits[task] = nil
    }

    // MARK: A round

    func look(_ inspector: LoopInspector) {
        let now = inspector.loop.now
        inspector.lookWhoIsReady()
        var parents: Set<UInt64> = []
        for position in 0..<inspector.table.capacity where inspector.table[position].id != 0 {
            parents.insert(inspector.table[position].parent)
        }
        var full: Set<ObjectIdentifier> = []
        for position in 0..<inspector.table.capacity {
            let entry = inspector.table[position]
            guard entry.id != 0 else { continue }
            if let limit = desk.options.ignoredCancellation, !parents.contains(entry.id) {
                lookForCancellation(entry, position, inspector, limit, now)
            }
            guard entry.phase == .waiting else { continue }
            let time = entry.since.duration(to: now)
            if let limit = desk.options.fullQueues, time >= limit, let place = entry.place {
                lookForFullQueue(entry, place, position, inspector, time, &full)
            }
            if let limit = desk.options.longWaits, time >= limit, waits[entry.id] != entry.since {
                waits[entry.id] = entry.since
                guard let task = inspector.read(position, frames: 64) else { continue }
                report(
                    .longWait, task, "has waited for \(time.inWords)\(task.waitInWords)",
                    "See whether what it waits for can still happen, or put a timeout around it", inspector)
            }
        }
        fullQueues = full
    }

    private func lookForCancellation(
        _ entry: TaskTable.Entry, _ position: Int, _ inspector: LoopInspector, _ limit: Duration, _ now: Instant
    ) {
        // The task of an `async let` lies in the memory of its parent, which may run elsewhere.
        guard entry.isRetained,
            unsafe swift_task_isCancelled(UnsafeMutableRawPointer(bitPattern: entry.task))
        else { return }
        guard let seen = cancelled[entry.id] else { return cancelled[entry.id] = now }
        guard let since = seen, since.duration(to: now) >= limit else { return }
        cancelled[entry.id] = .some(nil)
        guard let task = inspector.read(position, frames: 64) else { return }
        report(
            .ignoredCancellation, task,
            "was cancelled more than \(since.duration(to: now).inWords) ago, and goes on: it \(task.stateInWords)",
            "Look at Task.isCancelled in loops, and await what ends with the task", inspector)
    }

    private func lookForFullQueue(
        _ entry: TaskTable.Entry, _ place: any WaitingPlace, _ position: Int, _ inspector: LoopInspector,
        _ time: Duration, _ full: inout Set<ObjectIdentifier>
    ) {
        let standing = place.report(to: entry.visitor)
        guard standing.kind == "queue", let words = standing.standing, words.hasPrefix("to put") else { return }
        let key = ObjectIdentifier(place)
        guard full.insert(key).inserted, !fullQueues.contains(key) else { return }
        guard let task = inspector.read(position, frames: 64) else { return }
        let name = standing.name.isEmpty ? "a queue" : "queue \"\(standing.name)\""
        report(
            .fullQueue, task, "has waited for \(time.inWords) \(words), at \(name)",
            "Whoever takes from it is too slow, or gone: add some, or let who puts do without when it is full",
            inspector)
    }

    private func report(
        _ kind: DebugNotice.Kind, _ task: RawTask, _ finding: String, _ remedy: String, _ inspector: LoopInspector
    ) {
        let subject = task.view.name.map { "task \"\($0)\" (#\(task.view.id))" } ?? "task #\(task.view.id)"
        desk.report(
            DebugDesk.Finding(
                kind: kind, subject: subject, finding: "\(subject) \(finding)", remedy: remedy,
                madeAt: places[task.view.id] ?? [], stack: task.stack, loop: inspector.loop))
    }
}

/// An inspector on its way to its loop's thread.
private final class HeldInspector: @unchecked Sendable {
    private(set) weak var inspector: LoopInspector?
    init(_ inspector: LoopInspector) { self.inspector = inspector }
}

extension RawTask {
    fileprivate var waitInWords: String {
        guard let wait = view.wait else { return "" }
        let target = wait.target.map { " \($0)" } ?? wait.descriptor.map { " of descriptor \($0)" } ?? ""
        let standing = wait.standing.map { " (\($0))" } ?? ""
        let tasks = wait.tasks.isEmpty ? "" : " #" + wait.tasks.map { "\($0)" }.joined(separator: ", #")
        return " in \(wait.kind)\(target)\(standing)\(tasks)"
    }

    fileprivate var stateInWords: String {
        switch view.state {
        case .running: "runs"
        case .ready: "is about to run"
        case .waiting: "waits\(waitInWords)"
        }
    }
}
