public import Synchronization

/// A value that is made when it is first asked for, once, by a task that may suspend.
///
/// ```swift
/// let settings = AsyncOnce<Settings>(name: "settings")
/// let all = try await settings.get { try await load() }
/// ```
///
/// The first to ask makes the value, in its own task; the others wait for it. If making it throws or its task is
/// cancelled, that task alone hears of it, and the next one that waits makes the value: a failure is not kept. A value
/// is kept as long as this object, and from then on asking neither suspends nor takes a lock.
///
/// tokio's `OnceCell`; asyncio has none.
@safe
public final class AsyncOnce<Value: Sendable>: Sendable, CustomStringConvertible {
    /// What the value is called in errors and in the task tree.
    public let name: String
    private let parking: Parking<OnceMachine>
    /// Raised after the value has been stored, and never lowered.
    @usableFromInline let hasValue: Atomic<Bool> = Atomic(false)
    /// Written once, before `hasValue` is raised, by the one task that makes the value.
    @usableFromInline nonisolated(unsafe) let place: UnsafeMutablePointer<Value>

    /// Makes a place for a value.
    public init(name: String = "once", sharing: Sharing = .acrossThreads) {
        self.name = name
        parking = Parking(OnceMachine(), name: name, sharing: sharing)
        unsafe place = .allocate(capacity: 1)
    }

    deinit {
        if hasValue.load(ordering: .acquiring) { unsafe place.deinitialize(count: 1) }
        unsafe place.deallocate()
    }

    /// The value; if there is none, makes it, or waits for the task that is making it.
    ///
    /// Once there is a value this returns it without suspending, to a cancelled task too. Otherwise throws
    /// `CancellationError` if the task is or becomes cancelled while it waits, what `make` throws if this task makes
    /// the value, and ``DeadlockError`` if `make` itself asks for the value, or if values wait for each other.
    @inlinable
    public func get(_ make: nonisolated(nonsending) () async throws -> Value) async throws -> Value {
        if !isReady, try await mustMake() {
            let value: Value
            do {
                value = try await make()
            } catch {
                giveUp()
                throw error
            }
            keep(value)
        }
        return unsafe place.pointee
    }

    /// The value if there is one. Never suspends.
    @inlinable public var valueIfReady: Value? { unsafe isReady ? place.pointee : nil }

    /// Whether there is a value.
    @inlinable public var isReady: Bool { hasValue.load(ordering: .acquiring) }

    /// The task that is making the value.
    public var maker: TaskID? { parking.read { $0.maker } }
    /// The tasks that wait for the value, longest first.
    public var waitingTasks: [TaskID] { parking.read { $0.waiters.tasks } }

    /// What has happened so far, and who waits.
    public var statistics: OnceStatistics {
        parking.read {
            OnceStatistics(
                isReady: $0.phase == .made, attempts: $0.attempts, waits: $0.waits, waiting: $0.waiters.count)
        }
    }

    /// `AsyncOnce(settings, being made, 2 waiting)`.
    public var description: String {
        let (phase, waiting) = parking.read { ($0.phase, $0.waiters.count) }
        let state =
            switch phase {
            case .empty: "empty"
            case .making: "being made"
            case .made: "made"
            }
        return "AsyncOnce(\(name), \(state)\(waiting == 0 ? "" : ", \(waiting) waiting"))"
    }

    /// Suspends while another task makes the value. True if it is now this one's to make.
    @usableFromInline
    func mustMake() async throws -> Bool {
        var task = TaskID(0)
        switch Visit.begin(as: &task) {
        case .mayGoOn:
            if parking.read({ $0.begin(for: task) }) { return true }
        case .mustTakeTurns: try await Visit.takeTurns()
        case .isCancelled: throw CancellationError()
        }
        let visitor = try await parking.park(at: self) { machine, visitor in machine.ask(visitor) }
        guard visitor.note == OnceMachine.Answer.make.rawValue else { return false }
        // Cancelled after it became this task's turn: nothing has been made, so it is the next one's.
        guard !Task.isCancelled else {
            giveUp()
            throw CancellationError()
        }
        return true
    }

    @usableFromInline
    func keep(_ value: consuming Value) {
        unsafe place.initialize(to: value)
        hasValue.store(true, ordering: .releasing)
        parking.visit { $0.finish(waking: &$1) }
    }

    @usableFromInline
    func giveUp() {
        parking.visit { $0.giveUp(waking: &$1) }
    }
}

extension AsyncOnce: HeldPlace {
    func holders(inTheWayOf visitor: ParkedTask) -> [TaskID] {
        guard parking.isWithinReach else { return [] }
        return parking.read { machine in visitor.phase == .queued ? machine.maker.map { [$0] } ?? [] : [] }
    }

    func sendAway(_ visitor: ParkedTask) { parking.sendAway(visitor) }
}

/// Decides who makes a value, and who waits for it.
struct OnceMachine: WaitMachine, ~Copyable {
    enum Phase { case empty, making, made }
    /// What one that waited is to do: its note.
    enum Answer: Int { case make, use }

    private(set) var phase = Phase.empty
    private(set) var maker: TaskID?
    private(set) var waiters = ParkingLot()
    private(set) var attempts: UInt64 = 0
    private(set) var waits: UInt64 = 0

    /// True if the task is to make the value.
    mutating func begin(for task: TaskID) -> Bool {
        guard phase == .empty else { return false }
        phase = .making
        maker = task
        attempts &+= 1
        return true
    }

    /// Ends the visit of the task that makes the value: it would wait for itself.
    mutating func ask(_ visitor: ParkedTask) -> Arrival {
        if begin(for: visitor.task) {
            visitor.note = Answer.make.rawValue
            visitor.grant()
        } else if phase == .made {
            visitor.note = Answer.use.rawValue
            visitor.grant()
        } else if maker == visitor.task && visitor.task.number != 0 {
            visitor.end()
        } else {
            waits &+= 1
            waiters.append(visitor)
            return .parked
        }
        return .answered
    }

    mutating func finish(waking woken: inout WakeList) {
        phase = .made
        maker = nil
        while let waiter = waiters.popFirst() {
            waiter.note = Answer.use.rawValue
            woken.grant(waiter)
        }
    }

    /// It could not be made: the next one that waits is to try.
    mutating func giveUp(waking woken: inout WakeList) {
        phase = .empty
        maker = nil
        guard let next = waiters.popFirst() else { return }
        _ = begin(for: next.task)
        next.note = Answer.make.rawValue
        woken.grant(next)
    }

    mutating func leave(_ waiter: ParkedTask, waking woken: inout WakeList) {
        waiters.remove(waiter)
    }
}

/// What has happened so far at an ``AsyncOnce``, and who waits.
public struct OnceStatistics: Sendable, Hashable {
    /// Whether there is a value.
    public let isReady: Bool
    /// Times that a task began to make it.
    public let attempts: UInt64
    /// Calls that had to wait.
    public let waits: UInt64
    /// Tasks that wait.
    public let waiting: Int
}
