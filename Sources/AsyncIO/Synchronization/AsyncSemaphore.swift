import AsyncIOKernel

/// A number of permits: so many tasks at a time may do something.
///
/// ```swift
/// let connections = AsyncSemaphore(permits: 10, name: "connections")
/// try await connections.withPermit {
///     try await fetch(page)
/// }
/// ```
///
/// A request may be for several permits. First come, first served: a large request that waits is not overtaken by small
/// ones, so it is not starved; when it is cancelled, those behind it go on. A permit is given back exactly once, by
/// whoever holds it. A cancelled task stops waiting with `CancellationError`; one that has been given permits has them.
///
/// asyncio's `Semaphore` and `BoundedSemaphore`; tokio's `Semaphore`.
public final class AsyncSemaphore: Sendable, CustomStringConvertible {
    /// What the semaphore is called in errors and in the task tree.
    public let name: String
    private let parking: Parking<SemaphoreMachine>

    /// Makes a semaphore.
    ///
    /// - Parameters:
    ///   - permits: How many permits there are, zero or more.
    ///   - limit: How many there may ever be, at least `permits`. Requests up to so many wait for ``addPermits(_:)``;
    ///     without it, a request for more than there are throws at once.
    ///   - name: What it is called.
    ///   - sharing: Who may use it.
    public init(
        permits: Int, limit: Int? = nil, name: String = "semaphore", sharing: Sharing = .acrossThreads
    ) {
        callerMust(permits >= 0, "\(name): a semaphore with \(permits) permits")
        callerMust(limit.map { $0 >= permits } ?? true, "\(name): a semaphore with more permits than its limit")
        self.name = name
        parking = Parking(SemaphoreMachine(permits: permits, limit: limit), name: name, sharing: sharing)
    }

    /// Takes permits; they are given back when the permit is released or goes out of scope.
    ///
    /// Suspends until there are enough, and all who came before have theirs. Throws `CancellationError`,
    /// ``ClosedError`` once the semaphore is closed, and ``TooManyPermitsError`` at once if there can never be enough;
    /// nothing was taken then. Less than none is a mistake in the program and stops it with a message.
    public func acquire(_ count: Int = 1) async throws -> Permit {
        if try !takeNow(count) { try await takeSlowly(count) }
        return Permit(semaphore: self, count: count)
    }

    /// Takes permits if there are enough now and nobody waits. Never suspends. Nil also once it is closed.
    public func tryAcquire(_ count: Int = 1) -> Permit? {
        callerMust(count >= 0, "\(name): \(count) permits were asked for")
        return parking.read { $0.take(count) == .done } ? Permit(semaphore: self, count: count) : nil
    }

    /// Runs the body with a permit, and gives it back however the body ends. Throws as ``acquire(_:)``.
    @inlinable
    public func withPermit<Result>(
        _ body: nonisolated(nonsending) () async throws -> Result
    ) async throws -> Result {
        try await withPermits(1, body)
    }

    /// Runs the body with permits, and gives them back however the body ends. Throws as ``acquire(_:)``.
    @inlinable
    public func withPermits<Result>(
        _ count: Int, _ body: nonisolated(nonsending) () async throws -> Result
    ) async throws -> Result {
        if try !takeNow(count) { try await takeSlowly(count) }
        defer { giveBack(count) }
        return try await body()
    }

    /// Permits that somebody holds, given back once.
    public struct Permit: ~Copyable, Sendable {
        fileprivate let semaphore: AsyncSemaphore
        /// How many.
        public let count: Int

        /// Gives them back: to the tasks that have waited longest, if any wait.
        public consuming func release() {}

        deinit { semaphore.giveBack(count) }
    }

    /// Adds new permits to those there are. Never suspends.
    ///
    /// More than the limit, or than an `Int` can count, or less than none, is a mistake in the program and stops it
    /// with a message.
    public func addPermits(_ count: Int) {
        callerMust(count >= 0, "\(name): \(count) permits were added")
        let hasRoom = parking.visit { $0.add(count, waking: &$1) }
        callerMust(hasRoom, "\(name): adding \(count) permits makes more than there may be")
    }

    /// Gives no more permits: everybody who waits, and everybody who comes, gets ``ClosedError``. Permits that are held
    /// stay valid.
    public func close() {
        parking.visit { $0.close(waking: &$1) }
    }

    /// Permits that nobody has. Requests may wait all the same, for more.
    public var availablePermits: Int { parking.read { $0.available } }
    /// Whether it gives no more permits.
    public var isClosed: Bool { parking.read { $0.isClosed } }
    /// The tasks that wait, longest first.
    public var waitingTasks: [TaskID] { parking.read { $0.waiters.tasks } }

    /// What has happened so far, and who waits.
    public var statistics: SemaphoreStatistics {
        parking.read {
            SemaphoreStatistics(
                availablePermits: $0.available, totalPermits: $0.total, acquired: $0.acquired, waits: $0.waits,
                waiting: $0.waiters.count)
        }
    }

    /// `AsyncSemaphore(connections, 0 of 10 available, 2 waiting)`.
    public var description: String {
        let statistics = statistics
        let waiting = statistics.waiting == 0 ? "" : ", \(statistics.waiting) waiting"
        let state = isClosed ? ", closed" : waiting
        return "AsyncSemaphore(\(name), \(statistics.availablePermits) of \(statistics.totalPermits) available\(state))"
    }

    /// The half of taking them that does not suspend. False if the other half is needed.
    @usableFromInline
    func takeNow(_ count: Int) throws -> Bool {
        callerMust(count >= 0, "\(name): \(count) permits were asked for")
        guard try Visit.mayGoOnNow() else { return false }
        return try check(parking.read { $0.take(count) }, count)
    }

    /// The half of taking them that suspends.
    @usableFromInline
    func takeSlowly(_ count: Int) async throws {
        try await Visit.takeTurns()
        let visitor = await parking.park(note: count) { machine, visitor, _ in machine.take(visitor) }
        switch visitor.phase {
        case .granted: return
        case .ended: _ = try check(isClosed ? .closed : .neverEnough, count)
        case .fresh, .queued, .cancelled: throw CancellationError()
        }
    }

    private func check(_ taking: SemaphoreMachine.Taking, _ count: Int) throws -> Bool {
        switch taking {
        case .done: return true
        case .tooFew: return false
        case .closed: throw ClosedError(subject: name, reason: .finished)
        case .neverEnough:
            throw TooManyPermitsError(semaphore: name, requested: count, limit: parking.read { $0.most })
        }
    }

    @usableFromInline
    func giveBack(_ count: Int) {
        parking.visit { $0.giveBack(count, waking: &$1) }
    }
}
