#if HTTP
public import AsyncIO
public import HTTPTypes

/// What a server has been asked, and has answered.
public struct AccessRecord: Sendable {
    /// When the request came, by the machine's clock.
    public let time: HTTPDate
    /// How long it took until the content had been given to the system, or the answer was broken off.
    public let duration: Duration
    /// The other end, if it has an address.
    public let peer: SocketAddress?
    /// GET, POST, …
    public let method: HTTPRequest.Method
    /// What was asked for, as it came.
    public let target: String
    /// 1.0 or 1.1.
    public let version: HTTPVersion
    /// What was answered. 500 for an error that is no ``HTTPError``.
    public let status: HTTPResponse.Status
    /// The bytes of the content that were sent, before the connection's own codings.
    public let sentBytes: Int
    /// Whether all of the content was sent.
    public let isComplete: Bool
    /// Where the client says it comes from.
    public let referer: String?
    /// What the client says it is.
    public let userAgent: String?

    /// One line, as Apache's `combined` format has it, in UTC. Whatever a client sends stays within its quotes and on
    /// its line: other bytes than printable ASCII, quotes and backslashes are written `\xhh`.
    public var combined: String {
        let host = peer.map { $0.port == nil ? "unix" : $0.host } ?? "-"
        return "\(host) - - [\(stamp)] \"\(method.rawValue) \(Self.escaped(target)) \(version)\" \(status.code) "
            + "\(sentBytes) \"\(Self.escaped(referer ?? "-"))\" \"\(Self.escaped(userAgent ?? "-"))\""
    }

    /// `10/Oct/2000:13:55:36 +0000`.
    private var stamp: String {
        // Sun, 06 Nov 1994 08:49:37 GMT
        let words = time.description.split(separator: " ")
        return "\(words[1])/\(words[2])/\(words[3]):\(words[4]) +0000"
    }

    private static func escaped(_ text: String) -> String {
        var out: [UInt8] = []
        let digits = Array("0123456789abcdef".utf8)
        for byte in text.utf8 {
            if (0x20...0x7e).contains(byte), byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
                out.append(byte)
            } else {
                out += [UInt8(ascii: "\\"), UInt8(ascii: "x"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}

extension HTTPServer {
    /// Tells a sink of each request, when its answer has been sent or broken off.
    ///
    /// ```swift
    /// HTTPServer.accessLog { record in lines.send(record.combined) }
    /// ```
    ///
    /// Stands before everything that it is to see: what is compressed behind it is counted compressed. The sink is
    /// called on the connection's loop, and must not block. It is called once for each request, whatever happens.
    public static func accessLog(_ sink: @escaping @Sendable (AccessRecord) -> Void) -> Middleware {
        { request, next in
            let entry = AccessEntry(request, sink)
            var response: Response
            do {
                response = try await next(request)
            } catch {
                entry.status = (error as? HTTPError)?.status ?? .internalServerError
                throw error
            }
            entry.status = response.status
            let body = response.body
            // Nothing of these is sent as a content.
            if response.takeover != nil || request.method == .head || body.isEmpty {
                entry.finish(sent: 0, isComplete: true)
                return response
            }
            response.body = HTTPBody(length: body.length) { writer in
                let counting = CountingWriter(into: writer)
                do {
                    try await body.write(to: counting)
                } catch {
                    entry.finish(sent: counting.count, isComplete: false)
                    throw error
                }
                entry.finish(sent: counting.count, isComplete: true)
            }
            return response
        }
    }
}

/// A line to be written. If nobody finishes it, it is written when it is let go.
private final class AccessEntry: Sendable {
    private struct State {
        var status = HTTPResponse.Status.internalServerError
        var isWritten = false
    }

    private let request: HTTPServer.Request
    private let sink: @Sendable (AccessRecord) -> Void
    private let time = HTTPDate.now
    private let loop = EventLoop.ambient
    private let start: Instant
    private let state = Locked(State())

    init(_ request: HTTPServer.Request, _ sink: @escaping @Sendable (AccessRecord) -> Void) {
        var request = request
        // What is still to come of it is not kept.
        request.body = .empty
        self.request = request
        self.sink = sink
        start = loop.now
    }

    deinit { finish(sent: 0, isComplete: false) }

    var status: HTTPResponse.Status {
        get { state.withLock { $0.status } }
        set { state.withLock { $0.status = newValue } }
    }

    func finish(sent: Int, isComplete: Bool) {
        let status: HTTPResponse.Status? = state.withLock { state in
            defer { state.isWritten = true }
            return state.isWritten ? nil : state.status
        }
        guard let status else { return }
        sink(
            AccessRecord(
                time: time, duration: start.duration(to: loop.now), peer: request.connection.peer,
                method: request.method, target: request.target, version: request.version, status: status,
                sentBytes: sent, isComplete: isComplete, referer: request.headerFields[.referer],
                userAgent: request.headerFields[.userAgent]))
    }
}

/// Counts what is written, on its way to another writer.
private final class CountingWriter: HTTPBodyWriter {
    private let inner: any HTTPBodyWriter
    private let bytes = Locked(0)

    init(into inner: any HTTPBodyWriter) { self.inner = inner }

    var count: Int { bytes.withLock { $0 } }

    var trailerFields: HTTPFields {
        get { inner.trailerFields }
        set { inner.trailerFields = newValue }
    }

    func write(_ bytes: [UInt8]) async throws {
        try await inner.write(bytes)
        self.bytes.withLock { $0 += bytes.count }
    }

    func write(_ file: File, range: Range<Int64>) async throws {
        try await inner.write(file, range: range)
        bytes.withLock { $0 += Int(clamping: range.upperBound - range.lowerBound) }
    }

    func flush() async throws { try await inner.flush() }
}
#endif
