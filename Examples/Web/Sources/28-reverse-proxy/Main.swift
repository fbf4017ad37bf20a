// A reverse proxy: what is asked here is asked there, and bodies pass through as they come, both ways.
//
//   28-reverse-proxy http://127.0.0.1:9000 8080
//
// Backpressure needs no code: a body is read when the other side takes it.

import AsyncIOHTTP

@main
struct Main {
    /// What belongs to one connection and not to the message (RFC 9110 section 7.6.1).
    static let ofOneConnection: [HTTPField.Name] = [
        .connection, .transferEncoding, .upgrade, .te, .trailer, .contentLength, .proxyAuthenticate,
        .proxyAuthorization,
    ]

    static func main() throws {
        try EventLoop.run {
            let arguments = Array(CommandLine.arguments.dropFirst())
            let back = arguments.first ?? "http://127.0.0.1:9000"
            var configuration = HTTPClient.Configuration()
            configuration.redirects = .never
            configuration.decompression = nil
            configuration.proxy = .direct
            let client = HTTPClient(configuration)
            let port = arguments.dropFirst().first.flatMap { UInt16($0) } ?? 8080
            try await HTTPServer.serve("127.0.0.1", port, onReady: { print("listening on \($0)") }) { request in
                try await pass(request, to: back, by: client)
            }
        }
    }

    static func pass(
        _ request: HTTPServer.Request, to back: String, by client: HTTPClient
    ) async throws -> HTTPServer.Response {
        var asked = try HTTPClient.Request(
            request.method, back + request.target, headerFields: passed(request.headerFields), body: request.body)
        asked.headerFields[.forwarded] = "for=\"\(request.connection.peer?.host ?? "unknown")\""
        do {
            let answer = try await client.send(asked)
            return .init(answer.status, headerFields: passed(answer.headerFields), body: answer.body)
        } catch let error as HTTPClientError {
            throw HTTPError(.badGateway, "the server behind does not answer: \(error.reason)")
        }
    }

    static func passed(_ fields: HTTPFields) -> HTTPFields {
        var fields = fields
        // And what `Connection` names.
        let named = fields[values: .connection].flatMap { $0.split(separator: ",") }
        for name in named { HTTPField.Name(name.filter { $0 != " " }).map { fields[$0] = nil } }
        for name in ofOneConnection { fields[name] = nil }
        return fields
    }
}

extension HTTPField.Name {
    static let forwarded = HTTPField.Name("Forwarded") ?? .from
}
