/// A task waits for what only its own waiting keeps from happening.
///
/// Thrown at once to a task that asks for a lock that it holds itself. In debug builds, in simulations, and elsewhere
/// with `ASYNCIO_DEBUG=1` in the environment, also to one of the tasks of a circle that wait for each other's
/// ``AsyncLock``, ``AsyncReadWriteLock`` or ``AsyncOnce``: to the one whose call closes the circle; or, if that is a
/// wait at an ``AsyncCondition`` which takes its lock back, and must have it, to the next one. It does not get the
/// lock, and the others go on as soon as it gives back what it holds.
///
/// Permits of a semaphore belong to nobody in particular, nor do items of a queue: whoever waits for those is not seen.
public struct DeadlockError: Error, Hashable, CustomStringConvertible {
    /// A task, what it waits for, and who has that.
    public struct Wait: Hashable, Sendable {
        /// The task that waits.
        public let task: TaskID
        /// What the task is called.
        public let taskName: String?
        /// What it waits for: the name of a lock.
        public let lock: String
        /// The task that has it.
        public let holder: TaskID

        /// Creates the link.
        public init(task: TaskID, taskName: String?, lock: String, holder: TaskID) {
            self.task = task
            self.taskName = taskName
            self.lock = lock
            self.holder = holder
        }
    }

    /// The circle, from the task that is told: each task waits for the next one, and the last for the first.
    public let waits: [Wait]

    /// Creates the error.
    public init(waits: [Wait]) {
        self.waits = waits
    }

    init(_ task: TaskID, asksForItsOwn lock: String) {
        self.init(waits: [Wait(task: task, taskName: Task.name, lock: lock, holder: task)])
    }

    /// `task 7 "pay" waits for "a", which task 8 "refund" holds; task 8 "refund" waits for "b", which …`.
    public var description: String {
        if waits.count == 1, let wait = waits.first {
            return "\(title(wait.task)) asks for \"\(wait.lock)\", which it holds itself: it is not recursive, so give "
                + "it back first, or call what expects it to be held"
        }
        let sentences = waits.map { wait in
            "\(title(wait.task)) waits for \"\(wait.lock)\", which \(title(wait.holder)) holds"
        }
        return "deadlock: \(sentences.joined(separator: "; ")): take locks in the same order everywhere"
    }

    private func title(_ task: TaskID) -> String {
        let name = waits.first { $0.task == task }?.taskName
        return "task \(task)" + (name.map { " \"\($0)\"" } ?? "")
    }
}
