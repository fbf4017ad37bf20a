#if HTTP
import AsyncIO
import AsyncIOHTTP
import AsyncIOLoop
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

/// Takes what a body's maker writes, in the maker's own task.
final class WrittenBody: HTTPBodyWriter {
    private struct State {
        var bytes: [UInt8] = []
        var flushes: [Int] = []
        var trailers = HTTPFields()
    }

    private let state = Locked(State())

    var bytes: [UInt8] { state.withLock { $0.bytes } }
    var text: String { String(decoding: bytes, as: UTF8.self) }
    /// How many bytes had been written at each flush.
    var flushes: [Int] { state.withLock { $0.flushes } }

    var trailerFields: HTTPFields {
        get { state.withLock { $0.trailers } }
        set { state.withLock { $0.trailers = newValue } }
    }

    func write(_ bytes: [UInt8]) async throws { state.withLock { $0.bytes += bytes } }
    func flush() async throws { state.withLock { $0.flushes.append($0.bytes.count) } }
}
#endif
