import AsyncIOKernel

/// A bounded queue between tasks: `put` suspends while it is full, `get` while it is empty.
///
/// ```swift
/// let jobs = AsyncQueue<Job>(capacity: 100)
/// try await jobs.put(job)                     // here
/// for try await job in jobs { … }             // and there, until somebody calls finish()
/// ```
///
/// First come, first served, on both sides: nobody overtakes. A call that can go on at once does not suspend and
/// allocates nothing. Every wait ends with `CancellationError` if its task is cancelled; the item is then where it was
/// before the call: `put` has not put it, `get` has not taken one. A call of a task that is cancelled already throws
/// without a try.
///
/// asyncio's `Queue`, `LifoQueue` and `PriorityQueue`.
public final class AsyncQueue<Element: Sendable>: Sendable, CustomStringConvertible {
    /// What the queue is called in errors and in the task tree.
    public let name: String
    private let order: QueueOrder<Element>
    private let parking: Parking<QueueMachine>
    /// Under the lock of the parking.
    @safe @exclusivity(unchecked) nonisolated(unsafe) private var store: ItemStore<Element>

    /// Makes an empty queue.
    ///
    /// - Parameters:
    ///   - capacity: How many items it holds before `put` suspends, at least one; or `.unbounded`.
    ///   - order: The order in which items leave.
    ///   - name: What it is called.
    ///   - sharing: Who may use it.
    public init(
        capacity: QueueCapacity, order: QueueOrder<Element> = .fifo, name: String = "queue",
        sharing: Sharing = .acrossThreads
    ) {
        self.name = name
        self.order = order
        parking = Parking(QueueMachine(capacity: capacity.limit), name: name, sharing: sharing)
        store = ItemStore(order.kind, isSmaller: order.isSmaller)
    }

    // MARK: Putting

    /// Puts an item in, and suspends while there is no room.
    ///
    /// Throws ``ClosedError`` once the queue was finished or cancelled, also to those who wait then, and
    /// `CancellationError`; the item was not put in both cases.
    @inlinable
    public func put(_ item: Element) async throws {
        switch try beginPut() {
        case .here(let place):
            unsafe place.assumingMemoryBound(to: Element.self).initialize(to: item)
            endPut()
        case .otherwise: if try !putIfRoom(item) { try await putSlowly(item) }
        case .later: try await putSlowly(item)
        }
    }

    // The usual case, that there is room, or an item, and nobody waits, is split around the item's move: it happens in
    // the caller's code, which knows the item's type, while the queue is locked. No code of a caller's runs meanwhile.

    @usableFromInline
    func beginPut() throws -> QueueAccess {
        guard try Visit.mayGoOnNow() else { return .later }
        var access = QueueAccess.otherwise
        let isRoom = parking.enter { machine in
            if machine.isFull { access = .later }
            return machine.takesIntoStore()
        }
        guard isRoom else { return access }
        return unsafe .here(UnsafeMutableRawPointer(store.placeForNext()))
    }

    @usableFromInline
    func endPut() {
        store.settle()
        parking.exit()
    }

    /// The half of `put` that suspends.
    @usableFromInline
    func putSlowly(_ item: Element) async throws {
        try await Visit.takeTurns()
        var isInSlot = false
        let visitor = await parking.park(note: QueueMachine.Wish.put.rawValue) { machine, visitor, woken in
            switch machine.put(waking: &woken) {
            case .intoStore:
                store.add(item)
                visitor.grant()
            case .into(let getter):
                unsafe getter.slot(for: Element.self).initialize(to: item)
                visitor.grant()
            case .closed: visitor.end()
            case .full:
                // Whoever grants it empties the slot; else it is emptied below.
                unsafe visitor.slot(for: Element.self).initialize(to: item)
                isInSlot = true
                machine.wait(toPut: visitor)
                return .parked
            }
            return .answered
        }
        defer { parking.recycle(visitor) }
        if isInSlot && visitor.phase != .granted { unsafe visitor.slot(for: Element.self).deinitialize(count: 1) }
        try check(visitor)
    }

    /// Puts an item in if there is room now. False if the queue is full or closed. Never suspends.
    public func tryPut(_ item: Element) -> Bool {
        (try? putIfRoom(item)) ?? false
    }

    @usableFromInline
    func putIfRoom(_ item: Element) throws -> Bool {
        let putting = parking.visit { machine, woken in
            let putting = machine.put(waking: &woken)
            switch putting {
            case .intoStore: store.add(item)
            case .into(let getter):
                unsafe getter.slot(for: Element.self).initialize(to: item)
            case .full, .closed: break
            }
            return putting
        }
        switch putting {
        case .intoStore, .into: return true
        case .full: return false
        case .closed: throw closed
        }
    }

    // MARK: Getting

    /// Takes the next item, and suspends until there is one.
    ///
    /// Throws ``ClosedError`` when the queue was closed and is empty, and `CancellationError`; no item was taken then.
    @inlinable
    public func get() async throws -> Element {
        if let item = try await next() { return item }
        throw closed
    }

    /// Takes the next item, and suspends until there is one; nil when the queue has finished and is empty.
    ///
    /// Throws `CancellationError`, and ``ClosedError`` after ``cancel()``.
    @inlinable
    public func next() async throws -> Element? {
        switch try beginTaking() {
        case .here(let place):
            let item = unsafe place.assumingMemoryBound(to: Element.self).move()
            // Whatever becomes of it, it ends when the queue is free again: its end may ask for the queue.
            withExtendedLifetime(item) { endTaking() }
            return item
        case .otherwise: if let item = tryGet() { return item }
        case .later: break
        }
        return try await nextSlowly()
    }

    @usableFromInline
    func beginTaking() throws -> QueueAccess {
        guard try Visit.mayGoOnNow() else { return .later }
        // Whoever waits to put is admitted by the other way.
        var access = QueueAccess.otherwise
        let isThere = parking.enter { machine in
            if machine.isWaitedFor { access = .later }
            return store.isRing && machine.putters.isEmpty && machine.get() == .fromStore
        }
        guard isThere else { return access }
        return unsafe .here(UnsafeMutableRawPointer(store.placeOfFirst()))
    }

    @usableFromInline
    func endTaking() { parking.exit() }

    /// Takes the next item if there is one now. Never suspends.
    @inlinable
    public func tryGet() -> Element? {
        unsafe withUnsafeTemporaryAllocation(of: Element.self, capacity: 1) { place in
            guard let place = place.baseAddress, unsafe takeIfAny(into: place) else { return nil }
            return unsafe place.move()
        }
    }

    @usableFromInline
    func takeIfAny(into place: UnsafeMutablePointer<Element>) -> Bool {
        parking.visit { machine, woken in unsafe take(from: &machine, into: place, waking: &woken) == .done }
    }

    /// Takes what is there, at least one and at most so many items, and suspends until there is one.
    ///
    /// An empty array when the queue has finished and is empty. A limit below one is taken as one.
    public func get(upTo limit: Int) async throws -> [Element] {
        guard let first = try await next() else { return [] }
        var items = [first]
        while items.count < limit, let item = tryGet() { items.append(item) }
        return items
    }

    private enum Taking { case done, empty, closed }

    @inline(__always)
    private func take(
        from machine: inout QueueMachine, into place: UnsafeMutablePointer<Element>, waking woken: inout WakeList
    ) -> Taking {
        switch machine.get() {
        case .fromStore: unsafe store.take(into: place)
        case .empty: return .empty
        case .closed: return .closed
        }
        while let putter = machine.admit(waking: &woken) {
            unsafe store.add(from: putter.slot(for: Element.self))
        }
        return .done
    }

    /// The half of `next` that suspends.
    @usableFromInline
    func nextSlowly() async throws -> Element? {
        try await Visit.takeTurns()
        let visitor = await parking.park(note: QueueMachine.Wish.get.rawValue) { machine, visitor, woken in
            switch unsafe take(from: &machine, into: visitor.slot(for: Element.self), waking: &woken) {
            case .done: visitor.grant()
            case .closed: visitor.end()
            case .empty:
                machine.wait(toGet: visitor)
                return .parked
            }
            return .answered
        }
        defer { parking.recycle(visitor) }
        switch visitor.phase {
        case .granted: return unsafe visitor.slot(for: Element.self).move()
        case .ended:
            let error = closed
            if error.reason == .cancelled { throw error }
            return nil
        case .fresh, .queued, .cancelled: throw CancellationError()
        }
    }

    // MARK: Knowing when everything is done

    /// Says that one item, taken earlier, has been dealt with. See ``join()``.
    ///
    /// Calling it more often than items were put is a mistake in the program and stops it with a message.
    public func itemDone() {
        let wasOpen = parking.visit { $0.itemIsDone(waking: &$1) }
        callerMust(wasOpen, "itemDone() of \(name) was called more often than items were put")
    }

    /// Suspends until every item that was put has been reported by ``itemDone()``, or dropped by ``cancel()``.
    public func join() async throws {
        try await Visit.enter()
        if parking.read({ $0.unfinished == 0 }) { return }
        try check(
            await parking.park(note: QueueMachine.Wish.join.rawValue) { machine, visitor, _ in
                machine.join(visitor)
            })
    }

    // MARK: Ending

    /// Takes no more items. What is inside can still be got; then `next` returns nil and `get` throws.
    public func finish() {
        parking.visit { $0.finish(waking: &$1) }
    }

    /// Takes no more items, and drops what is inside. Everybody who waits, and everybody who comes, gets
    /// ``ClosedError``.
    public func cancel() {
        // What is dropped may have an end that comes back to this queue: it runs outside of the lock.
        var dropped = ItemStore(order.kind, isSmaller: order.isSmaller)
        parking.visit { machine, woken in
            machine.cancel(waking: &woken)
            swap(&store, &dropped)
        }
    }

    // MARK: Looking

    /// How many items are inside.
    public var count: Int { parking.read { $0.count } }
    /// Whether nothing is inside.
    public var isEmpty: Bool { count == 0 }
    /// Whether `put` would suspend.
    public var isFull: Bool { parking.read { $0.count >= $0.capacity } }
    /// Whether it takes no more items.
    public var isClosed: Bool { parking.read { $0.phase != .open } }

    /// What has happened so far, and who waits.
    public var statistics: QueueStatistics {
        parking.read { machine in
            QueueStatistics(
                count: machine.count, peak: machine.peak, put: machine.put,
                waits: machine.waits, waitingPutters: machine.putters.count,
                waitingGetters: machine.getters.count, unfinished: machine.unfinished)
        }
    }

    /// The tasks that wait for room or for an item, longest first.
    public var waitingTasks: [TaskID] { parking.read { $0.putters.tasks + $0.getters.tasks } }

    /// `AsyncQueue(jobs, 3 of 100)`.
    public var description: String {
        let (count, capacity) = parking.read { ($0.count, $0.capacity) }
        return "AsyncQueue(\(name), \(count)\(capacity == .max ? "" : " of \(capacity)"))"
    }

    @usableFromInline var closed: ClosedError {
        ClosedError(subject: name, reason: parking.read { $0.phase == .cancelled } ? .cancelled : .finished)
    }

    private func check(_ visitor: ParkedTask) throws {
        switch visitor.phase {
        case .granted: return
        case .ended: throw closed
        case .fresh, .queued, .cancelled: throw CancellationError()
        }
    }
}

extension AsyncQueue: AsyncSequence {
    /// Takes items until the queue has finished. Several iterators share the items among them.
    public struct AsyncIterator: AsyncIteratorProtocol {
        @usableFromInline let queue: AsyncQueue

        /// See ``AsyncQueue/next()``.
        @inlinable
        public func next() async throws -> Element? { try await queue.next() }

        /// See ``AsyncQueue/next()``.
        @inlinable
        public func next(isolation actor: isolated (any Actor)?) async throws -> Element? { try await queue.next() }
    }

    /// An iterator that takes items out of the queue.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(queue: self) }
}

/// How a call goes on that has come to its turn.
@safe
@usableFromInline
enum QueueAccess {
    /// With the item's place in the store. The queue is locked until the call ends.
    case here(UnsafeMutableRawPointer)
    /// There is more to it.
    case otherwise
    /// It has to suspend first.
    case later
}
