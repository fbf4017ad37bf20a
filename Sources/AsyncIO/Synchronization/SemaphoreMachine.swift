/// Decides who gets permits: first come, first served, whatever the size of the request.
struct SemaphoreMachine: WaitMachine, ~Copyable {
    /// Permits that nobody has.
    private(set) var available: Int
    /// Permits that exist.
    private(set) var total: Int
    /// The most that may ever exist; nil if nobody has said.
    let limit: Int?
    private(set) var isClosed = false
    /// Each visitor's note is how many it wants.
    private(set) var waiters = ParkingLot()
    private(set) var acquired: UInt64 = 0
    private(set) var waits: UInt64 = 0

    init(permits: Int, limit: Int?) {
        available = permits
        total = permits
        self.limit = limit
    }

    enum Taking { case done, tooFew, closed, neverEnough }

    /// More than this never comes free at once.
    var most: Int { max(limit ?? 0, total) }

    /// Takes permits if there are enough, and nobody came before.
    @inline(__always)
    mutating func take(_ count: Int) -> Taking {
        guard !isClosed else { return .closed }
        guard count <= available && waiters.isEmpty else { return count > most ? .neverEnough : .tooFew }
        available -= count
        acquired &+= 1
        return .done
    }

    mutating func take(_ visitor: ParkedTask) -> Arrival {
        switch take(visitor.note) {
        case .done: visitor.grant()
        case .closed, .neverEnough: visitor.end()
        case .tooFew:
            waits &+= 1
            waiters.append(visitor)
            return .parked
        }
        return .answered
    }

    @inline(__always)
    mutating func giveBack(_ count: Int, waking woken: inout WakeList) {
        available += count
        if !waiters.isEmpty { serve(waking: &woken) }
    }

    /// False, and nothing added, if that would be more than may exist.
    mutating func add(_ count: Int, waking woken: inout WakeList) -> Bool {
        let (sum, overflows) = total.addingReportingOverflow(count)
        guard !overflows && sum <= limit ?? .max else { return false }
        total = sum
        giveBack(count, waking: &woken)
        return true
    }

    mutating func close(waking woken: inout WakeList) {
        isClosed = true
        waiters.endAll(waking: &woken)
    }

    mutating func leave(_ waiter: ParkedTask, waking woken: inout WakeList) {
        waiters.remove(waiter)
        // A large request may have kept small ones from what there is.
        serve(waking: &woken)
    }

    private mutating func serve(waking woken: inout WakeList) {
        while let first = waiters.first, first.note <= available {
            waiters.remove(first)
            available -= first.note
            acquired &+= 1
            woken.grant(first)
        }
    }
}

/// What a semaphore has done so far, and who waits.
public struct SemaphoreStatistics: Sendable, Hashable {
    /// Permits that nobody has.
    public let availablePermits: Int
    /// Permits that exist.
    public let totalPermits: Int
    /// Requests that were granted.
    public let acquired: UInt64
    /// Calls that had to wait.
    public let waits: UInt64
    /// Tasks that wait.
    public let waiting: Int
}

/// A request for more permits than a semaphore can ever give.
public struct TooManyPermitsError: Error, Hashable, CustomStringConvertible {
    /// The name of the semaphore.
    public let semaphore: String
    /// How many were asked for.
    public let requested: Int
    /// How many there can be.
    public let limit: Int

    /// Creates the error.
    public init(semaphore: String, requested: Int, limit: Int) {
        self.semaphore = semaphore
        self.requested = requested
        self.limit = limit
    }

    /// `5 permits of db were asked for, and there are only 3 in all: …`.
    public var description: String {
        "\(requested) permits of \(semaphore) were asked for, and there are only \(limit) in all: ask for fewer, or "
            + "make it with a limit: up to which permits will be added"
    }
}
