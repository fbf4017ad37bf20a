/// What the tasks of a process are at, as one value: for people as text (``description``), for programs as `Codable`.
public struct TaskTree: Codable, Sendable {
    /// The process's id.
    public var process: Int32
    /// What was run, with its path.
    public var program: String
    /// The loops that are inspected, in the order of their beginnings.
    public var loops: [LoopView]
    /// The tasks, in the order of their ids, which is the one of their creation.
    public var tasks: [TaskView]
    /// What could not be found out, and why: a line each.
    public var notes: [String]
}

/// An event loop at a moment.
public struct LoopView: Codable, Sendable {
    /// Its number in the process, from 1: ``TaskView/loop`` names it.
    public var number: Int
    /// Its name.
    public var name: String
    /// The driver: `epoll`, `io_uring`.
    public var driver: String
    /// The number of its thread, as `ps -L` and `top -H` show it.
    public var thread: Int32
    /// Turns so far.
    public var ticks: UInt64
    /// Jobs of tasks run so far.
    public var jobs: UInt64
    /// Operations started so far.
    public var operations: UInt64
    /// Operations that wait now.
    public var waitingOperations: Int
    /// Timers that are pending now.
    public var pendingTimers: Int
    /// Entries in the ready queue now.
    public var ready: Int
    /// How long the loop has run tasks, of the time that it was inspected.
    public var busy: Duration
    /// Since when it has been inspected.
    public var age: Duration
    /// The longest time that a job waited in the ready queue before it ran, in the last seconds.
    public var lag: Duration
    /// The longest run of one job so far.
    public var longestRun: Duration
    /// Whether it is not on its thread now, as between two bodies of an `EventLoop.Runner`: nothing of it runs.
    public var isResting = false
}

/// A task at a moment.
public struct TaskView: Codable, Sendable {
    /// The runtime's number.
    public var id: UInt64
    /// The name that it was given.
    public var name: String?
    /// The ``LoopView/number`` of the loop where it ran last.
    public var loop: Int
    /// The task that it is a child of: that one awaits its end.
    public var parent: UInt64?
    /// The task that created it; nil where nobody saw it.
    public var creator: UInt64?
    /// How it was created.
    public var kind: Kind
    /// Where its code begins: a function, and its place where that is known.
    public var origin: Frame?
    /// What it is at.
    public var state: State
    /// What it waits for.
    public var wait: Wait?
    /// For how long it has been in its state.
    public var since: Duration
    /// Since when the loop has known it.
    public var age: Duration
    /// How long it has run in all. What a task costs the processor, if nobody else had it meanwhile.
    public var runTime: Duration
    /// How often it has run.
    public var runs: UInt64
    /// The longest that it ran at a time.
    public var longestRun: Duration
    /// Whether it was cancelled.
    public var isCancelled: Bool
    /// Where it is suspended: the innermost function first, as far as it was asked for and can be read.
    public var stack: [Frame]

    /// How a task was created.
    public enum Kind: String, Codable, Sendable {
        /// `Task {}`, `Task.detached {}`, `loop.spawn {}`.
        case unstructured
        /// By a task group.
        case groupChild
        /// `async let`.
        case asyncLet
        /// What is not known.
        case unknown
    }

    /// What a task is at.
    public enum State: String, Codable, Sendable {
        /// It is in the ready queue.
        case ready
        /// It runs now.
        case running
        /// It is suspended.
        case waiting
    }
}

/// What a task waits for.
public struct Wait: Codable, Sendable, Equatable {
    /// The kind, as a word for people: `read`, `accept`, `sleep`, `lock`, `queue`, `task`, `group`, `continuation`.
    public var kind: String
    /// What it waits at: a peer's address, the name of a lock, a queue or a task.
    public var target: String?
    /// How things stand there: `10 of 10 in it`.
    public var standing: String?
    /// The descriptor, of an operation on one.
    public var descriptor: Int32?
    /// The time that is left, of a timer.
    public var left: Duration?
    /// The tasks that could let it go on: a lock's holder, a child, the task whose value it awaits.
    public var tasks: [UInt64]

    /// Creates a description.
    public init(
        kind: String, target: String? = nil, standing: String? = nil, descriptor: Int32? = nil, left: Duration? = nil,
        tasks: [UInt64] = []
    ) {
        self.kind = kind
        self.target = target
        self.standing = standing
        self.descriptor = descriptor
        self.left = left
        self.tasks = tasks
    }
}

/// A place in code.
public struct Frame: Codable, Sendable, Equatable {
    /// The address, as it lies in memory.
    public var address: UInt
    /// The function, demangled; nil where no symbol tells.
    public var function: String?
    /// The file, as the compiler was given it.
    public var file: String?
    /// The line, from 1.
    public var line: Int?
    /// The executable or library, by the last part of its path.
    public var image: String?
    /// Where the address lies in the image.
    public var offset: UInt?

    /// Creates a frame.
    public init(
        address: UInt, function: String? = nil, file: String? = nil, line: Int? = nil, image: String? = nil,
        offset: UInt? = nil
    ) {
        self.address = address
        self.function = function
        self.file = file
        self.line = line
        self.image = image
        self.offset = offset
    }
}
