#if HTTP
/// Decides who gets which connection: what is open, what is idle, who waits. No input or output, no time, no tasks.
///
/// Whoever asks gets an idle connection to the place (the one that was used last: it is the least likely to be closed
/// by the server), or may open one, or waits. Who waits is served in the order of coming, but for those whose place
/// has reached its own limit: they hold nobody else up. To stay below the limit in all, a connection that idles
/// elsewhere has to go: the one that has been idle longest.
struct PoolMachine<Place: Hashable & Sendable, Connection: Sendable>: Sendable {
    typealias Ticket = UInt64

    /// Says what a visitor gets.
    enum Answer {
        /// An idle connection is yours.
        case reuse(Connection, number: Ticket)
        /// Open one, and say what has become of that. First close the other one, if there is one: its place is yours.
        case open(closing: Connection?)
        /// You are told.
        case wait(Ticket)
    }

    /// An idle connection, by the number under which it was put down.
    private struct Idle {
        let number: Ticket
        let connection: Connection
    }

    private struct Waiting {
        let ticket: Ticket
        /// It wants none that has idled: its last one was dead.
        let fresh: Bool
    }

    private struct Stand {
        /// Connections that are idle, in use or being opened.
        var open = 0
        /// Put down in this order.
        var idle: [Idle] = []
        /// Who waits, in the order of coming.
        var waiting: [Waiting] = []
    }

    let limitPerPlace: Int
    let limit: Int
    let idleLimit: Int
    private var stands: [Place: Stand] = [:]
    private var next: Ticket = 0
    private(set) var open = 0
    private(set) var idle = 0
    private(set) var waiting = 0
    private(set) var isClosed = false

    init(limitPerPlace: Int, limit: Int, idleLimit: Int) {
        self.limitPerPlace = max(limitPerPlace, 1)
        self.limit = max(limit, 1)
        self.idleLimit = max(idleLimit, 0)
    }

    private mutating func number() -> Ticket {
        next += 1
        return next
    }

    // MARK: Coming

    /// Somebody asks for a connection; nil if the pool is closed.
    mutating func ask(for place: Place, fresh: Bool) -> Answer? {
        guard !isClosed else { return nil }
        // Nobody overtakes those who wait for the same place.
        if stands[place]?.waiting.isEmpty ?? true, let answer = serve(place, fresh: fresh) { return answer }
        let ticket = number()
        stands[place, default: Stand()].waiting.append(Waiting(ticket: ticket, fresh: fresh))
        waiting += 1
        return .wait(ticket)
    }

    /// Somebody does not wait any longer.
    mutating func leave(_ place: Place, _ ticket: Ticket) {
        guard let index = stands[place]?.waiting.firstIndex(where: { $0.ticket == ticket }) else { return }
        stands[place]?.waiting.remove(at: index)
        waiting -= 1
        tidy(place)
    }

    private mutating func serve(_ place: Place, fresh: Bool) -> Answer? {
        if !fresh, let last = stands[place]?.idle.popLast() {
            idle -= 1
            return .reuse(last.connection, number: last.number)
        }
        if fresh, let oldest = stands[place]?.idle.first {
            // What has idled as long as the one that died is hardly better, and makes room.
            stands[place]?.idle.removeFirst()
            idle -= 1
            return .open(closing: oldest.connection)
        }
        guard (stands[place]?.open ?? 0) < limitPerPlace else { return nil }
        var displaced: Connection?
        if open >= limit {
            guard let evicted = evictOldest() else { return nil }
            displaced = evicted
        }
        stands[place, default: Stand()].open += 1
        open += 1
        return .open(closing: displaced)
    }

    /// Takes out the connection that has been idle longest, wherever.
    private mutating func evictOldest() -> Connection? {
        let oldest = stands.compactMap { place, stand in stand.idle.first.map { (place, $0) } }
            .min { $0.1.number < $1.1.number }
        guard let (place, entry) = oldest else { return nil }
        stands[place]?.idle.removeFirst()
        forgetOne(at: place)
        idle -= 1
        return entry.connection
    }

    // MARK: Going

    /// What becomes of a connection that is given back, and whom else that lets go on.
    struct Outcome {
        /// Those who waited, and what they get.
        var served: [(ticket: Ticket, answer: Answer)] = []
        /// It is idle now, under this number.
        var idleNumber: Ticket?
        /// To be closed.
        var closed: [Connection] = []
    }

    /// A connection is given back, fit for another request.
    mutating func putBack(_ connection: Connection, to place: Place) -> Outcome {
        var outcome = Outcome()
        guard !isClosed else {
            forgetOne(at: place)
            outcome.closed = [connection]
            return outcome
        }
        let number = number()
        stands[place, default: Stand()].idle.append(Idle(number: number, connection: connection))
        idle += 1
        outcome.served = serveAll()
        if stands[place]?.idle.last?.number == number { outcome.idleNumber = number }
        while idle > idleLimit, let oldest = evictOldest() {
            outcome.closed.append(oldest)
            if stands[place]?.idle.last?.number != number { outcome.idleNumber = nil }
        }
        return outcome
    }

    /// A connection is gone, or could not be opened.
    mutating func lose(at place: Place) -> Outcome {
        forgetOne(at: place)
        return Outcome(served: serveAll())
    }

    /// An idle connection has been idle too long, or has been closed by its peer. False if it is in use again.
    mutating func remove(_ number: Ticket, at place: Place) -> (removed: Bool, outcome: Outcome) {
        guard let index = stands[place]?.idle.firstIndex(where: { $0.number == number }) else {
            return (false, Outcome())
        }
        stands[place]?.idle.remove(at: index)
        idle -= 1
        return (true, lose(at: place))
    }

    /// Nobody gets anything any more. Returns what idles, and who waits.
    mutating func close() -> (connections: [Connection], waiting: [Ticket]) {
        guard !isClosed else { return ([], []) }
        isClosed = true
        let connections = stands.values.flatMap { $0.idle.map(\.connection) }
        let tickets = stands.values.flatMap { $0.waiting.map(\.ticket) }
        stands = stands.mapValues { stand in Stand(open: stand.open - stand.idle.count) }.filter { $0.value.open > 0 }
        open -= connections.count
        idle = 0
        waiting = 0
        return (connections, tickets)
    }

    /// Serves those who wait, as far as there is something, in the order of coming.
    private mutating func serveAll() -> [(ticket: Ticket, answer: Answer)] {
        var served: [(ticket: Ticket, answer: Answer)] = []
        while waiting > 0, let (place, next) = nextToServe(), let answer = serve(place, fresh: next.fresh) {
            stands[place]?.waiting.removeFirst()
            waiting -= 1
            served.append((next.ticket, answer))
        }
        return served
    }

    /// Who has waited longest, of those for whom there is something.
    private func nextToServe() -> (Place, Waiting)? {
        let mayOpen = open < limit || idle > 0
        let candidates = stands.compactMap { place, stand in
            let canBeServed = !stand.idle.isEmpty || stand.open < limitPerPlace && mayOpen
            return canBeServed ? stand.waiting.first.map { (place, $0) } : nil
        }
        return candidates.min { $0.1.ticket < $1.1.ticket }
    }

    private mutating func forgetOne(at place: Place) {
        stands[place]?.open -= 1
        open -= 1
        tidy(place)
    }

    /// Keeps no stand for a place where nothing is.
    private mutating func tidy(_ place: Place) {
        if let stand = stands[place], stand.open == 0, stand.waiting.isEmpty { stands[place] = nil }
    }

    /// How many places it keeps something for.
    var placeCount: Int { stands.count }
}
#endif
