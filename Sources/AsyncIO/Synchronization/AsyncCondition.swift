import AsyncIOKernel

/// A lock and a place to wait in until what it guards has changed.
///
/// ```swift
/// let stock = AsyncCondition(name: "stock")
/// try await stock.withLock { held in              // takes
///     try await held.wait(until: { !shelf.isEmpty })
///     return shelf.removeLast()
/// }
/// try await stock.withLock { held in              // brings
///     shelf.append(item)
///     held.notify()
/// }
/// ```
///
/// Everything is asked of what ``withLock(_:)`` hands to its body, so nobody waits or notifies without the lock. A wait
/// gives the lock back meanwhile and has it again when it ends, however it ends. Who waits longest is woken first.
///
/// asyncio's `Condition`.
public final class AsyncCondition: Sendable, CustomStringConvertible {
    /// What the condition is called in errors and in the task tree.
    public let name: String
    /// The lock that a body holds.
    public let lock: AsyncLock
    fileprivate let parking: Parking<ConditionMachine>

    /// Makes a condition with a lock of its own.
    public convenience init(name: String = "condition", sharing: Sharing = .acrossThreads) {
        self.init(lock: AsyncLock(name: name, sharing: sharing), name: name, sharing: sharing)
    }

    /// Makes a condition on a lock that others use too: several conditions of one state share its lock.
    public init(lock: AsyncLock, name: String = "condition", sharing: Sharing = .acrossThreads) {
        self.name = name
        self.lock = lock
        parking = Parking(ConditionMachine(), name: name, sharing: sharing)
    }

    /// Runs the body while holding the lock, and gives it back however the body ends.
    ///
    /// Suspends until the lock is free. Throws `CancellationError` before the body if the task is or becomes cancelled,
    /// ``DeadlockError`` if it could never get the lock, and what the body throws.
    @inline(never)
    public func withLock<Result>(
        _ body: nonisolated(nonsending) (borrowing Held) async throws -> Result
    ) async throws -> Result {
        // Never inlined: Swift 6.3's optimizer aborts where it inlines a borrowed value into a caller's closure.
        try await lock.withLock { try await body(Held(self)) }
    }

    /// A condition whose lock is held: what a body can wait and notify with.
    public struct Held: ~Copyable {
        /// The condition.
        public let condition: AsyncCondition

        @usableFromInline
        init(_ condition: AsyncCondition) {
            self.condition = condition
        }
    }

    /// The tasks that wait to be notified, longest first. Those who have been and want the lock back wait for that.
    public var waitingTasks: [TaskID] { parking.read { $0.waiters.tasks } }

    /// What has happened so far, and who waits.
    public var statistics: ConditionStatistics {
        parking.read {
            ConditionStatistics(waits: $0.waits, notified: $0.notified, waiting: $0.waiters.count)
        }
    }

    /// `AsyncCondition(stock, held by task 7, 2 waiting)`.
    public var description: String {
        let waiting = parking.read { $0.waiters.count }
        let holder = lock.holder.map { "held by task \($0)" } ?? (lock.isLocked ? "held" : "free")
        return "AsyncCondition(\(name), \(holder)\(waiting == 0 ? "" : ", \(waiting) waiting"))"
    }
}

extension AsyncCondition.Held {
    /// Waits until the predicate holds, giving the lock back meanwhile; holds it whenever the predicate is asked, and
    /// when this returns or throws.
    ///
    /// The predicate is asked first at once: if it holds, this does not suspend. Throws what the predicate throws, and
    /// `CancellationError`, which like every end of the wait comes after the lock has been taken again: a cancelled
    /// task waits for the lock, and what the body does with the state afterwards is still alone with it. A notification
    /// that a throwing wait has been given is passed on to the next who waits.
    public borrowing func wait(until predicate: () throws -> Bool) async throws {
        try await Visit.enter()
        guard try !predicate() else { return }
        while true {
            try await waitForNotification()
            do {
                if try predicate() { return }
                try await Visit.enter()
            } catch {
                notify()
                throw error
            }
        }
    }

    /// Waits for one notification, giving the lock back meanwhile; holds it again when this returns or throws.
    ///
    /// What was true when the notification was made need not be true any more: prefer ``wait(until:)``. Throws
    /// `CancellationError` if the task is or becomes cancelled, after the lock has been taken again. A task that was
    /// notified before its cancellation came returns: the notification is not lost.
    public borrowing func wait() async throws {
        try await Visit.enter()
        try await waitForNotification()
    }

    /// A task that is cancelled already leaves again at once: one place to throw, and no notification was given then.
    private borrowing func waitForNotification() async throws {
        let lock = condition.lock
        var hasLent = false
        let visitor = await condition.parking.park { machine, visitor, _ in
            machine.wait(visitor)
            return .parked
        } queued: { _ in
            // In the queue first: whoever changes the state next finds this task there.
            hasLent = true
            lock.giveBack()
        }
        if hasLent { await lock.takeBack() }
        guard visitor.phase == .granted else { throw CancellationError() }
    }

    /// Wakes so many of those who wait, longest first; one, unless said otherwise. Never suspends.
    ///
    /// They go on when they get the lock, which is after this body has given it back or waits itself.
    public borrowing func notify(count: Int = 1) {
        condition.parking.visit { $0.notify(count, waking: &$1) }
    }

    /// Wakes all who wait. Never suspends.
    public borrowing func notifyAll() {
        notify(count: .max)
    }

    /// Another condition on the same lock, which is therefore held too: `held[notFull].notify()`.
    ///
    /// It can be used here and not kept. A condition on another lock is a mistake in the program and stops it with a
    /// message.
    public subscript(other: AsyncCondition) -> AsyncCondition.Held {
        _read {
            callerMust(other.lock === condition.lock, "\(other.name) and \(condition.name) have different locks")
            // Lent, not returned: what nobody owns cannot outlive the body.
            let held = AsyncCondition.Held(other)
            yield held
        }
    }
}

/// Knows who waits to be notified.
struct ConditionMachine: WaitMachine, ~Copyable {
    private(set) var waiters = ParkingLot()
    private(set) var waits: UInt64 = 0
    private(set) var notified: UInt64 = 0

    mutating func wait(_ visitor: ParkedTask) {
        waits &+= 1
        waiters.append(visitor)
    }

    mutating func notify(_ count: Int, waking woken: inout WakeList) {
        var left = count
        while left > 0, let waiter = waiters.popFirst() {
            notified &+= 1
            left -= 1
            woken.grant(waiter)
        }
    }

    mutating func leave(_ waiter: ParkedTask, waking woken: inout WakeList) {
        waiters.remove(waiter)
    }
}

/// What a condition has seen so far, and who waits.
public struct ConditionStatistics: Sendable, Hashable {
    /// Calls that waited.
    public let waits: UInt64
    /// Tasks that were woken by a notification.
    public let notified: UInt64
    /// Tasks that wait to be notified.
    public let waiting: Int
}
