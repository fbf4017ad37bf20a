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
/// A free lock is taken without suspending and without allocating.
///
/// Not recursive: a task that asks for what it holds gets ``DeadlockError``. In debug builds, in simulations, and
/// elsewhere with `ASYNCIO_DEBUG=1` in the environment, so does one of the tasks of a circle that wait for each other's
/// locks; see there. Child tasks are tasks of their own: a body that awaits a child that asks for the lock waits for
/// ever.
///
/// asyncio's `Lock`.
public final class AsyncLock: Sendable, CustomStringConvertible {
    /// What the lock is called in errors and in the task tree.
    public let name: String
    private let parking: Parking<LockMachine>

    /// Makes a lock that is free.
    public init(name: String = "lock", sharing: Sharing = .acrossThreads) {
        self.name = name
        parking = Parking(LockMachine(), name: name, sharing: sharing)
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

    /// Runs the body while holding the lock, as ``withLock(_:)-(()asyncthrows->Result)`` does; a body that does not
    /// suspend costs no asynchronous call.
    @inlinable
    public func withLock<Result>(_ body: () throws -> Result) async throws -> Result {
        if try !takeNow() { try await takeSlowly() }
        defer { giveBack() }
        return try body()
    }

    /// Takes the lock; it is given back when the hold is released or goes out of scope.
    ///
    /// Suspends until the lock is free. Throws `CancellationError` and ``DeadlockError``; the lock was not taken then.
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

        /// The hold, of no task in particular: for one that is passed to another task.
        ///
        /// As long as the lock has a ``AsyncLock/holder``, this task is taken to wait for itself when it asks for the
        /// lock again.
        public consuming func disowned() -> Hold {
            lock.parking.read { $0.disown() }
            return self
        }

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
        _ = try await parking.park(at: self) { machine, visitor in machine.take(visitor) }
    }

    /// Takes the lock back, whether or not the task is cancelled: the end of a wait in which it was lent.
    func takeBack() async {
        await parking.parkToTheEnd(at: self) { machine, visitor in machine.take(visitor) }
    }

    @usableFromInline
    func giveBack() {
        parking.visit { $0.giveBack(waking: &$1) }
    }
}

extension AsyncLock: HeldPlace {
    func holders(inTheWayOf visitor: ParkedTask) -> [TaskID] {
        guard parking.isWithinReach else { return [] }
        return parking.read { machine in visitor.phase == .queued ? machine.holder.map { [$0] } ?? [] : [] }
    }

    func sendAway(_ visitor: ParkedTask) { parking.sendAway(visitor) }
}
