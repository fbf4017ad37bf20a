#if HTTP
public import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
public import HTTPTypes

/// Asks servers for things, over HTTP/1.1 (RFC 9110, RFC 9112).
///
/// ```swift
/// let client = HTTPClient()
/// let response = try await client.get("http://example.org/news").expectSuccess()
/// print(try await response.body.text())
/// ```
///
/// A client keeps connections and uses them again, so a program has one, not one for each request. Any number of tasks
/// may use it at the same time, from any thread. Bodies go both ways as streams: `send` returns when the head of the
/// response is there, and its body comes as it is read. A task that is cancelled breaks its request off at once.
///
/// What it does by itself, and what can be changed in its ``Configuration``: it follows redirects, never with
/// credentials to another place; it decodes `gzip` and `deflate`; it goes through the proxies that the environment
/// names; it asks again if a connection that was used before turns out to be dead before the first byte of a response,
/// once, and only what may be asked twice (GET, HEAD, PUT, DELETE, OPTIONS, TRACE, with a body that can be sent again).
public final class HTTPClient: Sendable, CustomStringConvertible {
    /// How it connects, waits, follows and decodes.
    public let configuration: Configuration
    let pool: ConnectionPool
    private let chosenLoop: EventLoop?

    /// Creates a client, with connections on this loop; without one, on the loop of whoever asks first. Does not
    /// connect to anything.
    public init(_ configuration: Configuration = Configuration(), on loop: EventLoop? = nil) {
        self.configuration = configuration
        chosenLoop = loop
        pool = ConnectionPool(configuration.pool)
    }

    deinit { pool.close() }

    /// Runs a body with a client, and closes it however the body ends.
    public static func withClient<Result>(
        _ configuration: Configuration = Configuration(), on loop: EventLoop? = nil,
        _ body: nonisolated(nonsending) (HTTPClient) async throws -> Result
    ) async throws -> Result {
        let client = HTTPClient(configuration, on: loop)
        defer { client.close() }
        return try await body(client)
    }

    /// Closes the connections that idle, and ends those in use when their responses have been read. Requests that wait
    /// for a connection, and all later ones, throw ``HTTPClientError``. Calling it again does nothing.
    public func close() { pool.close() }

    func loop() throws -> EventLoop {
        guard let loop = chosenLoop ?? EventLoop.current else { throw EventLoopError.noLoop }
        return loop
    }

    // MARK: Asking

    /// Asks for something. See ``send(_:)``; throws ``HTTPClientError`` for a text that is no URL.
    public func get(_ url: String, headerFields: HTTPFields = [:]) async throws -> Response {
        try await send(Request(.get, url, headerFields: headerFields))
    }

    /// Asks for the head of what ``get(_:headerFields:)`` would bring.
    public func head(_ url: String, headerFields: HTTPFields = [:]) async throws -> Response {
        try await send(Request(.head, url, headerFields: headerFields))
    }

    /// Hands something in.
    public func post(_ url: String, body: HTTPBody, headerFields: HTTPFields = [:]) async throws -> Response {
        try await send(Request(.post, url, headerFields: headerFields, body: body))
    }

    /// Puts something to a place.
    public func put(_ url: String, body: HTTPBody, headerFields: HTTPFields = [:]) async throws -> Response {
        try await send(Request(.put, url, headerFields: headerFields, body: body))
    }

    /// Changes what is at a place.
    public func patch(_ url: String, body: HTTPBody, headerFields: HTTPFields = [:]) async throws -> Response {
        try await send(Request(.patch, url, headerFields: headerFields, body: body))
    }

    /// Removes what is at a place.
    public func delete(_ url: String, headerFields: HTTPFields = [:]) async throws -> Response {
        try await send(Request(.delete, url, headerFields: headerFields))
    }

    // MARK: Looking

    /// How many connections there are.
    public struct Statistics: Sendable, Hashable {
        /// In use, idle, or being opened.
        public let connections: Int
        /// Of those, the idle ones.
        public let idle: Int
        /// Requests that wait for one.
        public let waiting: Int
    }

    /// How many connections there are, and who waits for one.
    public var statistics: Statistics {
        let counts = pool.counts
        return Statistics(connections: counts.open, idle: counts.idle, waiting: counts.waiting)
    }

    /// `HTTPClient(3 connections, 2 idle, 0 waiting)`.
    public var description: String {
        let counts = pool.counts
        return "HTTPClient(\(counts.open) connections, \(counts.idle) idle, \(counts.waiting) waiting)"
    }
}
#endif
