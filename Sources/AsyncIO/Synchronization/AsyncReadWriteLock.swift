/// A lock that many readers share, and that one writer has for itself.
///
/// ```swift
/// let routes = AsyncReadWriteLock(name: "routes")
/// let route = try await routes.withReadLock { table[path] }
/// try await routes.withWriteLock { try await reload(&table) }
/// ```
///
/// First come, first served: a writer that waits is not overtaken by readers that come later, so it is not starved; and
/// readers that stand behind it one after the other go together. When a writer is cancelled while it waits, the readers
/// behind it go on. A cancelled task stops waiting with `CancellationError`; one that has been given the lock has it.
///
/// Not recursive. A task that writes and asks again gets ``DeadlockError``. A reader must not ask to write, nor to read
/// again, since a writer may have come between: in debug builds, in simulations, and elsewhere with `ASYNCIO_DEBUG=1`
/// in the environment, it gets ``DeadlockError`` where it would wait for itself, and so does one of several tasks that
/// wait for each other. Otherwise readers are only counted, as those of a lock that was made outside of its simulation.
///
/// tokio's `RwLock`; asyncio has none.
public final class AsyncReadWriteLock: Sendable, CustomStringConvertible {
    /// What the lock is called in errors and in the task tree.
    public let name: String
    private let parking: Parking<ReadWriteMachine>
    /// Whether readers are known by name.
    private let isWatched = DeadlockWatch.current != nil

    /// Makes a lock that is free.
    public init(name: String = "read-write lock", sharing: Sharing = .acrossThreads) {
        self.name = name
        parking = Parking(ReadWriteMachine(isWatched: isWatched), name: name, sharing: sharing)
    }

    // MARK: Reading

    /// Runs the body while nobody writes, and gives the lock back however the body ends. Others may read meanwhile.
    ///
    /// Suspends while somebody writes or waits in front. Throws `CancellationError` before the body if the task is or
    /// becomes cancelled, ``DeadlockError`` if it could never get the lock, and what the body throws.
    @inlinable
    public func withReadLock<Result>(
        _ body: nonisolated(nonsending) () async throws -> Result
    ) async throws -> Result {
        if try !takeNow(forReading: true) { try await takeSlowly(forReading: true) }
        defer { giveBackRead() }
        return try await body()
    }

    /// Takes the lock for reading; it is given back when the hold is released or goes out of scope. Throws as
    /// ``withReadLock(_:)``.
    public func acquireRead() async throws -> ReadHold {
        if try !takeNow(forReading: true) { try await takeSlowly(forReading: true) }
        return ReadHold(lock: self, reader: currentReader)
    }

    /// Takes the lock for reading if nobody writes and nobody waits. Never suspends.
    public func tryAcquireRead() -> ReadHold? {
        let task = currentReader
        return parking.read { $0.take(.read, for: task) } ? ReadHold(lock: self, reader: task) : nil
    }

    // MARK: Writing

    /// Runs the body while nobody else reads or writes, and gives the lock back however the body ends.
    ///
    /// Suspends while the lock is taken or others wait. Throws `CancellationError` before the body if the task is or
    /// becomes cancelled, ``DeadlockError`` if it could never get the lock, and what the body throws.
    @inlinable
    public func withWriteLock<Result>(
        _ body: nonisolated(nonsending) () async throws -> Result
    ) async throws -> Result {
        if try !takeNow(forReading: false) { try await takeSlowly(forReading: false) }
        defer { giveBackWrite() }
        return try await body()
    }

    /// Takes the lock for writing; it is given back when the hold is released or goes out of scope. Throws as
    /// ``withWriteLock(_:)``.
    public func acquireWrite() async throws -> WriteHold {
        if try !takeNow(forReading: false) { try await takeSlowly(forReading: false) }
        return WriteHold(lock: self)
    }

    /// Takes the lock for writing if nobody has it and nobody waits. Never suspends.
    public func tryAcquireWrite() -> WriteHold? {
        let task = TaskID.current
        return parking.read { $0.take(.write, for: task) } ? WriteHold(lock: self) : nil
    }

    // MARK: Holding

    /// A lock that is held for reading, by whoever has this value.
    public struct ReadHold: ~Copyable, Sendable {
        fileprivate let lock: AsyncReadWriteLock
        fileprivate private(set) var reader: TaskID?

        fileprivate init(lock: AsyncReadWriteLock, reader: TaskID?) {
            self.lock = lock
            self.reader = reader
        }

        /// Gives the lock back.
        public consuming func release() {}

        /// The hold, of no task in particular: for one that is passed to another task. See
        /// ``AsyncLock/Hold/disowned()``.
        public consuming func disowned() -> ReadHold {
            let former = reader.take()
            lock.parking.read { $0.disown(former) }
            return self
        }

        deinit { lock.giveBackRead(from: reader) }
    }

    /// A lock that is held for writing, by whoever has this value.
    public struct WriteHold: ~Copyable, Sendable {
        fileprivate let lock: AsyncReadWriteLock
        private var isHeld = true

        fileprivate init(lock: AsyncReadWriteLock) {
            self.lock = lock
        }

        /// Gives the lock back.
        public consuming func release() {}

        /// Goes on as a reader, without a moment in which somebody else could write. Readers that wait in front go on
        /// too.
        public consuming func downgrade() -> ReadHold {
            isHeld = false
            let reader = lock.parking.visit { machine, woken in
                defer { machine.downgrade(waking: &woken) }
                return machine.writer
            }
            return ReadHold(lock: lock, reader: reader)
        }

        /// The hold, of no task in particular: for one that is passed to another task. See
        /// ``AsyncLock/Hold/disowned()``.
        public consuming func disowned() -> WriteHold {
            lock.parking.read { $0.disown() }
            return self
        }

        deinit {
            if isHeld { lock.giveBackWrite() }
        }
    }

    // MARK: Looking

    /// How many read now.
    public var readers: Int { parking.read { $0.readers } }
    /// Whether somebody writes now.
    public var isWriteLocked: Bool { parking.read { $0.isWritten } }
    /// The task that writes; the one that took the lock, should the hold have been passed on.
    public var writer: TaskID? { parking.read { $0.writer } }
    /// The tasks that wait, longest first.
    public var waitingTasks: [TaskID] { parking.read { $0.waiters.tasks } }

    /// What has happened so far, and who waits.
    public var statistics: ReadWriteLockStatistics {
        parking.read {
            ReadWriteLockStatistics(
                readers: $0.readers, isWritten: $0.isWritten, reads: $0.reads, writes: $0.writes, waits: $0.waits,
                waiting: $0.waiters.count)
        }
    }

    /// `AsyncReadWriteLock(routes, 3 reading, 1 waiting)`.
    public var description: String {
        let (statistics, writer) = (statistics, writer)
        let written = writer.map { "written by task \($0)" } ?? "written"
        let state = statistics.isWritten ? written : statistics.readers > 0 ? "\(statistics.readers) reading" : "free"
        let waiting = statistics.waiting == 0 ? "" : ", \(statistics.waiting) waiting"
        return "AsyncReadWriteLock(\(name), \(state)\(waiting))"
    }

    // MARK: Halves

    /// The half of taking it that does not suspend. False if the other half is needed.
    @usableFromInline
    func takeNow(forReading reads: Bool) throws -> Bool {
        var task = TaskID(0)
        switch Visit.begin(as: &task) {
        case .mayGoOn: return parking.read { $0.take(reads ? .read : .write, for: task) }
        case .mustTakeTurns: return false
        case .isCancelled: throw CancellationError()
        }
    }

    /// The half of taking it that suspends.
    @usableFromInline
    func takeSlowly(forReading reads: Bool) async throws {
        try await Visit.takeTurns()
        let access: ReadWriteMachine.Access = reads ? .read : .write
        _ = try await parking.park(note: access.rawValue, at: self) { machine, visitor in
            machine.take(access, visitor)
        }
    }

    private var currentReader: TaskID? { isWatched ? TaskID.current : nil }

    @usableFromInline
    func giveBackRead() { giveBackRead(from: currentReader) }

    fileprivate func giveBackRead(from reader: TaskID?) {
        parking.visit { $0.giveBack(.read, from: reader, waking: &$1) }
    }

    @usableFromInline
    func giveBackWrite() {
        parking.visit { $0.giveBack(.write, waking: &$1) }
    }
}

extension AsyncReadWriteLock: HeldPlace {
    func holders(inTheWayOf visitor: ParkedTask) -> [TaskID] {
        guard parking.isWithinReach else { return [] }
        return parking.read { machine in visitor.phase == .queued ? machine.holders : [] }
    }

    func sendAway(_ visitor: ParkedTask) { parking.sendAway(visitor) }
}
