/// Mutual exclusion between tasks that may suspend while they hold it.
///
/// ```swift
/// let account = AsyncLock(name: "account")
/// try await account.withLock {
///     let balance = try await store.read()
///     try await store.write(balance - 10)
/// }
/// ```
///
/// First come, first served, and nobody overtakes: a lock that is given back while tasks wait belongs to the first of
/// them at once. A cancelled task stops waiting with `CancellationError`; one that has been given the lock has it.
/// Not recursive: a task that asks for what it holds gets ``DeadlockError``.
///
/// asyncio's `Lock`.
public final class AsyncLock: Sendable, CustomStringConvertible {
    /// What the lock is called in errors and in the task tree.
    public let name: String
    private let parking: Parking<LockMachine>

    /// Makes a lock that is free.
    public init(name: String = "lock", sharing: Sharing = .acrossThreads) {
        self.name = name
        parking = Parking(LockMachine(), sharing: sharing)
    }

    /// Runs the body while holding the lock, and gives it back however the body ends.
    ///
    /// Suspends until the lock is free. Throws `CancellationError` before the body if the task is or becomes cancelled,
    /// ``DeadlockError`` if it could never get the lock, and what the body throws.
    @inlinable
    public func withLock<Result>(
        _ body: nonisolated(nonsending) () async throws -> Result
    ) async throws -> Result {
        if try !takeNow() { try await takeSlowly() }
        defer { giveBack() }
        return try await body()
    }

    /// Takes the lock; it is given back when the hold is released or goes out of scope.
    public func acquire() async throws -> Hold {
        if try !takeNow() { try await takeSlowly() }
        return Hold(lock: self)
    }

    /// Takes the lock if it is free now and nobody waits for it. Never suspends.
    public func tryAcquire() -> Hold? {
        let task = TaskID.current
        return parking.read { $0.take(for: task) == .done } ? Hold(lock: self) : nil
    }

    /// A lock that is held, by whoever has this value.
    public struct Hold: ~Copyable, Sendable {
        fileprivate let lock: AsyncLock

        /// Gives the lock back: to the task that has waited longest, if one waits.
        public consuming func release() {}

        deinit { lock.giveBack() }
    }

    /// Whether somebody holds it.
    public var isLocked: Bool { parking.read { $0.isTaken } }
    /// The task that holds it; the one that took it, should the hold have been passed on.
    public var holder: TaskID? { parking.read { $0.holder } }
    /// The tasks that wait for it, longest first.
    public var waitingTasks: [TaskID] { parking.read { $0.waiters.tasks } }

    /// What has happened so far, and who waits.
    public var statistics: LockStatistics {
        parking.read {
            LockStatistics(acquired: $0.acquired, waits: $0.waits, isLocked: $0.isTaken, waiting: $0.waiters.count)
        }
    }

    /// `AsyncLock(account, held by task 7, 2 waiting)`.
    public var description: String {
        let (holder, isTaken, waiting) = parking.read { ($0.holder, $0.isTaken, $0.waiters.count) }
        let state = isTaken ? holder.map { "held by task \($0)" } ?? "held" : "free"
        return "AsyncLock(\(name), \(state)\(waiting == 0 ? "" : ", \(waiting) waiting"))"
    }

    /// The half of taking it that does not suspend. False if the other half is needed.
    @usableFromInline
    func takeNow() throws -> Bool {
        var task = TaskID(0)
        switch Visit.begin(as: &task) {
        case .mayGoOn: return parking.read { $0.take(for: task) == .done }
        case .mustTakeTurns: return false
        case .isCancelled: throw CancellationError()
        }
    }

    /// The half of taking it that suspends.
    @usableFromInline
    func takeSlowly() async throws {
        try await Visit.takeTurns()
        let visitor = await parking.park { machine, visitor, _ in machine.take(visitor) }
        guard visitor.phase == .granted else { throw CancellationError() }
    }

    @usableFromInline
    func giveBack() {
        parking.visit { $0.giveBack(waking: &$1) }
    }
}

/// Decides who has a lock.
struct LockMachine: WaitMachine, ~Copyable {
    private(set) var isTaken = false
    private(set) var holder: TaskID?
    var waiters = ParkingLot()
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

    mutating func take(_ visitor: ParkedTask) -> Arrival {
        guard take(for: visitor.task) == .taken else {
            visitor.grant()
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
