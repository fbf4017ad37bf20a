import AsyncIOKernel
import Glibc

/// Knows which task waits for which lock, in the whole process, and finds the circle that a new wait closes.
///
/// Only waits that suspend come here. Who holds a lock is asked of the lock itself, so that taking a free one costs
/// nothing. Every circle is found, by the last of its waits to be noted; and what is found is one: an edge that was
/// noted before, and still stands when it is looked at, has stood all the while.
final class DeadlockWatch: Sendable {
    private struct Entry {
        let visitor: ParkedTask
        let lock: AsyncLock
        let taskName: String?
    }

    /// The process's watch; nil if nobody asked for one: in release builds without `ASYNCIO_DEBUG=1`.
    static let shared: DeadlockWatch? = _isDebugAssertConfiguration() || isAskedFor ? DeadlockWatch() : nil

    private static var isAskedFor: Bool {
        guard let value = unsafe getenv("ASYNCIO_DEBUG") else { return false }
        return unsafe String(cString: value) == "1"
    }

    /// Before any lock's own: no lock's own is held by whoever comes here.
    private let entries = Condition<[TaskID: Entry]>([:])

    /// A visitor of the current task has queued at a lock. Returns the circle that this closes.
    func note(_ visitor: ParkedTask, at lock: AsyncLock) -> DeadlockError? {
        let first = Entry(visitor: visitor, lock: lock, taskName: Task.name)
        return entries.withLock { entries in
            entries[visitor.task] = first
            var waits: [DeadlockError.Wait] = []
            var entry = first
            // A circle that does not come back here belongs to others.
            while waits.count < entries.count {
                guard let holder = entry.lock.holder(inTheWayOf: entry.visitor) else { return nil }
                waits.append(
                    DeadlockError.Wait(
                        task: entry.visitor.task, taskName: entry.taskName, lock: entry.lock.name, holder: holder))
                if holder == visitor.task { return DeadlockError(waits: waits) }
                guard let next = entries[holder] else { return nil }
                entry = next
            }
            return nil
        }
    }

    /// The visitor's wait is over.
    func forget(_ visitor: ParkedTask) {
        // Let go outside of the lock.
        let entry = entries.withLock { entries in
            entries[visitor.task]?.visitor === visitor ? entries.removeValue(forKey: visitor.task) : nil
        }
        withExtendedLifetime(entry) {}
    }
}
