import AsyncIOKernel
import Glibc

/// A place where a task waits for others that are known: those who have what it asks for.
protocol HeldPlace: AnyObject, Sendable {
    /// What the place is called in errors.
    var name: String { get }
    /// Who has what the visitor waits for; nobody if it no longer waits, or if that cannot be seen from here.
    func holders(inTheWayOf visitor: ParkedTask) -> [TaskID]
    /// Ends the visit of one that still waits.
    func sendAway(_ visitor: ParkedTask)
}

/// Knows which task waits for which others, in the whole process, and finds the circle that a new wait closes.
///
/// Only waits that suspend come here. Who holds a lock is asked of the lock itself, so that taking a free one costs
/// nothing. Every circle is found, by the last of its waits to be noted; and what is found is one: an edge that was
/// noted before, and still stands when it is looked at, has stood all the while.
final class DeadlockWatch: Sendable {
    private struct Entry {
        let visitor: ParkedTask
        let place: any HeldPlace
        let patience: Patience
        let taskName: String?
        /// Why the visitor is sent away.
        var error: DeadlockError?
    }

    /// The process's watch; nil if nobody asked for one: in release builds without `ASYNCIO_DEBUG=1`.
    static let shared: DeadlockWatch? = _isDebugAssertConfiguration() || isAskedFor ? DeadlockWatch() : nil
    private static let ofSimulations = DeadlockWatch()

    /// The watch for what is done here: in a simulation there always is one.
    static var current: DeadlockWatch? { shared ?? (EventLoop.simulator == nil ? nil : ofSimulations) }

    private static var isAskedFor: Bool {
        guard let value = unsafe getenv("ASYNCIO_DEBUG") else { return false }
        return unsafe String(cString: value) == "1"
    }

    /// Before any lock's own: no lock's own is held by whoever comes here.
    private let entries = Condition<[TaskID: Entry]>([:])

    /// A visitor of the current task has queued. If that closes a circle, it is sent away; or, should it wait to the
    /// end, the next one of the circle that does not.
    ///
    /// There is always one: a task waits to the end only to take back a lock that it has lent. Among tasks that did,
    /// the last to lend its own had what the next one holds, which lent before and has held it ever since.
    func note(_ visitor: ParkedTask, at place: some HeldPlace, _ patience: Patience) {
        let entry = Entry(visitor: visitor, place: place, patience: patience, taskName: Task.name)
        let victim: Entry? = entries.withLock { entries in
            entries[visitor.task] = entry
            let circle = Self.circle(from: visitor.task, in: entries)
            guard let first = circle.firstIndex(where: { entries[$0.task]?.patience == .untilCancelled }) else {
                return nil
            }
            let task = circle[first].task
            entries[task]?.error = DeadlockError(waits: Array(circle[first...] + circle[..<first]))
            return entries[task]
        }
        if let victim { victim.place.sendAway(victim.visitor) }
    }

    /// The visitor's wait is over. Returns why, if it was sent away.
    func forget(_ visitor: ParkedTask) -> DeadlockError? {
        // Let go outside of the lock.
        let entry = entries.withLock { entries in
            entries[visitor.task]?.visitor === visitor ? entries.removeValue(forKey: visitor.task) : nil
        }
        return entry?.error
    }

    /// A way from a task along those who wait for each other back to itself; empty if there is none. A circle that does
    /// not come back there belongs to others.
    private static func circle(from start: TaskID, in entries: [TaskID: Entry]) -> [DeadlockError.Wait] {
        func waits(of task: TaskID) -> [DeadlockError.Wait] {
            guard let entry = entries[task] else { return [] }
            return entry.place.holders(inTheWayOf: entry.visitor).map { holder in
                DeadlockError.Wait(task: task, taskName: entry.taskName, lock: entry.place.name, holder: holder)
            }
        }
        var seen: Set<TaskID> = [start]
        var way: [DeadlockError.Wait] = []
        // For each step of the way, the ones that have not been tried.
        var untried = [waits(of: start)]
        while let wait = untried[untried.count - 1].popLast() ?? nextBest() {
            if wait.holder == start { return way + [wait] }
            guard seen.insert(wait.holder).inserted else { continue }
            way.append(wait)
            untried.append(waits(of: wait.holder))
        }
        return []

        /// Goes back to where something has not been tried.
        func nextBest() -> DeadlockError.Wait? {
            while untried.count > 1 {
                untried.removeLast()
                way.removeLast()
                if let wait = untried[untried.count - 1].popLast() { return wait }
            }
            return nil
        }
    }
}

extension Parking where Machine: ~Copyable {
    /// As ``park(note:patience:_:queued:)`` for a place whose holders are known. Throws ``DeadlockError`` where the
    /// task waits for itself, and `CancellationError`.
    func park(
        note: Int = 0, at place: some HeldPlace, _ arrive: (inout Machine, ParkedTask) -> Arrival
    ) async throws -> ParkedTask {
        let (visitor, deadlock) = await watched(note: note, .untilCancelled, at: place, arrive)
        switch visitor.phase {
        case .granted: return visitor
        case .ended: throw deadlock ?? DeadlockError(visitor.task, asksForItsOwn: place.name)
        case .fresh, .queued, .cancelled: throw CancellationError()
        }
    }

    /// The same to the end: if a circle closes, another one of its tasks is sent away.
    func parkToTheEnd(at place: some HeldPlace, _ arrive: (inout Machine, ParkedTask) -> Arrival) async {
        _ = await watched(note: 0, .endless, at: place, arrive)
    }

    private func watched(
        note: Int, _ patience: Patience, at place: some HeldPlace, _ arrive: (inout Machine, ParkedTask) -> Arrival
    ) async -> (ParkedTask, DeadlockError?) {
        let watch = DeadlockWatch.current
        let visitor = await park(note: note, patience: patience) { machine, visitor, _ in
            arrive(&machine, visitor)
        } queued: { visitor in
            watch?.note(visitor, at: place, patience)
        }
        return (visitor, watch?.forget(visitor))
    }
}
