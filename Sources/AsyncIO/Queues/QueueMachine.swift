/// Decides who gets what in a bounded queue: counts places and keeps who waits. The items themselves it never sees: it
/// says where each one goes, and ``AsyncQueue`` moves it.
///
/// Items go from hand to hand: a getter that waits is given the next item before anybody who comes later can see it,
/// and a putter that waits has its item taken in as soon as there is room. So nobody overtakes, and an item is always
/// in exactly one place: with its putter, in the store, or with its getter.
struct QueueMachine: WaitMachine, ~Copyable {
    enum Phase { case open, finished, cancelled }
    /// Which lot a visitor waits in: its note.
    enum Wish: Int { case put, get, join }

    let capacity: Int
    private(set) var phase = Phase.open
    /// Items in the store.
    private(set) var count = 0
    /// Items that were put and not yet reported as done.
    private(set) var unfinished = 0
    private(set) var putters = ParkingLot()
    private(set) var getters = ParkingLot()
    private var joiners = ParkingLot()
    private(set) var put: UInt64 = 0
    private(set) var waits: UInt64 = 0
    private(set) var peak = 0

    init(capacity: Int) {
        self.capacity = capacity
    }

    // MARK: Putting

    /// Where an item goes.
    enum Putting {
        case intoStore
        /// Into the slot of a getter that has been granted.
        case into(ParkedTask)
        case full, closed
    }

    /// Takes an item into the store if there is room, and nobody waits for it.
    @inline(__always)
    mutating func takesIntoStore() -> Bool {
        guard phase == .open && count < capacity && getters.isEmpty else { return false }
        count += 1
        if count > peak { peak = count }
        put &+= 1
        unfinished += 1
        return true
    }

    /// Takes an item in if there is room, and nobody came before.
    @inline(__always)
    mutating func put(waking woken: inout WakeList) -> Putting {
        if takesIntoStore() { return .intoStore }
        guard phase == .open else { return .closed }
        guard let getter = getters.popFirst() else { return .full }
        put &+= 1
        unfinished += 1
        woken.grant(getter)
        return .into(getter)
    }

    /// Whether whoever puts has to wait.
    @inline(__always)
    var isFull: Bool { phase == .open && count >= capacity && getters.isEmpty }

    /// Whether whoever gets has to wait.
    @inline(__always)
    var isWaitedFor: Bool { phase == .open && count == 0 && putters.isEmpty }

    /// Waits for room.
    mutating func wait(toPut visitor: ParkedTask) {
        waits &+= 1
        putters.append(visitor)
    }

    // MARK: Getting

    enum Getting { case fromStore, empty, closed }

    /// Takes the next item out. Whoever waits to put is to be admitted afterwards.
    @inline(__always)
    mutating func get() -> Getting {
        guard count > 0 else { return phase == .open ? .empty : .closed }
        count -= 1
        return .fromStore
    }

    /// The putter whose item is to be taken into the store now, granted; nil if none waits or there is no room.
    @inline(__always)
    mutating func admit(waking woken: inout WakeList) -> ParkedTask? {
        guard !putters.isEmpty, count < capacity, let putter = putters.popFirst() else { return nil }
        count += 1
        put &+= 1
        unfinished += 1
        woken.grant(putter)
        return putter
    }

    /// Waits for an item.
    mutating func wait(toGet visitor: ParkedTask) {
        waits &+= 1
        getters.append(visitor)
    }

    // MARK: Joining

    /// One item has been dealt with. False if none was under way.
    mutating func itemIsDone(waking woken: inout WakeList) -> Bool {
        guard unfinished > 0 else { return false }
        unfinished -= 1
        if unfinished == 0 { joiners.grantAll(waking: &woken) }
        return true
    }

    mutating func join(_ visitor: ParkedTask) -> Arrival {
        guard unfinished > 0 else {
            visitor.grant()
            return .answered
        }
        joiners.append(visitor)
        return .parked
    }

    // MARK: Ending

    /// Takes no more items. Who waits to put is sent away with the item; who waits to get finds nothing more.
    mutating func finish(waking woken: inout WakeList) {
        guard phase == .open else { return }
        phase = .finished
        putters.endAll(waking: &woken)
        getters.endAll(waking: &woken)
    }

    /// Takes no more items, and gives up those in the store.
    mutating func cancel(waking woken: inout WakeList) {
        finish(waking: &woken)
        phase = .cancelled
        unfinished -= count
        count = 0
        if unfinished == 0 { joiners.grantAll(waking: &woken) }
    }

    mutating func leave(_ waiter: ParkedTask, waking woken: inout WakeList) {
        switch Wish(rawValue: waiter.note) {
        case .put: putters.remove(waiter)
        case .get: getters.remove(waiter)
        case .join, nil: joiners.remove(waiter)
        }
    }
}

/// What a queue has done so far, and what it holds.
public struct QueueStatistics: Sendable, Hashable {
    /// Items inside.
    public let count: Int
    /// The most that were ever inside.
    public let peak: Int
    /// Items that were ever put.
    public let put: UInt64
    /// Calls that had to wait.
    public let waits: UInt64
    /// Tasks that wait for room.
    public let waitingPutters: Int
    /// Tasks that wait for an item.
    public let waitingGetters: Int
    /// Items that were put and not yet reported by `itemDone()`.
    public let unfinished: Int
}
