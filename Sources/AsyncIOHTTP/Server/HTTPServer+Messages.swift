#if HTTP
public import AsyncIO
public import HTTPTypes

extension HTTPServer {
    /// Answers requests.
    public typealias Handler = @Sendable (Request) async throws -> Response
    /// Stands before a handler: looks at the request, asks it or not, looks at the response.
    public typealias Middleware = @Sendable (Request, Handler) async throws -> Response

    /// What a client asks for.
    public struct Request: Sendable {
        /// GET, POST, …
        public var method: HTTPRequest.Method
        /// What is asked for, as it came: the path, and the query behind a question mark; `*` of OPTIONS; the authority
        /// of CONNECT. A form with scheme and authority is taken apart.
        public var target: String
        /// Host, and port if it came: of `Host`, which is not among the fields then.
        public var authority: String?
        /// The fields of the head, but for `Host`.
        public var headerFields: HTTPFields
        /// The content. What the handler does not read of it is dropped, or ends the connection if it is much.
        public var body: HTTPBody
        /// What the router has found in the path.
        public var parameters: [String: String] = [:]
        /// 1.0 or 1.1.
        public let version: HTTPVersion
        /// Where it came from.
        public let connection: Connection
        /// What it came over, and as the how many-th; nil if it was made.
        private var wire: ServerConnection?
        private var number = 0

        /// Creates a request: for tests of handlers, and for middleware that asks something else.
        public init(
            _ method: HTTPRequest.Method, _ target: String, authority: String? = nil, headerFields: HTTPFields = [:],
            body: HTTPBody = .empty, version: HTTPVersion = .http1_1, connection: Connection = Connection()
        ) {
            self.method = method
            self.target = target
            self.authority = authority
            self.headerFields = headerFields
            self.body = body
            self.version = version
            self.connection = connection
        }

        init(_ head: HTTPRequestHead, body: HTTPBody, connection: Connection, over wire: ServerConnection) {
            self.wire = wire
            number = wire.requests
            method = head.method
            target = head.target
            authority = head.authority
            headerFields = head.fields
            self.body = body
            version = head.version
            self.connection = connection
        }

        /// Sends an interim response, such as 103 with `Link` fields: early hints (RFC 8297).
        ///
        /// Nothing is sent to a client of HTTP/1.0, which does not know such, nor once the final response has begun.
        /// Suspends while the client does not take it. Throws ``IOError`` if the client has gone, and an error for a
        /// status outside of 102 to 199; 100 is sent by itself when a body is read, and 101 by
        /// ``Response/switchingProtocols(to:headerFields:_:)``. May be called from any loop and thread.
        public func inform(_ status: HTTPResponse.Status, headerFields: HTTPFields = [:]) async throws {
            guard status != .switchingProtocols else { throw ResponseMistake(status: status) }
            guard let wire else { return }
            let loop = wire.site.loop
            if loop.isCurrent { return try await wire.inform(status, headerFields, number: number) }
            // The connection lives on its loop.
            let number = number
            let visit = Task(name: "interim response", executorPreference: loop) {
                try await wire.inform(status, headerFields, number: number)
            }
            try await withTaskCancellationHandler {
                try await visit.value
            } onCancel: {
                visit.cancel()
            }
        }

        /// Has the final answer carry these fields, whoever makes it: also where the server does, out of a middleware's
        /// reach. What it says itself counts. Does nothing for a request that did not come over a connection.
        func mark(_ fields: HTTPFields) async {
            guard let wire, !fields.isEmpty else { return }
            let loop = wire.site.loop
            if loop.isCurrent { return wire.mark(fields, number: number) }
            let number = number
            await Task(name: "marks", executorPreference: loop) { wire.mark(fields, number: number) }.value
        }

        /// The head in the words of swift-http-types.
        public var head: HTTPRequest {
            HTTPRequest(
                method: method, scheme: connection.isSecure ? "https" : "http", authority: authority, path: target,
                headerFields: headerFields)
        }
    }

    /// The connection that a request came over.
    public struct Connection: Sendable {
        /// One object for all requests of a connection.
        private final class Storage: Sendable {
            let peer: SocketAddress?
            let local: SocketAddress?
            let isSecure: Bool
            let number: UInt64

            init(_ peer: SocketAddress?, _ local: SocketAddress?, _ isSecure: Bool, _ number: UInt64) {
                self.peer = peer
                self.local = local
                self.isSecure = isSecure
                self.number = number
            }
        }

        private var storage: Storage

        /// A connection, of which nothing need be known.
        public init(
            peer: SocketAddress? = nil, local: SocketAddress? = nil, isSecure: Bool = false, number: UInt64 = 0
        ) {
            storage = Storage(peer, local, isSecure, number)
        }

        init(_ context: ConnectionContext) {
            self.init(peer: context.peer, local: context.local, number: context.id)
        }

        /// The other end, if it has an address.
        public var peer: SocketAddress? { storage.peer }
        /// Our end, if it has an address.
        public var local: SocketAddress? { storage.local }
        /// Whether it is encrypted.
        public var isSecure: Bool {
            get { storage.isSecure }
            set { storage = Storage(peer, local, newValue, number) }
        }
        /// Counts the connections of a listener.
        public var number: UInt64 { storage.number }
    }

    /// What a client gets.
    public struct Response: Sendable {
        /// 200, 404, …
        public var status: HTTPResponse.Status
        /// The fields of the head. What follows from the body and the connection (`Content-Length`,
        /// `Transfer-Encoding`, `Connection`, `Date`) is added.
        ///
        /// CR, LF and NUL in a value become blanks without a word, by swift-http-types: set what comes from elsewhere
        /// by `try headerFields.set(_:to:)`, which throws.
        public var headerFields: HTTPFields
        /// The content.
        public var body: HTTPBody
        /// Who has the connection's bytes from here on, after the head has been sent: for upgrades and tunnels.
        var takeover: (@Sendable (any ByteStream) async throws -> Void)?
        /// What is wrong with it, found where nothing can be thrown: the server reports it, and answers 500.
        var mistake: (any Error)?

        /// Creates a response.
        public init(_ status: HTTPResponse.Status = .ok, headerFields: HTTPFields = [:], body: HTTPBody = .empty) {
            self.status = status
            self.headerFields = headerFields
            self.body = body
        }

        /// A text: `text/plain`, in UTF-8.
        public static func text(_ text: String, status: HTTPResponse.Status = .ok) -> Response {
            Response(status, headerFields: [.contentType: "text/plain; charset=utf-8"], body: HTTPBody(text))
        }

        /// A page: `text/html`, in UTF-8.
        public static func html(_ page: String, status: HTTPResponse.Status = .ok) -> Response {
            Response(status, headerFields: [.contentType: "text/html; charset=utf-8"], body: HTTPBody(page))
        }

        /// Sends the client elsewhere: 303 by default, which it asks for with GET. A location with CR, LF or NUL is
        /// reported as an error, and answered with 500.
        public static func redirect(to location: String, status: HTTPResponse.Status = .seeOther) -> Response {
            var response = Response(status)
            response.set(.location, to: location)
            return response
        }

        private mutating func set(_ name: HTTPField.Name, to value: String) {
            do { try headerFields.set(name, to: value) } catch { mistake = error }
        }

        /// Goes on with another protocol: 101, and from there the connection's bytes are the handler's, until it
        /// returns. What the client sent behind its request comes first. A name with CR, LF or NUL is reported as an
        /// error, and answered with 500.
        public static func switchingProtocols(
            to name: String, headerFields: HTTPFields = [:],
            _ handler: @escaping @Sendable (any ByteStream) async throws -> Void
        ) -> Response {
            var response = Response(.switchingProtocols, headerFields: headerFields)
            response.set(.upgrade, to: name)
            response.headerFields[.connection] = "Upgrade"
            response.takeover = handler
            return response
        }

        /// Answers CONNECT: 200, and from there the connection's bytes are the handler's, until it returns.
        public static func tunnel(_ handler: @escaping @Sendable (any ByteStream) async throws -> Void) -> Response {
            var response = Response(.ok)
            response.takeover = handler
            return response
        }
    }
}

/// The version of HTTP that a message is written in.
public struct HTTPVersion: Sendable, Hashable, CustomStringConvertible {
    /// 1 of 1.0.
    public let major: Int
    /// 0 of 1.0.
    public let minor: Int

    /// HTTP/1.0.
    public static let http1_0 = HTTPVersion(major: 1, minor: 0)
    /// HTTP/1.1 (RFC 9112).
    public static let http1_1 = HTTPVersion(major: 1, minor: 1)

    /// `HTTP/1.1`.
    public var description: String { "HTTP/\(major).\(minor)" }
}
#endif
