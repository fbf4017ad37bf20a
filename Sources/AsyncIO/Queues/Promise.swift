import AsyncIOLoop
import Synchronization

/// One value, or one error, that arrives later: as many tasks as you like wait for it.
///
/// ```swift
/// let (promise, resolver) = Promise<Int>.make(name: "answer")
/// resolver.fulfil(42)                          // here, once; true for whoever was first
/// let answer = try await promise.value         // there, as often as you like
/// ```
///
/// A promise has two sides, so that none is forgotten silently: if the last reference to its ``Resolver`` goes and
/// nothing has come, the promise fails with ``BrokenPromiseError``, and whoever waits gets that. Nor is an error: if
/// nobody has asked for it when the promise goes, it is told to the error handler of the loop that runs there, or of
/// the main loop.
///
/// asyncio's `Future` without its callbacks, tokio's `oneshot` with many receivers.
@safe
public final class Promise<Value: Sendable>: Sendable, CustomStringConvertible {
    /// What the promise is called in errors and in the task tree.
    public let name: String
    private let parking: Parking<PromiseMachine>
    /// The value, once it has come. Written once, under the lock of the parking; read by those who have seen there that
    /// it is written.
    nonisolated(unsafe) private let place: UnsafeMutablePointer<Value>
    @safe @exclusivity(unchecked) nonisolated(unsafe) private var hasValue = false
    @safe @exclusivity(unchecked) nonisolated(unsafe) private var error: (any Error)?
    /// Whether somebody has seen the error.
    private let errorIsKnown = Atomic(false)

    private init(name: String, sharing: Sharing) {
        self.name = name
        parking = Parking(PromiseMachine(), name: name, sharing: sharing)
        unsafe place = .allocate(capacity: 1)
    }

    deinit {
        if hasValue { unsafe place.deinitialize(count: 1) }
        unsafe place.deallocate()
        guard let error, !errorIsKnown.load(ordering: .acquiring), !(error is CancellationError) else { return }
        EventLoop.ambient.report(error, context: "promise \"\(name)\", which nobody has awaited")
    }

    /// Makes a promise, and the side that fulfils it.
    public static func make(
        of type: Value.Type = Value.self, name: String = "promise", sharing: Sharing = .acrossThreads
    ) -> (promise: Promise, resolver: Resolver) {
        let promise = Promise(name: name, sharing: sharing)
        return (promise, Resolver(promise))
    }

    // MARK: Waiting

    /// The value, or the error. Suspends until one has come.
    ///
    /// Throws `CancellationError` if the task is or becomes cancelled; the promise and the others who wait do not
    /// notice. Throws ``BrokenPromiseError`` if nobody is left who could fulfil it.
    @inlinable
    public var value: Value {
        get async throws {
            if try !hasComeNow() { try await waitSlowly() }
            return try outcome()
        }
    }

    /// What has come, as a result; nil before. Never suspends.
    public var result: Result<Value, any Error>? {
        guard isFulfilled else { return nil }
        return Result { try outcome() }
    }

    /// Whether a value or an error has come.
    public var isFulfilled: Bool { parking.read { $0.outlook != .open } }

    /// The tasks that wait, longest first.
    public var waitingTasks: [TaskID] { parking.read { $0.waiters.tasks } }

    /// What has happened so far, and who waits.
    public var statistics: PromiseStatistics {
        parking.read {
            PromiseStatistics(isFulfilled: $0.outlook != .open, waits: $0.waits, waiting: $0.waiters.count)
        }
    }

    /// `Promise(answer, open, 2 waiting)`.
    public var description: String {
        let (outlook, waiting) = parking.read { ($0.outlook, $0.waiters.count) }
        return "Promise(\(name), \(outlook)\(waiting == 0 ? "" : ", \(waiting) waiting"))"
    }

    /// The half of waiting that does not suspend. False if the other half is needed.
    @usableFromInline
    func hasComeNow() throws -> Bool {
        try Visit.mayGoOnNow() && isFulfilled
    }

    /// The half of waiting that suspends.
    @usableFromInline
    func waitSlowly() async throws {
        try await parking.wait { $0.wait($1) }
    }

    /// What has come. Only for those who have seen that it has.
    @usableFromInline
    func outcome() throws -> Value {
        if let error {
            errorIsKnown.store(true, ordering: .releasing)
            throw error
        }
        return unsafe place.pointee
    }

    // MARK: Fulfilling

    fileprivate var outlook: PromiseMachine.Outlook { parking.read { $0.outlook } }

    fileprivate func fulfil(_ value: Value) -> Bool {
        parking.visit { machine, woken in
            guard machine.settle(.fulfilled, waking: &woken) else { return false }
            unsafe place.initialize(to: value)
            hasValue = true
            return true
        }
    }

    fileprivate func fail(_ error: any Error) -> Bool {
        parking.visit { machine, woken in
            guard machine.settle(.failed, waking: &woken) else { return false }
            self.error = error
            return true
        }
    }

    /// Nobody is left who could fulfil it. If nobody waits either, that is no news.
    fileprivate func breakUp() {
        if fail(BrokenPromiseError(subject: name)) { errorIsKnown.store(true, ordering: .releasing) }
    }

    /// The side of a promise that fulfils it. When the last reference to it goes and nothing has come, the promise
    /// fails with ``BrokenPromiseError``.
    public final class Resolver: Sendable, CustomStringConvertible {
        /// The side that waits.
        public let promise: Promise

        fileprivate init(_ promise: Promise) {
            self.promise = promise
        }

        deinit {
            if !promise.isFulfilled { promise.breakUp() }
        }

        /// Hands the value to all who wait and all who will ask. False, and nothing changes, if a value or an error
        /// came before. From any thread; never suspends.
        @discardableResult
        public func fulfil(_ value: Value) -> Bool { promise.fulfil(value) }

        /// Hands an error to all who wait and all who will ask. False, and nothing changes, if a value or an error came
        /// before. From any thread; never suspends.
        @discardableResult
        public func fail(_ error: any Error) -> Bool { promise.fail(error) }

        /// Fulfils the promise with what the body returns, or fails it with what the body throws.
        @discardableResult
        public func resolve(_ body: () throws -> Value) -> Bool {
            do { return fulfil(try body()) } catch { return fail(error) }
        }

        /// Whether a value or an error has come.
        public var isFulfilled: Bool { promise.isFulfilled }

        /// `Promise.Resolver(answer, open)`.
        public var description: String { "Promise.Resolver(\(promise.name), \(promise.outlook))" }
    }
}

extension Promise.Resolver where Value == Void {
    /// Says that it has happened. False, and nothing changes, if it had, or had failed.
    @discardableResult
    public func fulfil() -> Bool { fulfil(()) }
}

/// Nobody is left who could fulfil a promise.
public struct BrokenPromiseError: Error, Hashable, CustomStringConvertible {
    /// The promise's name.
    public let subject: String

    /// Creates the error.
    public init(subject: String) {
        self.subject = subject
    }

    /// `answer was never fulfilled: its resolver was let go; …`.
    public var description: String {
        "\(subject) was never fulfilled: its resolver was let go; keep it, and call fulfil or fail on every path"
    }
}

/// What has become of a promise, and who waits.
public struct PromiseStatistics: Sendable, Hashable {
    /// Whether a value or an error has come.
    public let isFulfilled: Bool
    /// Calls that had to wait.
    public let waits: UInt64
    /// Tasks that wait.
    public let waiting: Int
}

/// Decides who still waits for a promise.
struct PromiseMachine: WaitMachine, ~Copyable {
    enum Outlook { case open, fulfilled, failed }

    private(set) var outlook = Outlook.open
    private(set) var waiters = ParkingLot()
    private(set) var waits: UInt64 = 0

    /// Ends the waiting. False if it had ended.
    mutating func settle(_ outlook: Outlook, waking woken: inout WakeList) -> Bool {
        guard self.outlook == .open else { return false }
        self.outlook = outlook
        waiters.grantAll(waking: &woken)
        return true
    }

    mutating func wait(_ visitor: ParkedTask) -> Arrival {
        guard outlook == .open else {
            visitor.grant()
            return .answered
        }
        waits &+= 1
        waiters.append(visitor)
        return .parked
    }

    mutating func leave(_ waiter: ParkedTask, waking woken: inout WakeList) {
        waiters.remove(waiter)
    }
}
