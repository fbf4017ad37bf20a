/// A wish to stop that can be handed on, to tasks and to other code: cancelling it cancels its children, never its
/// parent.
///
/// ```swift
/// let stop = CancellationToken(name: "stop")
/// let session = stop.child()
/// try await session.run { … }        // cancelled with session, and with stop
/// stop.cancel()
/// ```
///
/// A token is cancelled once and for good. All methods may be called from any thread. A child keeps its parent alive; a
/// parent knows its children only as long as somebody else does.
///
/// tokio-util's `CancellationToken`.
@safe
public final class CancellationToken: Sendable, CustomStringConvertible {
    /// What the token is called in descriptions.
    public let name: String
    private let parking: Parking<TokenMachine>
    /// Under the lock of the parking.
    @safe private nonisolated(unsafe) var handlers: [UInt64: @Sendable () -> Void] = [:]
    /// Under the lock of the parking.
    @safe private nonisolated(unsafe) var children: [UInt64: WeakToken] = [:]
    /// Read and changed by the last one who knows this token.
    @safe private nonisolated(unsafe) var parent: CancellationToken?
    private let number: UInt64

    /// Makes a token that is not cancelled and has no parent.
    public init(name: String = "token") {
        self.name = name
        parking = Parking(TokenMachine(), name: name, sharing: .acrossThreads)
        parent = nil
        number = 0
    }

    private init(name: String, parent: CancellationToken, number: UInt64) {
        self.name = name
        parking = Parking(TokenMachine(), name: name, sharing: .acrossThreads)
        self.parent = parent
        self.number = number
    }

    deinit {
        // One after the other: letting go of a long line of parents would overflow the stack.
        var next = leaveParent()
        while next != nil, isKnownUniquelyReferenced(&next) { next = next?.leaveParent() }
    }

    private func leaveParent() -> CancellationToken? {
        defer { parent = nil }
        parent?.forget(number)
        return parent
    }

    private func forget(_ child: UInt64) {
        _ = parking.read { _ in children.removeValue(forKey: child) }
    }

    // MARK: Cancelling

    /// Makes a token that is cancelled with this one, and can be cancelled alone. Of a cancelled token, a cancelled
    /// one.
    public func child(name: String? = nil) -> CancellationToken {
        let number = parking.read { $0.nextNumber() }
        let child = CancellationToken(name: name ?? "\(self.name)'s child", parent: self, number: number)
        let isCancelled = parking.read { machine in
            if !machine.isCancelled { children[number] = WeakToken(token: child) }
            return machine.isCancelled
        }
        if isCancelled { child.cancel() }
        return child
    }

    /// Cancels this token and all below it: wakes who waits, then calls the handlers, in the order in which they came,
    /// and returns when they have returned. Again, it does nothing.
    public func cancel() {
        var tokens = [self]
        while let token = tokens.popLast() { tokens += token.cancelAlone() }
    }

    /// Returns the children, whose turn it is.
    private func cancelAlone() -> [CancellationToken] {
        let (handlers, children): ([UInt64: @Sendable () -> Void], [CancellationToken]) =
            parking.visit { machine, woken in
                guard machine.cancel(waking: &woken) else { return ([:], []) }
                defer {
                    self.handlers = [:]
                    self.children = [:]
                }
                return (self.handlers, self.children.sorted { $0.key > $1.key }.compactMap(\.value.token))
            }
        for (_, handler) in handlers.sorted(by: { $0.key < $1.key }) { handler() }
        return children
    }

    /// Whether it has been cancelled.
    public var isCancelled: Bool { parking.read { $0.isCancelled } }

    /// Throws `CancellationError` if it has been cancelled.
    public func check() throws {
        if isCancelled { throw CancellationError() }
    }

    // MARK: Hearing of it

    /// Suspends until the token is cancelled. Throws `CancellationError` if the calling task is cancelled before.
    public func waitUntilCancelled() async throws {
        try await Visit.enter()
        try await parking.wait { $0.wait($1) }
    }

    /// Calls back when the token is cancelled, once, on the thread that cancels it; now, if it is cancelled already.
    ///
    /// Letting go of the registration does not remove it.
    @discardableResult
    public func onCancel(_ handler: @escaping @Sendable () -> Void) -> Registration {
        let number: UInt64? = parking.read { machine in
            guard !machine.isCancelled else { return nil }
            let number = machine.nextNumber()
            handlers[number] = handler
            return number
        }
        guard let number else {
            handler()
            return Registration(token: nil, number: 0)
        }
        return Registration(token: self, number: number)
    }

    /// A handler that waits for a token's cancellation.
    public struct Registration: Sendable {
        fileprivate weak let token: CancellationToken?
        fileprivate let number: UInt64

        /// Forgets the handler, if it has not been called. From any thread. A handler that runs just now is not
        /// awaited.
        public func remove() { token?.removeHandler(number) }
    }

    private func removeHandler(_ number: UInt64) {
        // What the handler has captured is let go outside of the lock.
        let handler = parking.read { _ in handlers.removeValue(forKey: number) }
        withExtendedLifetime(handler) {}
    }

    /// Runs a body as a child task, which is cancelled when the token is, and returns its value or throws its error.
    ///
    /// Throws `CancellationError`, without running the body, if the token or the calling task is cancelled already. A
    /// body that returns a value all the same has returned it.
    public func run<Success: Sendable>(_ body: sending @escaping () async throws -> Success) async throws -> Success {
        try await Visit.enter()
        try check()
        let work = SentWork(body)
        let result = await withTaskGroup(of: Result<Success, any Error>?.self) { group in
            group.addTask { await Result.of { try await work.run() } }
            group.addTask {
                try? await self.waitUntilCancelled()
                return nil
            }
            var result: Result<Success, any Error>?
            while let ended = await group.next() {
                group.cancelAll()
                if let ended { result = ended }
            }
            return result
        }
        guard let result else { throw CancellationError() }
        return try result.get()
    }

    // MARK: Looking

    /// How many children are alive, not counting theirs. None after the cancellation.
    public var childCount: Int { parking.read { _ in children.count } }

    /// The tasks that wait for the cancellation, longest first.
    public var waitingTasks: [TaskID] { parking.read { $0.waiters.tasks } }

    /// `CancellationToken(stop, cancelled)`.
    public var description: String { "CancellationToken(\(name)\(isCancelled ? ", cancelled" : ""))" }
}

private struct WeakToken {
    weak var token: CancellationToken?
}

/// Decides who hears of a cancellation.
struct TokenMachine: WaitMachine, ~Copyable {
    private(set) var isCancelled = false
    private(set) var waiters = ParkingLot()
    private var numbers: UInt64 = 0

    /// The next name of a handler or a child.
    mutating func nextNumber() -> UInt64 {
        numbers += 1
        return numbers
    }

    /// False if it was cancelled before.
    mutating func cancel(waking woken: inout WakeList) -> Bool {
        guard !isCancelled else { return false }
        isCancelled = true
        waiters.grantAll(waking: &woken)
        return true
    }

    mutating func wait(_ visitor: ParkedTask) -> Arrival {
        guard !isCancelled else {
            visitor.grant()
            return .answered
        }
        waiters.append(visitor)
        return .parked
    }

    mutating func leave(_ waiter: ParkedTask, waking woken: inout WakeList) {
        waiters.remove(waiter)
    }
}
