/// The latest value of something, and news whenever it changes.
///
/// ```swift
/// let settings = Watch(Settings(), name: "settings")
/// for try await current in settings.subscribe() { … }      // the value now, then the newest after each change
/// settings.update { $0.verbose = true }
/// ```
///
/// Only the newest value is kept: whoever is slow skips those between. Setting never waits. When the last reference to
/// the watch goes, it finishes: subscriptions give the last value, if they have not, and end.
///
/// tokio's `watch`.
public final class Watch<Value: Sendable>: Sendable, CustomStringConvertible {
    private let cell: WatchCell<Value>

    /// Makes a watch with its first value.
    public init(_ value: Value, name: String = "watch", sharing: Sharing = .acrossThreads) {
        cell = WatchCell(value, name: name, sharing: sharing)
    }

    deinit { cell.finish() }

    /// The latest value. Setting it is ``set(_:)``.
    public var value: Value { cell.value }

    /// Sets the value and tells everybody, also if it is the same as before. False, and nothing changes, after
    /// ``finish()``.
    ///
    /// Never suspends. From any thread.
    @discardableResult
    public func set(_ value: Value) -> Bool { cell.set(value, ifStill: nil) == .done }

    /// Changes the value where it stands and tells everybody. Returns what the body returns.
    ///
    /// No change of somebody else's is lost: if one came while the body ran, the body runs again on the new value. So
    /// it changes what it is given and does nothing else; above all it does not set this watch. If it throws, or after
    /// ``finish()``, the value stays as it is. Never suspends.
    @discardableResult
    public func update<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        while true {
            var (value, version) = cell.valueAndVersion
            let result = try body(&value)
            if cell.set(value, ifStill: version) != .overtaken { return result }
        }
    }

    /// Follows the value: the one at the time of asking first, then the newest after each change.
    public func subscribe() -> Subscription { Subscription(cell) }

    /// Suspends until the value fulfils the condition, and returns that value; at once if it does now.
    ///
    /// A value that another one replaces at once may pass unseen. The condition runs on the calling task, under no
    /// lock. Throws ``ClosedError`` if the watch finishes first, `CancellationError`, and what the condition throws.
    public func wait(until condition: (Value) throws -> Bool) async throws -> Value {
        try await cell.wait(until: condition)
    }

    /// Takes no more values. Who follows gets the last one, if it has not, then nil.
    public func finish() { cell.finish() }

    /// Whether it takes no more values.
    public var isFinished: Bool { cell.parking.read { $0.isFinished } }
    /// What it is called in errors and in the task tree.
    public var name: String { cell.name }
    /// The tasks that wait for a change, longest first.
    public var waitingTasks: [TaskID] { cell.parking.read { $0.waiters.tasks } }

    /// What has happened so far, and who waits.
    public var statistics: WatchStatistics {
        cell.parking.read {
            WatchStatistics(changes: $0.version, waits: $0.waits, waiting: $0.waiters.count)
        }
    }

    /// `Watch(settings, 3 changes)`.
    public var description: String { "Watch(\(name), \(statistics.changes) changes)" }

    /// Follows a watch. Does not keep it open.
    ///
    /// For one task at a time; several that share a subscription share the news among them.
    public final class Subscription: Sendable, CustomStringConvertible {
        private let cell: WatchCell<Value>
        /// The version that was given last, under the lock of the cell; none before the first.
        @safe @exclusivity(unchecked) nonisolated(unsafe) private var seen: UInt64?

        fileprivate init(_ cell: WatchCell<Value>) {
            self.cell = cell
        }

        /// The latest value. It still counts as new for ``next()``.
        public var value: Value { cell.value }

        /// Whether ``next()`` would give a value at once.
        public var hasChanged: Bool { cell.parking.read { seen != $0.version } }

        /// The newest value, if this subscription has not given it; otherwise suspends until there is one. Nil when the
        /// watch has finished.
        ///
        /// Throws `CancellationError`; the news is not used up then.
        public func next() async throws -> Value? {
            try await Visit.enter()
            while true {
                let (news, isOver) = cell.parking.read { machine -> (Value?, Bool) in
                    guard seen != machine.version else { return (nil, machine.isFinished) }
                    seen = machine.version
                    return (cell.latest, false)
                }
                if let news { return news }
                if isOver { return nil }
                guard let seen = cell.parking.read({ _ in seen }) else { continue }
                try await cell.waitForChange(since: seen)
            }
        }

        /// Suspends until the value fulfils the condition, and returns that value; see ``Watch/wait(until:)``.
        public func wait(until condition: (Value) throws -> Bool) async throws -> Value {
            try await cell.wait(until: condition)
        }

        /// `Watch.Subscription(settings)`.
        public var description: String { "Watch.Subscription(\(cell.name))" }
    }
}

extension Watch.Subscription: AsyncSequence {
    /// Gives the newest value after each change until the watch has finished.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let subscription: Watch.Subscription

        /// See ``Watch/Subscription/next()``.
        public func next() async throws -> Value? { try await subscription.next() }

        /// See ``Watch/Subscription/next()``.
        public func next(isolation actor: isolated (any Actor)?) async throws -> Value? {
            try await subscription.next()
        }
    }

    /// An iterator that goes on where the subscription is.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(subscription: self) }
}

/// What a watch has seen so far, and who waits.
public struct WatchStatistics: Sendable, Hashable {
    /// Values that were set after the first.
    public let changes: UInt64
    /// Calls that had to wait.
    public let waits: UInt64
    /// Tasks that wait.
    public let waiting: Int
}
