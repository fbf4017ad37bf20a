public import AsyncIOKernel
public import AsyncIOLoop

/// A listening socket whose connections are streams of one kind: a ``TCPListener`` or a ``UnixListener``.
///
/// ```swift
/// let listener = try await TCPListener.bind("127.0.0.1", 7000)
/// try await listener.serve { connection in
///     while let bytes = try await connection.read() { try await connection.write(bytes) }
/// }
/// ```
///
/// Once it is made it listens: from then on clients can connect, and ``address`` has the port that the kernel chose. So
/// whoever has to know that a server is ready is told before it serves:
///
/// ```swift
/// let address = try await scope.start(name: "server") { started in
///     let listener = try await TCPListener.bind("127.0.0.1", 0)
///     started(listener.address)
///     try await listener.serve { connection in … }
/// }
/// ```
///
/// Letting go of the last reference closes it. Every method may be called from any thread.
public final class StreamListener<Connection: ByteStream>: Sendable, CustomStringConvertible {
    let core: ServerCore
    let server: StreamServer<Connection>

    init(_ core: ServerCore, _ connection: @escaping @Sendable (StreamCore) -> Connection) {
        self.core = core
        server = StreamServer(parts: [core], connection)
    }

    /// The loop that accepts, and that the connections' work is done on.
    public var loop: EventLoop { core.loop }
    /// Where it listens: with the port that the kernel chose, if none was asked for.
    public var address: SocketAddress { core.address }
    /// What its server has counted. ``accept()`` does not count.
    public var statistics: ServerStatistics { core.counts.statistics }

    var handle: Handle { core.handle }

    /// `TCPListener(127.0.0.1:7000)`.
    public var description: String { "\(address.family == .unix ? "UnixListener" : "TCPListener")(\(address))" }

    /// Accepts one connection.
    ///
    /// Suspends until there is one. Throws ``IOError`` for whatever accept(2) reports, also for what a server would
    /// survive: ``serve(limit:drain:_:)-((Connection)->Void)`` knows which those are. A cancelled task gets
    /// `CancellationError`, and no connection is lost.
    public func accept() async throws -> Connection {
        let outcome = await loop.perform(.accept(core.handle))
        try loop.check(outcome, "accept", "\(address)")
        return server.connection(StreamCore(accepted: outcome, on: loop))
    }

    /// Stops listening. Connections go on. Calling it again does nothing.
    ///
    /// To end a server in good order, see ``shutdown(drain:)`` and ``shutdown(drain:grace:)``.
    public func close() { core.close() }

    // MARK: Serving

    /// Accepts connections and runs a handler for each, as a child task, until the server is shut down or cancelled.
    ///
    /// When a handler returns or throws, its connection is closed, and that connection alone; an error goes to the
    /// loop's error handler with the peer's address. What accept(2) reports of a single connection is survived. When
    /// descriptors or memory run out, accepting pauses, one report is made, and accepting resumes as soon as some are
    /// free.
    ///
    /// With a limit, accepting also pauses while so many connections are open; further ones wait in the kernel's queue
    /// (``TCPOptions/backlog``). Without one, what the process may open is the limit.
    ///
    /// Cancelling the task that serves is ``shutdown(drain:)`` with the drain time given here: at once by default.
    /// Returns after the last handler has ended. Throws ``IOError`` if the listening socket itself fails or was closed,
    /// and with `EBUSY` if it is served already.
    public func serve(
        limit: Int? = nil, drain: Duration = .zero,
        _ handler: @escaping @Sendable (Connection) async throws -> Void
    ) async throws {
        try await server.serve(limit: limit, drain: drain, handler)
    }

    /// Serves with handlers that are told more of their connections: a number, both addresses, and the name of the
    /// task. As ``serve(limit:drain:_:)-((Connection)->Void)``.
    public func serve(
        limit: Int? = nil, drain: Duration = .zero,
        _ handler: @escaping @Sendable (Connection, ConnectionContext) async throws -> Void
    ) async throws {
        try await server.serve(limit: limit, drain: drain, handler)
    }

    /// Ends serving in good order: stops accepting at once, lets the handlers finish for the drain time, then cancels
    /// those that are left.
    ///
    /// With a drain time, connections that wait in the kernel's queue are still served: their clients believe to be
    /// connected. Does not suspend: `serve` returns when all is done. Calling it again with less time shortens the
    /// wait.
    public func shutdown(drain: Duration = .zero) { server.shutdown(drain: drain) }

    /// Ends serving in four phases, and returns when all is done: stops accepting; lets the handlers finish for the
    /// drain time; cancels those that are left; and after the grace period breaks off the connections of those that
    /// still go on, which are named to the loop's error handler.
    ///
    /// Returns at once if nothing is served. A caller that is cancelled ends the drain time, stops waiting, and gets
    /// `CancellationError`; so a handler that calls this does not wait for itself for ever.
    @discardableResult
    public func shutdown(drain: Duration = .zero, grace: Duration) async throws -> ShutdownReport {
        try await server.shutdown(drain: drain, grace: grace)
    }
}
