#if HTTP
import AsyncIO
import AsyncIOHTTP
import AsyncIOTestSupport
import Testing

/// A client that writes bytes, and reads what comes until the end, over a stream in memory.
enum Wire {
    /// How the bytes are sent.
    enum Pace: Sendable, CaseIterable { case atOnce, byteByByte }

    /// What a server answers to the bytes of one connection, which the client then half-closes.
    static func answer(
        to bytes: String, _ pace: Pace = .atOnce, on loop: EventLoop, server: HTTPServer = HTTPServer(),
        halfCloses: Bool = true, _ handler: @escaping HTTPServer.Handler = echo
    ) async throws -> String {
        try await answer(to: Array(bytes.utf8), pace, on: loop, server: server, halfCloses: halfCloses, handler)
    }

    static func answer(
        to bytes: [UInt8], _ pace: Pace = .atOnce, on loop: EventLoop, server: HTTPServer = HTTPServer(),
        halfCloses: Bool = true, _ handler: @escaping HTTPServer.Handler = echo
    ) async throws -> String {
        let (client, stream) = MemoryStream.pair(capacity: pace == .byteByByte ? 1 : 65_536)
        async let serving: Void = server.serve(stream: stream, on: loop, handler)
        async let writing: Void = write(bytes, pace, to: client, halfCloses: halfCloses)
        let received = try await client.readAll()
        client.close()
        try? await writing
        try await serving
        return String(decoding: received, as: UTF8.self)
    }

    private static func write(
        _ bytes: [UInt8], _ pace: Pace, to client: MemoryStream, halfCloses: Bool
    ) async throws {
        switch pace {
        case .atOnce: try await client.write(bytes)
        case .byteByByte: for byte in bytes { try await client.write([byte]) }
        }
        if halfCloses { try await client.closeWriting() }
    }

    /// Answers with method, target and body: one line and what was sent.
    static let echo: HTTPServer.Handler = { request in
        let body = try await request.body.bytes()
        return .text("\(request.method) \(request.target) \(String(decoding: body, as: UTF8.self))")
    }

    /// The status lines in what a server has sent.
    static func statuses(in answer: String) -> [Int] {
        answer.split(separator: "HTTP/1.1 ", omittingEmptySubsequences: false).dropFirst().compactMap { part in
            Int(part.prefix(3))
        }
    }

    /// What stands behind the first head.
    static func body(of answer: String) -> String {
        guard let range = answer.firstRange(of: "\r\n\r\n") else { return "" }
        return String(answer[range.upperBound...])
    }
}

extension MemoryStream {
    /// So many bytes, or fewer at the end.
    func readExactly(_ count: Int) async throws -> [UInt8] {
        var all: [UInt8] = []
        while all.count < count, let bytes = try await read(upTo: count - all.count) { all += bytes }
        return all
    }

    func readAll() async throws -> [UInt8] {
        var all: [UInt8] = []
        do {
            while let bytes = try await read() { all += bytes }
        } catch let error as IOError where error.code == .connectionReset {
            // What was read before counts.
        }
        return all
    }
}
#endif
