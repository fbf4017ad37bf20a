#if HTTP
import AsyncIO
import AsyncIOHTTP
import Testing

// A handler is a function: what a test sends is a value, and so is what comes.

/// Asks a handler, and gives the answer as a client would see it: an error is one, too.
func ask(
    _ handler: HTTPServer.Handler, _ method: HTTPRequest.Method = .get, _ target: String, _ fields: HTTPFields = [:],
    body: HTTPBody = .empty
) async throws -> HTTPServer.Response {
    do {
        return try await handler(HTTPServer.Request(method, target, headerFields: fields, body: body))
    } catch let error as HTTPError {
        return HTTPServer.Response(error.status, headerFields: error.headerFields, body: HTTPBody(error.reason))
    }
}

extension HTTPServer.Response {
    var bytes: [UInt8] {
        get async throws { try await body.bytes(upTo: 1 << 24) }
    }

    var text: String {
        get async throws { String(decoding: try await bytes, as: UTF8.self) }
    }
}
#endif
