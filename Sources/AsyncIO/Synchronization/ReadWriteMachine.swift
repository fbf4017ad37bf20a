/// Decides who reads and who writes: first come, first served, and readers that stand together go together.
struct ReadWriteMachine: WaitMachine, ~Copyable {
    /// What a visitor wants: its note.
    enum Access: Int { case read, write }

    private(set) var readers = 0
    private(set) var isWritten = false
    private(set) var writer: TaskID?
    private(set) var waiters = ParkingLot()
    private(set) var reads: UInt64 = 0
    private(set) var writes: UInt64 = 0
    private(set) var waits: UInt64 = 0

    private func isFree(for access: Access) -> Bool {
        !isWritten && (access == .read || readers == 0)
    }

    @inline(__always)
    private mutating func give(_ access: Access, to task: TaskID?) {
        switch access {
        case .read:
            readers += 1
            reads &+= 1
        case .write:
            isWritten = true
            writer = task
            writes &+= 1
        }
    }

    /// Takes it if it is free, and nobody came before. False otherwise.
    @inline(__always)
    mutating func take(_ access: Access, for task: TaskID?) -> Bool {
        guard isFree(for: access) && waiters.isEmpty else { return false }
        give(access, to: task)
        return true
    }

    /// Ends the visit of the task that writes: it would wait for itself.
    mutating func take(_ access: Access, _ visitor: ParkedTask) -> Arrival {
        guard !take(access, for: visitor.task) else {
            visitor.grant()
            return .answered
        }
        // Zero is no task's number.
        guard writer != visitor.task || visitor.task.number == 0 else {
            visitor.end()
            return .answered
        }
        waits &+= 1
        waiters.append(visitor)
        return .parked
    }

    mutating func giveBack(_ access: Access, waking woken: inout WakeList) {
        switch access {
        case .read: readers -= 1
        case .write:
            isWritten = false
            writer = nil
        }
        serve(waking: &woken)
    }

    /// The one who writes goes on as a reader, and the readers that wait in front with it.
    mutating func downgrade(waking woken: inout WakeList) {
        isWritten = false
        writer = nil
        readers = 1
        serve(waking: &woken)
    }

    /// From now on no task in particular writes.
    mutating func disown() {
        writer = nil
    }

    mutating func leave(_ waiter: ParkedTask, waking woken: inout WakeList) {
        waiters.remove(waiter)
        // A writer may have kept readers behind it from reading.
        serve(waking: &woken)
    }

    private mutating func serve(waking woken: inout WakeList) {
        while let first = waiters.first, let access = Access(rawValue: first.note), isFree(for: access) {
            waiters.remove(first)
            give(access, to: first.task)
            woken.grant(first)
        }
    }
}

/// What a read-write lock has done so far, and who waits.
public struct ReadWriteLockStatistics: Sendable, Hashable {
    /// Those who read now.
    public let readers: Int
    /// Whether somebody writes now.
    public let isWritten: Bool
    /// Times that it was taken for reading.
    public let reads: UInt64
    /// Times that it was taken for writing.
    public let writes: UInt64
    /// Calls that had to wait.
    public let waits: UInt64
    /// Tasks that wait.
    public let waiting: Int
}
