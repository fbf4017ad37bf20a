/// The items of a broadcast, which all its subscriptions share.
@safe
final class BroadcastRing<Element: Sendable>: Sendable {
    let name: String
    let parking: Parking<BroadcastMachine>
    /// As many places as items are kept. Under the lock of the parking, which knows the ones that are filled.
    nonisolated(unsafe) let items: UnsafeMutablePointer<Element>

    init(capacity: Int, name: String, sharing: Sharing) {
        self.name = name
        parking = Parking(BroadcastMachine(capacity: capacity), sharing: sharing)
        unsafe items = .allocate(capacity: capacity)
    }

    // Every item that is kept waits for a subscription, and those keep the ring: it is empty.
    deinit { unsafe items.deallocate() }

    func send(_ item: Element) -> Int {
        // An item that is pushed out ends here, outside of the lock: its end may come back to this broadcast.
        var item = item
        return parking.visit { machine, woken in
            switch machine.send(waking: &woken) {
            case .toNobody: return 0
            case .into(let place): unsafe (items + place).initialize(to: item)
            case .over(let place): unsafe swap(&items[place], &item)
            }
            return machine.subscribers
        }
    }

    func finish() {
        parking.visit { $0.finish(waking: &$1) }
    }

    /// A subscription ends: what nobody else wants ends with it, outside of the lock.
    func unsubscribe(_ cursor: UInt64) {
        var dropped: [Element] = []
        parking.read { machine in
            for place in machine.unsubscribe(cursor) { unsafe dropped.append((items + place).move()) }
        }
        withExtendedLifetime(dropped) {}
    }
}

/// A subscription was too slow for a broadcast: its oldest items were given up for newer ones.
///
/// Thrown once for each gap; the subscription goes on with the oldest item that is kept.
public struct LaggedError: Error, Hashable, CustomStringConvertible {
    /// The broadcast's name.
    public let subject: String
    /// How many items were lost.
    public let missed: UInt64

    /// Creates the error.
    public init(subject: String, missed: UInt64) {
        self.subject = subject
        self.missed = missed
    }

    /// `a subscription to news missed 3 items; …`.
    public var description: String {
        "a subscription to \(subject) missed \(missed) items; it goes on with the oldest that is kept"
            + " (take items faster, give the broadcast more capacity, or subscribe with .skips)"
    }
}

/// What a broadcast has done so far, and who listens.
public struct BroadcastStatistics: Sendable, Hashable {
    /// Items that were sent to somebody.
    public let sent: UInt64
    /// Items that subscriptions were too slow for, counted for each of them, as far as they have noticed.
    public let missed: UInt64
    /// Items that somebody has yet to take.
    public let kept: Int
    /// How many listen.
    public let subscribers: Int
    /// Calls that had to wait.
    public let waits: UInt64
    /// Tasks that wait.
    public let waiting: Int
}
