/// Something that happens, and that tasks wait for: a flag that is set and cleared.
///
/// ```swift
/// let isReady = AsyncEvent(name: "ready")
/// try await isReady.wait()        // here, as often and by as many as you like
/// isReady.set()                   // and there
/// ```
///
/// ``set()`` wakes everybody who waits at that moment, even if ``clear()`` follows at once. A cancelled task stops
/// waiting with `CancellationError`.
///
/// asyncio's `Event`.
public final class AsyncEvent: Sendable, CustomStringConvertible {
    /// What the event is called in errors and in the task tree.
    public let name: String
    private let parking: Parking<EventMachine>

    /// Makes an event that has not happened.
    public init(name: String = "event", sharing: Sharing = .acrossThreads) {
        self.name = name
        parking = Parking(EventMachine(), name: name, sharing: sharing)
    }

    /// Waits until the event is set; goes on at once if it is.
    ///
    /// Throws `CancellationError` if the task is or becomes cancelled, also when the event is set. A task that was
    /// woken before its cancellation came returns.
    @inlinable
    public func wait() async throws {
        if try !passNow() { try await waitSlowly() }
    }

    /// Sets the event: all who wait go on, and those who come need not wait. Setting it again does nothing.
    public func set() {
        parking.visit { $0.set(waking: &$1) }
    }

    /// Takes the event back: those who come from now on wait. Who was woken stays awake.
    public func clear() {
        parking.read { $0.clear() }
    }

    /// Whether the event is set.
    public var isSet: Bool { parking.read { $0.isSet } }
    /// The tasks that wait, longest first.
    public var waitingTasks: [TaskID] { parking.read { $0.waiters.tasks } }

    /// What has happened so far, and who waits.
    public var statistics: EventStatistics {
        parking.read { EventStatistics(isSet: $0.isSet, sets: $0.sets, waits: $0.waits, waiting: $0.waiters.count) }
    }

    /// `AsyncEvent(ready, set)`, `AsyncEvent(ready, not set, 2 waiting)`.
    public var description: String {
        let (isSet, waiting) = parking.read { ($0.isSet, $0.waiters.count) }
        return "AsyncEvent(\(name), \(isSet ? "set" : "not set")\(waiting == 0 ? "" : ", \(waiting) waiting"))"
    }

    /// The half of waiting that does not suspend. False if the other half is needed.
    @usableFromInline
    func passNow() throws -> Bool {
        try Visit.mayGoOnNow() && isSet
    }

    /// The half of waiting that suspends.
    @usableFromInline
    func waitSlowly() async throws {
        try await parking.wait { $0.wait($1) }
    }
}

/// Knows whether an event has happened, and who waits for it.
struct EventMachine: WaitMachine, ~Copyable {
    private(set) var isSet = false
    private(set) var waiters = ParkingLot()
    private(set) var sets: UInt64 = 0
    private(set) var waits: UInt64 = 0

    mutating func set(waking woken: inout WakeList) {
        guard !isSet else { return }
        isSet = true
        sets &+= 1
        waiters.grantAll(waking: &woken)
    }

    mutating func clear() {
        isSet = false
    }

    mutating func wait(_ visitor: ParkedTask) -> Arrival {
        guard !isSet else {
            visitor.grant()
            return .answered
        }
        waits &+= 1
        waiters.append(visitor)
        return .parked
    }

    mutating func leave(_ waiter: ParkedTask, waking woken: inout WakeList) {
        waiters.remove(waiter)
    }
}

/// What an event has seen so far, and who waits.
public struct EventStatistics: Sendable, Hashable {
    /// Whether it is set.
    public let isSet: Bool
    /// Times that it was set.
    public let sets: UInt64
    /// Calls that had to wait.
    public let waits: UInt64
    /// Tasks that wait.
    public let waiting: Int
}
