#if HTTP
public import HTTPTypes

/// Which pages of other origins may read a server's answers (CORS, of the fetch standard).
public struct CrossOriginPolicy: Sendable {
    /// From where: `https://example.org`; nil for everywhere, which never lets cookies through.
    public var origins: Set<String>?
    /// With which methods, besides those that any page may use.
    public var methods: [HTTPRequest.Method] = [.get, .head, .post, .put, .patch, .delete]
    /// With which fields, besides those that any page may send.
    public var headerFields: [HTTPField.Name] = [.contentType, .authorization]
    /// Which fields of an answer a page sees, besides the usual.
    public var exposedHeaderFields: [HTTPField.Name] = []
    /// Whether cookies and the like are sent and heeded. Only from origins that are named.
    public var allowsCredentials = false
    /// For how long a browser need not ask again.
    public var maxAge: Duration = .seconds(600)

    /// Pages of these origins, or of all.
    public init(origins: Set<String>?) { self.origins = origins }

    /// As a middleware: it answers the questions that browsers ask beforehand, and marks the answers of what stands
    /// behind it, errors as well; also what a server makes of an error that is none of HTTP's, of a handler that takes
    /// too long, and of a body that cannot be made.
    public var middleware: HTTPServer.Middleware {
        { request, next in
            guard let origin = request.headerFields[.origin] else {
                var response = try await next(request)
                if origins != nil { HTTPServer.add("Origin", toVaryOf: &response) }
                return response
            }
            let marks = fields(for: origin)
            if request.method == .options, request.headerFields[.accessControlRequestMethod] != nil {
                return HTTPServer.Response(.noContent, headerFields: marks + (allows(origin) ? permissions : [:]))
            }
            // What becomes of another error, of a body that fails, and of time that runs out, is up to others.
            await request.mark(marks)
            do {
                var response = try await next(request)
                if origins != nil { HTTPServer.add("Origin", toVaryOf: &response) }
                response.headerFields += marks.filter { $0.name != .vary }
                return response
            } catch let error as HTTPError {
                throw HTTPError(error.status, error.reason, headerFields: error.headerFields + marks)
            }
        }
    }

    private func allows(_ origin: String) -> Bool { origins.map { $0.contains(origin) } ?? true }

    private func fields(for origin: String) -> HTTPFields {
        var fields = HTTPFields()
        if origins != nil { fields[.vary] = "Origin" }
        guard allows(origin) else { return fields }
        fields[.accessControlAllowOrigin] = origins == nil ? "*" : origin
        if allowsCredentials, origins != nil { fields[.accessControlAllowCredentials] = "true" }
        if !exposedHeaderFields.isEmpty {
            fields[.accessControlExposeHeaders] = exposedHeaderFields.map(\.rawName).joined(separator: ", ")
        }
        return fields
    }

    private var permissions: HTTPFields {
        [
            .accessControlAllowMethods: methods.map(\.rawValue).joined(separator: ", "),
            .accessControlAllowHeaders: headerFields.map(\.rawName).joined(separator: ", "),
            .accessControlMaxAge: "\(maxAge.components.seconds)",
        ]
    }
}
#endif
