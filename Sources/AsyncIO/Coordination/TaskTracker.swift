public import AsyncIOLoop

/// Counts background tasks, so that one can wait until all are done: for a server that ends in good order.
///
/// ```swift
/// let sessions = TaskTracker(name: "sessions")
/// try sessions.spawn { … }
/// sessions.close()
/// try await sessions.wait()
/// ```
///
/// Closing says that no more tasks are expected; it does not refuse them. Errors that nobody awaits go to the loop's
/// error handler, as with `spawn`; the tasks leave no results behind. All methods may be called from any thread.
///
/// tokio-util's `TaskTracker`.
public final class TaskTracker: Sendable, CustomStringConvertible {
    /// What the tracker is called in descriptions.
    public let name: String
    private let loop: EventLoop?
    private let parking: Parking<TrackerMachine>

    /// Makes an open tracker for tasks of this loop; without one, of the loop that runs where a task is spawned.
    public init(name: String = "tracker", on loop: EventLoop? = nil) {
        self.name = name
        parking = Parking(TrackerMachine(), name: name, sharing: .acrossThreads)
        self.loop = loop
    }

    /// Starts a background task of the loop, and counts it until it has ended.
    ///
    /// Does not suspend. Throws `EventLoopError.noLoop` where no loop runs and the tracker has none.
    @discardableResult
    public func spawn<Success: Sendable>(
        name: String? = nil, file: StaticString = #fileID, line: UInt = #line,
        _ body: sending @escaping () async throws -> Success
    ) throws -> BackgroundTask<Success> {
        let loop = try EventLoop.required(loop)
        let number = parking.read { $0.add(name ?? "task at \(file):\(line)") }
        let task = loop.spawn(name: name, file: file, line: line, body)
        _ = task.observe(.watches) { [parking] _ in
            parking.visit { $0.remove(number, waking: &$1) }
        }
        return task
    }

    /// Expects no more tasks: who waits goes on when the last one has ended. True if it was open.
    @discardableResult
    public func close() -> Bool { parking.visit { $0.close(waking: &$1) } }

    /// Expects tasks again. True if it was closed.
    @discardableResult
    public func reopen() -> Bool { parking.read { $0.reopen() } }

    /// Suspends until the tracker is closed and all its tasks have ended. Throws `CancellationError`.
    public func wait() async throws {
        try await Visit.enter()
        try await parking.wait { $0.wait($1) }
    }

    /// Whether it expects no more tasks.
    public var isClosed: Bool { parking.read { $0.isClosed } }
    /// Tasks that have not ended.
    public var count: Int { parking.read { $0.tasks.count } }
    /// Whether all tasks have ended.
    public var isEmpty: Bool { count == 0 }
    /// The names of the tasks that have not ended, oldest first.
    public var names: [String] { parking.read { $0.tasks }.sorted { $0.key < $1.key }.map(\.value) }
    /// The tasks that wait for the end of all, longest first.
    public var waitingTasks: [TaskID] { parking.read { $0.waiters.tasks } }

    /// `TaskTracker(sessions, 3 tasks, closed)`.
    public var description: String {
        let (count, isClosed) = parking.read { ($0.tasks.count, $0.isClosed) }
        return "TaskTracker(\(name), \(count) \(count == 1 ? "task" : "tasks")\(isClosed ? ", closed" : ""))"
    }
}

/// Decides when all is done.
struct TrackerMachine: WaitMachine, ~Copyable {
    private(set) var isClosed = false
    private(set) var tasks: [UInt64: String] = [:]
    private(set) var waiters = ParkingLot()
    private var next: UInt64 = 0

    mutating func add(_ name: String) -> UInt64 {
        next += 1
        tasks[next] = name
        return next
    }

    mutating func remove(_ task: UInt64, waking woken: inout WakeList) {
        tasks[task] = nil
        letGo(waking: &woken)
    }

    mutating func close(waking woken: inout WakeList) -> Bool {
        guard !isClosed else { return false }
        isClosed = true
        letGo(waking: &woken)
        return true
    }

    mutating func reopen() -> Bool {
        defer { isClosed = false }
        return isClosed
    }

    mutating func wait(_ visitor: ParkedTask) -> Arrival {
        guard !isClosed || !tasks.isEmpty else {
            visitor.grant()
            return .answered
        }
        waiters.append(visitor)
        return .parked
    }

    private mutating func letGo(waking woken: inout WakeList) {
        if isClosed && tasks.isEmpty { waiters.grantAll(waking: &woken) }
    }

    mutating func leave(_ waiter: ParkedTask, waking woken: inout WakeList) {
        waiters.remove(waiter)
    }
}
