import AsyncIOKernel

/// One item for everybody: each subscription gets every item that was sent after it began.
///
/// ```swift
/// let news = Broadcast<Event>(capacity: 64, name: "news")
/// let subscription = news.subscribe()          // here: from now on
/// for try await event in subscription { … }
/// news.send(event)                             // and there: never waits
/// ```
///
/// All share one ring of the newest `capacity` items, and an item leaves it when the last subscription has taken it.
/// Who sends never waits: a subscription that lags behind by more than the capacity loses the oldest items, is told
/// once how many by ``LaggedError``, and goes on with the oldest item that is kept. The error ends a `for` loop, not
/// the subscription: begin another loop on it, or subscribe with ``Lagging/skips``.
///
/// When the last reference to the broadcast goes, it finishes.
///
/// tokio's `broadcast`.
public final class Broadcast<Element: Sendable>: Sendable, CustomStringConvertible {
    private let ring: BroadcastRing<Element>

    /// Makes a broadcast that nobody listens to yet.
    ///
    /// - Parameters:
    ///   - capacity: How many items are kept for those who lag behind, at least one; the ring is made at once.
    ///   - name: What it is called in errors and in the task tree.
    ///   - sharing: Who may use it.
    public init(capacity: Int, name: String = "broadcast", sharing: Sharing = .acrossThreads) {
        demand(capacity > 0, "a broadcast that keeps \(capacity) items: let it keep at least one")
        ring = BroadcastRing(capacity: capacity, name: name, sharing: sharing)
    }

    deinit { ring.finish() }

    /// Hands an item to everybody who listens now, and returns how many that are; 0 after ``finish()``.
    ///
    /// Never suspends. From any thread.
    @discardableResult
    public func send(_ item: Element) -> Int { ring.send(item) }

    /// Listens from now on.
    public func subscribe(lagging: Lagging = .throwsError) -> Subscription { Subscription(ring, lagging: lagging) }

    /// Takes no more items. Who listens gets what is kept, then nil.
    public func finish() { ring.finish() }

    /// How many listen.
    public var subscribers: Int { ring.parking.read { $0.subscribers } }
    /// What it is called in errors and in the task tree.
    public var name: String { ring.name }
    /// The tasks that wait for an item, longest first.
    public var waitingTasks: [TaskID] { ring.parking.read { $0.waiters.tasks } }

    /// What has happened so far, and who waits.
    public var statistics: BroadcastStatistics {
        ring.parking.read {
            BroadcastStatistics(
                sent: $0.next, missed: $0.missed, kept: $0.kept, subscribers: $0.subscribers, waits: $0.waits,
                waiting: $0.waiters.count)
        }
    }

    /// `Broadcast(news, 3 subscribers)`.
    public var description: String { "Broadcast(\(name), \(subscribers) subscribers)" }

    /// What a subscription does about items that it was too slow for.
    public enum Lagging: Sendable {
        /// Throws ``LaggedError``, once for each gap.
        case throwsError
        /// Goes on with the oldest item that is kept; see ``Subscription/missed``.
        case skips
    }

    /// Listens to a broadcast, from its creation until it is let go.
    ///
    /// For one task at a time; several that share a subscription share the items among them.
    public final class Subscription: Sendable, CustomStringConvertible {
        private let ring: BroadcastRing<Element>
        private let lagging: Lagging
        /// The number of the next item, under the lock of the ring.
        @safe @exclusivity(unchecked) nonisolated(unsafe) private var cursor: UInt64
        @safe @exclusivity(unchecked) nonisolated(unsafe) private var lost: UInt64 = 0

        fileprivate init(_ ring: BroadcastRing<Element>, lagging: Lagging) {
            self.ring = ring
            self.lagging = lagging
            cursor = ring.parking.read { $0.subscribe() }
        }

        deinit { ring.unsubscribe(cursor) }

        /// Takes the next item, and suspends until there is one; nil when the broadcast has finished.
        ///
        /// Throws ``LaggedError`` once after items were lost, and `CancellationError`; no item was taken in both cases.
        @inlinable
        public func next() async throws -> Element? {
            if let item = try unsafe withPlace({ try unsafe takeNow(into: $0) }) { return item }
            // Again, should another task that shares the subscription have been faster.
            while try await waitForNews() {
                if let item = try unsafe withPlace({ try unsafe take(into: $0) == .done }) { return item }
            }
            return nil
        }

        /// Takes the next item if there is one now; nil otherwise. Never suspends. Throws ``LaggedError``.
        @inlinable
        public func tryNext() throws -> Element? {
            unsafe try withPlace { try unsafe take(into: $0) == .done }
        }

        /// How many items wait to be taken by this subscription.
        public var count: Int {
            ring.parking.read { Int(clamping: Swift.min($0.backlog(cursor), UInt64($0.capacity))) }
        }

        /// How many items were lost, as far as has been noticed.
        public var missed: UInt64 { ring.parking.read { _ in lost } }

        /// `Broadcast.Subscription(news, 3 items behind)`.
        public var description: String {
            "Broadcast.Subscription(\(ring.name), \(ring.parking.read { $0.backlog(cursor) }) items behind)"
        }

        /// Memory for one item, which the body fills or does not.
        @inlinable
        @inline(__always)
        func withPlace(_ body: (UnsafeMutablePointer<Element>) throws -> Bool) rethrows -> Element? {
            unsafe try withUnsafeTemporaryAllocation(of: Element.self, capacity: 1) { place in
                guard let place = place.baseAddress, try unsafe body(place) else { return nil }
                return unsafe place.move()
            }
        }

        @usableFromInline enum Taking { case done, empty, finished }

        /// The half of `next` that does not suspend. False if the other half is needed.
        @usableFromInline
        func takeNow(into place: UnsafeMutablePointer<Element>) throws -> Bool {
            unsafe try Visit.mayGoOnNow() && take(into: place) == .done
        }

        @usableFromInline
        func take(into place: UnsafeMutablePointer<Element>) throws -> Taking {
            while true {
                let receiving = ring.parking.read { machine in
                    var receiving = machine.receive(&cursor)
                    // In one breath, or a fast sender could lap it again and again.
                    while case .lagged(let items) = receiving, lagging == .skips {
                        lost += items
                        receiving = machine.receive(&cursor)
                    }
                    switch receiving {
                    case .copy(let index): unsafe place.initialize(to: ring.items[index])
                    case .move(let index): unsafe place.moveInitialize(from: ring.items + index, count: 1)
                    case .lagged(let items): lost += items
                    case .empty, .finished: break
                    }
                    return receiving
                }
                switch receiving {
                case .copy, .move: return .done
                case .lagged(let items):
                    if lagging == .throwsError { throw LaggedError(subject: ring.name, missed: items) }
                case .empty: return .empty
                case .finished: return .finished
                }
            }
        }

        /// The half of `next` that suspends: until there may be an item. False if there will be none.
        @usableFromInline
        func waitForNews() async throws -> Bool {
            try await Visit.takeTurns()
            var isOver = false
            let visitor = await ring.parking.park { machine, visitor, _ in
                if machine.backlog(cursor) > 0 || machine.isFinished {
                    isOver = machine.backlog(cursor) == 0
                    visitor.grant()
                    return .answered
                }
                machine.wait(visitor)
                return .parked
            }
            defer { ring.parking.recycle(visitor) }
            guard visitor.phase == .granted else { throw CancellationError() }
            return !isOver
        }
    }
}

extension Broadcast.Subscription: AsyncSequence {
    /// Takes items until the broadcast has finished.
    public struct AsyncIterator: AsyncIteratorProtocol {
        @usableFromInline let subscription: Broadcast.Subscription

        @usableFromInline
        init(_ subscription: Broadcast.Subscription) { self.subscription = subscription }

        /// See ``Broadcast/Subscription/next()``.
        @inlinable
        public func next() async throws -> Element? { try await subscription.next() }

        /// See ``Broadcast/Subscription/next()``.
        @inlinable
        public func next(isolation actor: isolated (any Actor)?) async throws -> Element? {
            try await subscription.next()
        }
    }

    /// An iterator that goes on where the subscription is.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }
}
