#if HTTP
public import HTTPTypes

/// Finds the handler for a request, by its method and its path.
///
/// ```swift
/// var router = Router()
/// try router.get("/rooms/:id") { request in .text("room \(request.parameters["id"] ?? "")") }
/// try router.group("/admin", middleware: [onlyAdmins]) { admin in
///     try admin.post("/rooms") { request in … }
/// }
/// try router.mount("/pages", StaticFiles("site").handler)
/// try await server.serve(router.handler)
/// ```
///
/// A pattern's part stands for itself, or for any one part of the path that is not empty: `:id`; its last part may
/// stand for all the rest: `*`, or `*rest`. What stands for itself goes before a parameter, and that before a wildcard;
/// a route that does not know the method leaves the request to one that does. A slash at the end matters.
///
/// Parts are compared, and parameters given to the handler, decoded, each by itself: a slash that came as `%2F` is part
/// of the value and divides nothing. What a wildcard stands for is given as it came, still encoded, since it has
/// slashes of both kinds.
///
/// HEAD is answered by GET's handler, which sees `HEAD`; OPTIONS by 204 with `Allow`; both unless there is a route for
/// them. Requests that nobody is for throw ``HTTPError``: 404, 405 with `Allow`, 400 for a malformed path and for one
/// with `.` or `..` in it.
public struct Router: Sendable {
    private var table = RouteTable()
    private var prefix = ""
    private var middleware: [HTTPServer.Middleware] = []

    /// A router without routes.
    public init() {}

    // MARK: Registering

    /// Adds a route.
    ///
    /// Throws ``RoutingError`` for a pattern that means nothing, and for one that would answer the same requests as
    /// another one: it names both.
    public mutating func on(
        _ method: HTTPRequest.Method, _ pattern: String, _ handler: @escaping HTTPServer.Handler
    ) throws(RoutingError) {
        try table.add(
            method, RoutePattern(full(pattern)), HTTPServer.chain(middleware, before: handler))
    }

    /// In a group, `/` is the group's own place: `/notes`, and not `/notes/`.
    private func full(_ pattern: String) -> String {
        pattern == "/" && !prefix.isEmpty ? prefix : prefix + pattern
    }

    /// Adds a route for GET, and HEAD. As ``on(_:_:_:)``.
    public mutating func get(_ pattern: String, _ handler: @escaping HTTPServer.Handler) throws(RoutingError) {
        try on(.get, pattern, handler)
    }

    /// Adds a route for POST. As ``on(_:_:_:)``.
    public mutating func post(_ pattern: String, _ handler: @escaping HTTPServer.Handler) throws(RoutingError) {
        try on(.post, pattern, handler)
    }

    /// Adds a route for PUT. As ``on(_:_:_:)``.
    public mutating func put(_ pattern: String, _ handler: @escaping HTTPServer.Handler) throws(RoutingError) {
        try on(.put, pattern, handler)
    }

    /// Adds a route for PATCH. As ``on(_:_:_:)``.
    public mutating func patch(_ pattern: String, _ handler: @escaping HTTPServer.Handler) throws(RoutingError) {
        try on(.patch, pattern, handler)
    }

    /// Adds a route for DELETE. As ``on(_:_:_:)``.
    public mutating func delete(_ pattern: String, _ handler: @escaping HTTPServer.Handler) throws(RoutingError) {
        try on(.delete, pattern, handler)
    }

    /// Adds a route for all methods that have none of their own at this pattern, OPTIONS and HEAD as well. As
    /// ``on(_:_:_:)``.
    public mutating func any(_ pattern: String, _ handler: @escaping HTTPServer.Handler) throws(RoutingError) {
        try table.add(nil, RoutePattern(full(pattern)), HTTPServer.chain(middleware, before: handler))
    }

    /// Adds routes whose patterns begin with a prefix, with middleware before each of them, the first one outermost.
    /// Groups may stand in groups; `/` is the prefix itself there, without a slash behind it.
    public mutating func group(
        _ prefix: String, middleware: [HTTPServer.Middleware] = [], _ routes: (inout Router) throws -> Void
    ) throws {
        let outside = (self.prefix, self.middleware)
        defer { (self.prefix, self.middleware) = outside }
        self.prefix += prefix
        self.middleware += middleware
        try routes(&self)
    }

    /// Gives everything below a prefix to a handler, which sees the targets without it: a ``Router``'s,
    /// ``StaticFiles``', a reverse proxy's.
    ///
    /// The prefix itself, without a slash behind it, is sent to the one with a slash, so that links that are relative
    /// to it lead to the handler. As ``on(_:_:_:)`` otherwise.
    public mutating func mount(_ prefix: String, _ handler: @escaping HTTPServer.Handler) throws(RoutingError) {
        let rest = prefix.hasSuffix("/") ? "\(prefix)*" : "\(prefix)/*"
        try any(rest) { request in
            var inner = request
            inner.target = "/" + (request.parameters["*"] ?? "") + request.queryText
            inner.parameters["*"] = nil
            return try await handler(inner)
        }
        if !prefix.hasSuffix("/"), self.prefix + prefix != "" {
            try any(prefix) { request in
                // Relative, since a proxy may have taken something away in front; `./`, since a name may have a colon.
                let name = request.path.split(separator: "/").last ?? ""
                return .redirect(to: "./\(name)/\(request.queryText)", status: .permanentRedirect)
            }
        }
    }

    // MARK: Answering

    /// The router as a handler, with the routes that it has now.
    public var handler: HTTPServer.Handler {
        let table = table
        return { request in try await Router.respond(to: request, by: table) }
    }

    private static func respond(
        to request: HTTPServer.Request, by table: RouteTable
    ) async throws -> HTTPServer.Response {
        // OPTIONS of the server (RFC 9110 section 9.3.7).
        if request.method == .options, request.target == "*" { return allowed(RouteTable.inOrder(table.methods)) }
        switch table.find(request.method, try PathSegments(request.path)) {
        case .route(let route, let values):
            var request = request
            for (name, value) in zip(route.names, values) { request.parameters[name] = String(value) }
            return try await route.handler(request)
        case .methods(let methods) where request.method == .options:
            return allowed(methods)
        case .methods(let methods):
            let allow = list(methods)
            throw HTTPError(
                .methodNotAllowed, "\(request.path.prefix(200)) is for \(allow)", headerFields: [.allow: allow])
        case .nothing:
            throw HTTPError(.notFound, "nothing is at \(request.path.prefix(200))")
        }
    }

    private static func allowed(_ methods: [HTTPRequest.Method]) -> HTTPServer.Response {
        HTTPServer.Response(.noContent, headerFields: [.allow: list(methods)])
    }

    private static func list(_ methods: [HTTPRequest.Method]) -> String {
        methods.map(\.rawValue).joined(separator: ", ")
    }
}

extension HTTPServer {
    /// A handler with middleware before it, the first one outermost.
    public static func chain(_ middleware: [Middleware], before handler: @escaping Handler) -> Handler {
        middleware.reversed().reduce(handler) { inner, middleware in
            { request in try await middleware(request, inner) }
        }
    }
}
#endif
