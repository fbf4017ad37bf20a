#if HTTP
public import AsyncIO
import AsyncIOLoop
public import HTTPTypes

/// Serves HTTP/1.1 and HTTP/1.0 (RFC 9110, RFC 9112) on listeners of TCP and Unix sockets.
///
/// ```swift
/// try await HTTPServer.serve("127.0.0.1", 8080) { request in .text("hello\n") }
/// ```
///
/// A handler runs in its connection's task, on the loop that accepted it, one request after the other. It is cancelled
/// when its client goes away, and when the server has to end. What it throws is answered: an ``HTTPError`` with what it
/// says, and anything else with 500 and no word of it, which goes to the loop's error handler instead.
///
/// What breaks the protocol's rules or a limit is refused, and the connection closed: ``HTTPLimits``.
public struct HTTPServer: Sendable {
    /// What clients may cost.
    public var limits = HTTPLimits()
    /// The field `Server` of all responses that have none; nil for none.
    public var name: String?
    /// Stand before the handler, the first one outermost.
    public var middleware: [Middleware] = []
    /// How long a handler may take until its response begins: it is cancelled then, and the client gets 503. No limit
    /// by default.
    public var requestTimeout: Duration?
    /// Is told of each response that was sent, or that broke off, also to what was refused before a handler was asked:
    /// for an access log. Called on the loop of the connection, which waits meanwhile.
    public var onResponse: (@Sendable (Exchange) -> Void)?
    /// Makes the stream that is spoken on of the one that was accepted, in the connection's task: a TLS handshake. It
    /// may take as long as a request's head; what it throws ends the connection, and is told to nobody, since clients
    /// cause it.
    public var secured: (@Sendable (any ByteStream) async throws -> any ByteStream)?

    let life = ServerLife()

    /// Creates a server with the default limits.
    public init() {}

    /// A request and what became of it.
    public struct Exchange: Sendable {
        /// What was asked for. Its body has been read as far as the handler wanted it. Of what was refused, as far as
        /// it was understood: method and target are `-` if that is not the first line.
        public let request: Request
        /// What it was answered with.
        public let status: HTTPResponse.Status
        /// How many bytes of the response's body were sent.
        public let bodySize: Int
        /// From the request's head to the response's last byte.
        public let duration: Duration
        /// Whether the response was sent whole.
        public let isComplete: Bool
        /// Whether it broke a rule or a limit of HTTP's, so that no handler was asked.
        public var isRefused = false
    }

    // MARK: Serving

    /// Listens on all addresses of a host, and serves until the task is cancelled, the server is shut down, or a
    /// listener fails.
    ///
    /// `onReady` is called when all listen, with the server's addresses. Throws ``IOError`` if it cannot listen.
    public func serve(
        _ host: String, _ port: UInt16, drain: Duration = .zero,
        onReady: @Sendable ([SocketAddress]) -> Void = { _ in }, _ handler: @escaping Handler
    ) async throws {
        let server = try await TCPServer.bind(host, port)
        onReady(server.addresses)
        try await serve(server, drain: drain, handler)
    }

    /// Serves with the default limits. As ``serve(_:_:drain:onReady:_:)``.
    public static func serve(
        _ host: String, _ port: UInt16, drain: Duration = .zero,
        onReady: @Sendable ([SocketAddress]) -> Void = { _ in }, _ handler: @escaping Handler
    ) async throws {
        try await HTTPServer().serve(host, port, drain: drain, onReady: onReady, handler)
    }

    /// Serves the connections of a listener.
    ///
    /// Cancelling the task is a shutdown with the drain time given here. Everything else as with
    /// `StreamListener.serve(limit:drain:_:)`.
    public func serve<Stream: ByteStream>(
        _ listener: StreamListener<Stream>, drain: Duration = .zero, _ handler: @escaping Handler
    ) async throws {
        try await serve(StreamServer(listener), drain: drain, handler)
    }

    /// Serves the connections of several listeners, on one loop or on all of a group.
    public func serve<Stream: ByteStream>(
        _ server: StreamServer<Stream>, drain: Duration = .zero, _ handler: @escaping Handler
    ) async throws {
        let service = HTTPService(self, handler)
        try await life.serve(service, drain: drain) { grace in
            try await server.shutdown(drain: grace, grace: ServerLife.lastGrace)
        } _: {
            try await server.serve(limit: limits.connections, drain: drain) { stream, context in
                await service.serve(stream, HTTPServer.Connection(context))
            }
        }
    }

    /// Serves one connection over any stream, and returns when it has ended; the stream is closed then.
    ///
    /// Runs on the loop given, or on the caller's. Throws ``EventLoopError`` if there is none.
    public func serve(
        stream: any ByteStream, connection: Connection = Connection(), on loop: EventLoop? = nil,
        _ handler: @escaping Handler
    ) async throws {
        guard let loop = loop ?? EventLoop.current else { throw EventLoopError.noLoop }
        let service = HTTPService(self, handler)
        let started = Locked<Task<Void, Never>?>(nil)
        try await life.serve(service, drain: .zero) { grace in
            guard let task = started.withLock({ $0 }) else { return }
            let limit = loop.callLater(grace) { task.cancel() }
            defer { limit.cancel() }
            await Self.ending(task)
            try Task.checkCancellation()
        } _: {
            let task = loop.startTask(named: "HTTP connection") { await service.serve(stream, connection) }
            started.withLock { $0 = task }
            await Self.ending(task)
        }
    }

    /// Waits for a task's end, and hands on the caller's cancellation.
    private static func ending(_ task: Task<Void, Never>) async {
        await withTaskCancellationHandler {
            await task.value
        } onCancel: {
            task.cancel()
        }
    }

    /// Ends serving in good order, everywhere that this server and its copies serve: nobody is accepted, idle
    /// connections are closed at once, and requests that are being answered have the grace period to end, and say
    /// `Connection: close`. Then their handlers are cancelled.
    ///
    /// Returns when all is done. A caller that is cancelled gets `CancellationError`, and does not wait. Calling it
    /// again shortens the wait. To serve anew, make a new server.
    public func shutdown(grace: Duration = .seconds(10)) async throws { try await life.shutdown(grace: grace) }
}
#endif
