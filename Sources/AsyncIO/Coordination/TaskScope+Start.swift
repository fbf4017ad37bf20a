import AsyncIOKernel

extension TaskScope {
    /// Starts a child and suspends until it says that it is ready, with what others need to know of it: the address of
    /// a server, say.
    ///
    /// ```swift
    /// let address = try await scope.start(name: "server") { started in
    ///     let listener = try TCPListener.bind(…)
    ///     started(listener.address)
    ///     try await listener.serve { … }
    /// }
    /// ```
    ///
    /// If the child ends before it was ready, its error is thrown here and is no error of the scope, and
    /// ``NotStartedError`` if it had none. If the calling task is cancelled before, the child is cancelled, awaited
    /// until it has ended or become ready, and the call throws `CancellationError`; what the child throws then is the
    /// scope's. Throws ``ClosedError`` when the scope has ended.
    ///
    /// trio's `nursery.start`.
    public func start<Value: Sendable>(
        name: String = "child", _ work: @escaping @Sendable (Started<Value>) async throws -> Void
    ) async throws -> Value {
        try await Visit.enter()
        let started = Started<Value>(name: name)
        let token = CancellationToken(name: name)
        try spawn(name: name) {
            let result = await Result.of { try await token.run { try await work(started) } }
            if let error = started.hasEnded(result) { throw error }
        }
        let event: Result<Value, any Error>
        do {
            event = try await started.events.get()
        } catch {
            let hasLeft = started.callerLeaves()
            if hasLeft { token.cancel() }
            // Ended, or ready; in the same moment, or because of this.
            event = try await UncancelledTask.start(name: "end of \(name)") { try await started.events.get() }.value
            // What the child said before anybody left is the answer: its error is nobody else's.
            if hasLeft { throw CancellationError() }
        }
        return try event.get()
    }
}

/// Says that a child is ready: see ``TaskScope/start(name:_:)``.
public final class Started<Value: Sendable>: Sendable {
    private enum Phase { case waiting, started, ended, abandoned }

    private let name: String
    private let phase = Condition(Phase.waiting)
    let events = AsyncQueue<Result<Value, any Error>>(capacity: .unbounded, name: "start")

    init(name: String) { self.name = name }

    /// Lets `start` return this value. From any thread, once; a second call is a mistake in the program and stops it
    /// with a message.
    public func callAsFunction(_ value: Value) {
        let isFirst = phase.withLock { phase in
            defer { if phase != .ended { phase = .started } }
            return phase != .started
        }
        demand(isFirst, "\(name) has said twice that it is ready")
        _ = events.tryPut(.success(value))
    }

    /// The caller of `start` is cancelled and takes no error any more. False if the child has said its word before.
    func callerLeaves() -> Bool {
        phase.withLock { phase in
            guard phase == .waiting else { return false }
            phase = .abandoned
            return true
        }
    }

    /// The child has ended. Returns the error that is the scope's business.
    func hasEnded(_ result: Result<Void, any Error>) -> (any Error)? {
        var error: (any Error)?
        if case .failure(let thrown) = result { error = thrown }
        let before = phase.withLock { phase in
            defer { phase = .ended }
            return phase
        }
        guard before != .started else { return error }
        _ = events.tryPut(.failure(error ?? NotStartedError(name: name)))
        return before == .waiting ? nil : error
    }
}

extension Started where Value == Void {
    /// Lets `start` return.
    public func callAsFunction() { self(()) }
}

/// A child has ended without saying that it was ready: see ``TaskScope/start(name:_:)``.
public struct NotStartedError: Error, Hashable, CustomStringConvertible {
    /// The name of the child.
    public let name: String

    /// Creates the error of a child.
    public init(name: String) { self.name = name }

    /// One line.
    public var description: String { "\(name) ended without saying that it was ready; call started(…) in its work" }
}
