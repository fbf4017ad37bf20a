import AsyncIOKernel

/// A place where tasks wait for each other: as soon as so many have come, all go on together.
///
/// ```swift
/// let barrier = AsyncBarrier(parties: 4)
/// let index = try await barrier.wait()        // in each of four tasks
/// if index == 0 { … }                         // one of them does the rest
/// ```
///
/// Then it begins anew: a barrier can be used as often as you like. A cancelled task leaves, and one more has to come
/// for it. asyncio's `Barrier`, except that whoever comes while others of the last round have not yet run is the first
/// of the next round at once.
public final class AsyncBarrier: Sendable, CustomStringConvertible {
    /// What the barrier is called in errors and in the task tree.
    public let name: String
    /// How many tasks have to come.
    public let parties: Int
    private let parking: Parking<BarrierMachine>

    /// Makes a barrier for so many tasks, at least one; anything less is a mistake in the program and stops it.
    public init(parties: Int, name: String = "barrier", sharing: Sharing = .acrossThreads) {
        callerMust(parties > 0, "\(name): a barrier for \(parties) tasks")
        self.name = name
        self.parties = parties
        parking = Parking(BarrierMachine(parties: parties), name: name, sharing: sharing)
    }

    /// Waits until so many tasks wait here, this one included. The last to come does not suspend.
    ///
    /// Returns the task's place in its round, from 0 for the one that waited longest to `parties - 1` for the one that
    /// came last: each once. Throws ``BrokenBarrierError`` if the barrier is aborted or reset meanwhile, or was aborted
    /// before, and `CancellationError`; the task is not counted then, and the barrier is as usable as before.
    @discardableResult
    @inlinable
    public func wait() async throws -> Int {
        let place = try arriveNow()
        return place >= 0 ? place : try await arriveSlowly()
    }

    /// Sends away those who wait, with ``BrokenBarrierError``, and begins a new round. Mends an aborted barrier.
    public func reset() {
        parking.visit { $0.reset(waking: &$1) }
    }

    /// Breaks the barrier: those who wait and those who come get ``BrokenBarrierError``, until ``reset()``.
    public func abort() {
        parking.visit { $0.abort(waking: &$1) }
    }

    /// Whether the barrier was aborted.
    public var isBroken: Bool { parking.read { $0.isBroken } }
    /// How many wait now.
    public var waiting: Int { parking.read { $0.waiters.count } }
    /// The tasks that wait, longest first.
    public var waitingTasks: [TaskID] { parking.read { $0.waiters.tasks } }

    /// What has happened so far, and who waits.
    public var statistics: BarrierStatistics {
        parking.read {
            BarrierStatistics(parties: parties, rounds: $0.rounds, isBroken: $0.isBroken, waiting: $0.waiters.count)
        }
    }

    /// `AsyncBarrier(barrier, 2 of 4 waiting)`.
    public var description: String {
        let (isBroken, waiting) = parking.read { ($0.isBroken, $0.waiters.count) }
        return "AsyncBarrier(\(name), \(isBroken ? "broken" : "\(waiting) of \(parties) waiting"))"
    }

    /// The half of waiting that does not suspend. Less than zero if the other half is needed.
    @usableFromInline
    func arriveNow() throws -> Int {
        guard try Visit.mayGoOnNow() else { return -1 }
        switch parking.visit({ $0.arrive(waking: &$1) }) {
        case .last: return parties - 1
        case .early: return -1
        case .broken: throw BrokenBarrierError(barrier: name)
        }
    }

    /// The half of waiting that suspends.
    @usableFromInline
    func arriveSlowly() async throws -> Int {
        try await Visit.takeTurns()
        let visitor = await parking.park { machine, visitor, woken in machine.arrive(visitor, waking: &woken) }
        switch visitor.phase {
        case .granted: return visitor.note
        case .ended: throw BrokenBarrierError(barrier: name)
        case .fresh, .queued, .cancelled: throw CancellationError()
        }
    }
}

/// Counts who has come, and lets them go together.
struct BarrierMachine: WaitMachine, ~Copyable {
    let parties: Int
    private(set) var isBroken = false
    /// Those of this round. A note is the place of one that goes on.
    private(set) var waiters = ParkingLot()
    private(set) var rounds: UInt64 = 0

    init(parties: Int) {
        self.parties = parties
    }

    enum Coming { case last, early, broken }

    /// Lets the round go if only this one was missing.
    mutating func arrive(waking woken: inout WakeList) -> Coming {
        guard !isBroken else { return .broken }
        guard waiters.count + 1 == parties else { return .early }
        rounds &+= 1
        var place = 0
        while let waiter = waiters.popFirst() {
            waiter.note = place
            place += 1
            woken.grant(waiter)
        }
        return .last
    }

    mutating func arrive(_ visitor: ParkedTask, waking woken: inout WakeList) -> Arrival {
        switch arrive(waking: &woken) {
        case .last:
            visitor.note = parties - 1
            visitor.grant()
        case .broken: visitor.end()
        case .early:
            waiters.append(visitor)
            return .parked
        }
        return .answered
    }

    mutating func reset(waking woken: inout WakeList) {
        isBroken = false
        waiters.endAll(waking: &woken)
    }

    mutating func abort(waking woken: inout WakeList) {
        isBroken = true
        waiters.endAll(waking: &woken)
    }

    mutating func leave(_ waiter: ParkedTask, waking woken: inout WakeList) {
        waiters.remove(waiter)
    }
}

/// A barrier was aborted, or reset while the task waited.
public struct BrokenBarrierError: Error, Hashable, CustomStringConvertible {
    /// The name of the barrier.
    public let barrier: String

    /// Creates the error.
    public init(barrier: String) {
        self.barrier = barrier
    }

    /// `barrier was aborted or reset before all had come: reset() makes it usable again`.
    public var description: String {
        "\(barrier) was aborted or reset before all had come: reset() makes it usable again"
    }
}

/// What a barrier has seen so far, and who waits.
public struct BarrierStatistics: Sendable, Hashable {
    /// How many tasks have to come.
    public let parties: Int
    /// Times that all had come.
    public let rounds: UInt64
    /// Whether it was aborted.
    public let isBroken: Bool
    /// Tasks that wait.
    public let waiting: Int
}
