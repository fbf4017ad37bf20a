/// Decides who has a lock.
struct LockMachine: WaitMachine, ~Copyable {
    private(set) var isTaken = false
    private(set) var holder: TaskID?
    private(set) var waiters = ParkingLot()
    private(set) var acquired: UInt64 = 0
    private(set) var waits: UInt64 = 0

    enum Taking { case done, taken }

    @inline(__always)
    mutating func take(for task: TaskID?) -> Taking {
        // Nobody waits while it is free: giving it back passes it on.
        guard !isTaken else { return .taken }
        isTaken = true
        holder = task
        acquired &+= 1
        return .done
    }

    /// Ends the visit of a task that holds the lock already: it would wait for itself.
    mutating func take(_ visitor: ParkedTask) -> Arrival {
        guard take(for: visitor.task) == .taken else {
            visitor.grant()
            return .answered
        }
        // Zero is no task's number.
        guard holder != visitor.task || visitor.task.number == 0 else {
            visitor.end()
            return .answered
        }
        waits &+= 1
        waiters.append(visitor)
        return .parked
    }

    @inline(__always)
    mutating func giveBack(waking woken: inout WakeList) {
        isTaken = false
        holder = nil
        guard let next = waiters.popFirst() else { return }
        _ = take(for: next.task)
        woken.grant(next)
    }

    /// From now on no task in particular holds it.
    mutating func disown() {
        holder = nil
    }

    mutating func leave(_ waiter: ParkedTask, waking woken: inout WakeList) {
        waiters.remove(waiter)
    }
}

/// What a lock has done so far, and who waits.
public struct LockStatistics: Sendable, Hashable {
    /// Times that it was taken.
    public let acquired: UInt64
    /// Calls that had to wait.
    public let waits: UInt64
    /// Whether somebody holds it.
    public let isLocked: Bool
    /// Tasks that wait for it.
    public let waiting: Int
}
