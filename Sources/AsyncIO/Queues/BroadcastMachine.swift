/// Decides who has yet to see which item of a broadcast: counts items and those who listen. The items themselves it
/// never sees: it says in which place of the ring each one lies, and ``BroadcastRing`` moves it.
///
/// Items are numbered. A subscription remembers the number of the next item it wants; the ring keeps the newest
/// `capacity` items, each until its last listener has taken it.
struct BroadcastMachine: WaitMachine, ~Copyable {
    /// How many items are kept.
    let capacity: Int
    private(set) var isFinished = false
    /// The number of the next item.
    private(set) var next: UInt64 = 0
    /// How many listen.
    private(set) var subscribers = 0
    /// Who waits for the next item.
    private(set) var waiters = ParkingLot()
    private(set) var waits: UInt64 = 0
    /// Items that somebody was too slow for, one for each of them.
    private(set) var missed: UInt64 = 0
    /// How many have yet to take the item, at its place in the ring.
    private var remaining: [Int]

    init(capacity: Int) {
        self.capacity = capacity
        remaining = Array(repeating: 0, count: capacity)
    }

    // MARK: Sending

    enum Sending {
        /// The place is empty.
        case into(place: Int)
        /// In the place lies an item that somebody has not taken: it is lost.
        case over(place: Int)
        /// Nobody listens, or the broadcast has finished.
        case toNobody
    }

    /// Takes an item in, and lets all go on who wait for one.
    mutating func send(waking woken: inout WakeList) -> Sending {
        guard !isFinished, subscribers > 0 else { return .toNobody }
        let place = place(of: next)
        let isTaken = remaining[place] == 0
        remaining[place] = subscribers
        next += 1
        waiters.grantAll(waking: &woken)
        return isTaken ? .into(place: place) : .over(place: place)
    }

    // MARK: Receiving

    enum Receiving {
        /// Others want the item as well.
        case copy(place: Int)
        /// Nobody else wants it.
        case move(place: Int)
        /// So many items are lost; the cursor has gone on to the oldest that is kept.
        case lagged(UInt64)
        case empty, finished
    }

    /// What comes next for a subscription.
    mutating func receive(_ cursor: inout UInt64) -> Receiving {
        guard cursor < next else { return isFinished ? .finished : .empty }
        let oldest = oldest
        if cursor < oldest {
            let lost = oldest - cursor
            cursor = oldest
            missed += lost
            return .lagged(lost)
        }
        let place = place(of: cursor)
        cursor += 1
        remaining[place] -= 1
        return remaining[place] == 0 ? .move(place: place) : .copy(place: place)
    }

    /// Waits for the next item.
    mutating func wait(_ visitor: ParkedTask) {
        waits &+= 1
        waiters.append(visitor)
    }

    // MARK: Coming and going

    /// One more listens. Returns its cursor: it gets what is sent from now on.
    mutating func subscribe() -> UInt64 {
        subscribers += 1
        return next
    }

    /// One listens no more. Returns the places of the items that nobody else wants.
    mutating func unsubscribe(_ cursor: UInt64) -> [Int] {
        subscribers -= 1
        var places: [Int] = []
        for number in max(cursor, oldest)..<next {
            let place = place(of: number)
            remaining[place] -= 1
            if remaining[place] == 0 { places.append(place) }
        }
        return places
    }

    /// Takes no more items. What is kept can still be taken.
    mutating func finish(waking woken: inout WakeList) {
        isFinished = true
        // They have taken everything, or they would not wait.
        waiters.grantAll(waking: &woken)
    }

    mutating func leave(_ waiter: ParkedTask, waking woken: inout WakeList) {
        waiters.remove(waiter)
    }

    // MARK: Looking

    /// How many items are kept: somebody has yet to take them.
    var kept: Int { remaining.count { $0 > 0 } }

    /// How many items a subscription has yet to take; more than `capacity` if some of them are lost.
    func backlog(_ cursor: UInt64) -> UInt64 { next - cursor }

    private var oldest: UInt64 { next > UInt64(capacity) ? next - UInt64(capacity) : 0 }

    private func place(of number: UInt64) -> Int { Int(number % UInt64(capacity)) }
}
