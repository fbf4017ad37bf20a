/// Decides who reads and who writes: first come, first served, and readers that stand together go together.
struct ReadWriteMachine: WaitMachine, ~Copyable {
    /// What a visitor wants: its note.
    enum Access: Int { case read, write }

    private(set) var readers = 0
    private(set) var isWritten = false
    private(set) var writer: TaskID?
    /// Those who read, as far as they are known; kept only for a ``DeadlockWatch``.
    private(set) var readingTasks: [TaskID] = []
    private let isWatched: Bool
    private(set) var waiters = ParkingLot()
    private(set) var reads: UInt64 = 0
    private(set) var writes: UInt64 = 0
    private(set) var waits: UInt64 = 0

    init(isWatched: Bool = DeadlockWatch.current != nil) {
        self.isWatched = isWatched
    }

    /// Whose end those who wait are waiting for. Readers that wait have a writer in front, who waits for the readers.
    var holders: [TaskID] { isWritten ? writer.map { [$0] } ?? [] : readingTasks }

    private func isFree(for access: Access) -> Bool {
        !isWritten && (access == .read || readers == 0)
    }

    @inline(__always)
    private mutating func give(_ access: Access, to task: TaskID?) {
        switch access {
        case .read:
            readers += 1
            reads &+= 1
            if isWatched, let task, task.number != 0 { readingTasks.append(task) }
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

    /// The task is the one that has read, if it is known.
    mutating func giveBack(_ access: Access, from task: TaskID? = nil, waking woken: inout WakeList) {
        switch access {
        case .read:
            readers -= 1
            disown(task)
        case .write:
            isWritten = false
            writer = nil
        }
        serve(waking: &woken)
    }

    /// The one who writes goes on as a reader, and the readers that wait in front with it.
    mutating func downgrade(waking woken: inout WakeList) {
        isWritten = false
        readers = 1
        if isWatched, let writer { readingTasks = [writer] }
        writer = nil
        serve(waking: &woken)
    }

    /// From now on no task in particular writes.
    mutating func disown() {
        writer = nil
    }

    /// From now on this one is not known to read.
    mutating func disown(_ reader: TaskID?) {
        guard isWatched, let reader, let index = readingTasks.firstIndex(of: reader) else { return }
        readingTasks.remove(at: index)
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
