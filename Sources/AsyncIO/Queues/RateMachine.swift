/// Decides who gets permits of a rate limiter: counts permits, and knows when those of the first who waits are there.
///
/// Permits come in steadily: in `nanoseconds` so many as `permits` says. What has come of the next one is counted
/// exactly, in parts of one permit, so that no time is lost however often somebody asks.
struct RateMachine: WaitMachine, ~Copyable {
    let permits: Int
    let nanoseconds: Int64
    let burst: Int
    /// Whole permits in the bucket.
    private(set) var available: Int
    /// What has come of the next permit, in parts of which `nanoseconds` make a whole.
    private var part: Int64 = 0
    /// Until when the bucket has been filled; nil before the first visit, when it is full.
    private var filled: Instant?
    /// Who waits; each one's note says for how many.
    private(set) var waiters = ParkingLot()
    /// Whether the first who waits has a timer.
    private var hasTimer = false
    private(set) var used: UInt64 = 0
    private(set) var waits: UInt64 = 0

    init(permits: Int, nanoseconds: Int64, burst: Int) {
        self.permits = permits
        self.nanoseconds = nanoseconds
        self.burst = burst
        available = burst
    }

    /// Puts in what has come since the last time. A time that has passed already changes nothing: those who ask look at
    /// their clocks before they get here.
    mutating func fill(at now: Instant) {
        guard let last = filled else { return filled = now }
        guard now > last else { return }
        filled = now
        let elapsed = Int128(now.nanoseconds) - Int128(last.nanoseconds)
        let credit = elapsed * Int128(permits) + Int128(part)
        let whole = credit / Int128(nanoseconds)
        let room = Int128(burst - available)
        // Somebody who waits for the last permit takes it before the next one comes: what there is of that one stays.
        if whole > room || whole == room && waiters.isEmpty {
            available = burst
            part = 0
        } else {
            available += Int(truncatingIfNeeded: whole)
            part = Int64(truncatingIfNeeded: credit % Int128(nanoseconds))
        }
    }

    /// Uses up permits if they are there and nobody waits.
    mutating func take(_ count: Int) -> Bool {
        if count <= 0 { return true }
        guard waiters.isEmpty, count <= available else { return false }
        use(count)
        return true
    }

    /// Waits for as many permits as its note says.
    mutating func wait(_ visitor: ParkedTask) {
        waits &+= 1
        waiters.append(visitor)
    }

    /// Lets all go on whose permits are there.
    mutating func grant(waking woken: inout WakeList) {
        while let first = waiters.first, first.note <= available {
            waiters.remove(first)
            hasTimer = false
            use(first.note)
            woken.grant(first)
        }
    }

    /// Who has become the first to wait, and when its permits are there; nobody if none waits. Nil if nothing has
    /// changed.
    mutating func firstWithoutTimer() -> (first: ParkedTask?, due: Instant)? {
        if hasTimer { return nil }
        guard let first = waiters.first else { return (nil, .distantFuture) }
        hasTimer = true
        let missing = Int128(first.note - available) * Int128(nanoseconds) - Int128(part)
        let wait = (missing + Int128(permits) - 1) / Int128(permits)
        return (first, (filled ?? .distantFuture).advanced(by: .nanoseconds(Int64(clamping: wait))))
    }

    mutating func timerHasFired() { hasTimer = false }

    mutating func leave(_ waiter: ParkedTask, waking woken: inout WakeList) {
        if waiters.first === waiter { hasTimer = false }
        waiters.remove(waiter)
    }

    private mutating func use(_ count: Int) {
        available -= count
        used &+= UInt64(count)
    }
}

/// More permits were asked for than a rate limiter ever has at once.
public struct RateLimitError: Error, Hashable, CustomStringConvertible {
    /// The limiter's name.
    public let subject: String
    /// How many permits were asked for.
    public let requested: Int
    /// How many there are at most.
    public let burst: Int

    /// Creates the error.
    public init(subject: String, requested: Int, burst: Int) {
        self.subject = subject
        self.requested = requested
        self.burst = burst
    }

    /// `30 permits of requests can never be there at once: its burst is 20; …`.
    public var description: String {
        "\(requested) permits of \(subject) can never be there at once: its burst is \(burst);"
            + " ask for fewer at a time, or make it with a larger burst"
    }
}

/// What a rate limiter has done so far, and who waits.
public struct RateStatistics: Sendable, Hashable {
    /// Permits that were used up.
    public let used: UInt64
    /// Calls that had to wait.
    public let waits: UInt64
    /// Tasks that wait.
    public let waiting: Int
}
