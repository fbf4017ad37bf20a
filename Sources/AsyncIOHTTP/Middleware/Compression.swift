#if HTTP
import AsyncIO
import HTTPTypes

extension HTTPServer {
    /// Compresses contents with gzip, for clients that take it (RFC 9110 section 12.5.3).
    ///
    /// Left as they are: what is in a coding or a part already, what has a type that is compressed in itself, what is
    /// known to be shorter than the minimum, what says `no-transform`, and answers to HEAD. What is made while it is
    /// sent is compressed while it is sent; a ``HTTPBodyWriter/flush()``, after each event for one, reaches the client.
    /// Tags become weak, since the bytes are others. `Vary` tells caches.
    ///
    /// Do not compress secrets together with what a stranger may choose: the length tells of them (BREACH).
    ///
    /// The level is 1 (fast) to 9 (small). Each answer that is being compressed takes 256 KiB meanwhile.
    public static func compression(minimumSize: Int = 1_024, level: Int = 6) -> Middleware {
        { request, next in
            var response = try await next(request)
            guard isCompressible(response) else { return response }
            add("Accept-Encoding", toVaryOf: &response)
            guard Negotiation(request.headerFields[values: .acceptEncoding]).prefersGzip, request.method != .head,
                response.body.length.map({ $0 >= minimumSize }) ?? true
            else { return response }
            try compress(&response, level: level)
            return response
        }
    }

    private static func isCompressible(_ response: Response) -> Bool {
        let status = response.status
        guard status.kind != .informational, ![.noContent, .notModified, .partialContent].contains(status),
            response.takeover == nil, let type = response.headerFields[.contentType],
            ContentTypes.isCompressible(type), response.headerFields[.contentRange] == nil,
            response.headerFields[.contentEncoding].map({ $0.lowercased() == "identity" }) ?? true
        else { return false }
        return !response.headerFields.lists("no-transform", in: .cacheControl)
    }

    private static func compress(_ response: inout Response, level: Int) throws {
        let body = response.body
        if case .bytes(let bytes) = body.content, bytes.count <= CompressingWriter.turn {
            let packed = try Deflater(.gzip, level: level).deflate(bytes, .finish)
            guard packed.count < bytes.count else { return }
            response.body = HTTPBody(packed)
        } else {
            response.body = HTTPBody { writer in
                let compressing = CompressingWriter(try Deflater(.gzip, level: level), into: writer)
                try await body.write(to: compressing)
                try await compressing.finish()
            }
        }
        response.headerFields[.contentEncoding] = "gzip"
        response.headerFields[.acceptRanges] = nil
        if let tag = response.headerFields[.eTag].flatMap(EntityTag.init(parsing:)) {
            response.headerFields[.eTag] = "\(tag.weak)"
        }
    }

    /// Tells caches that the answer depends on a field of the request.
    static func add(_ name: String, toVaryOf response: inout Response) {
        let fields = response.headerFields
        if fields.lists("*", in: .vary) || fields.lists(name.lowercased(), in: .vary) { return }
        response.headerFields.append(HTTPField(name: .vary, value: name))
    }
}

/// Compresses what is written, on its way to another writer.
final class CompressingWriter: HTTPBodyWriter {
    /// What is compressed before others have their turn: it takes about a millisecond.
    static let turn = 64 << 10

    private let deflater: Deflater
    private let inner: any HTTPBodyWriter
    /// Whoever makes the body may do so in several tasks: the bytes of each write stay together.
    private let order = AsyncLock(name: "compression")

    init(_ deflater: Deflater, into inner: any HTTPBodyWriter) {
        self.deflater = deflater
        self.inner = inner
    }

    var trailerFields: HTTPFields {
        get { inner.trailerFields }
        set { inner.trailerFields = newValue }
    }

    func write(_ bytes: [UInt8]) async throws {
        try await order.withLock {
            var rest = bytes[...]
            while !rest.isEmpty {
                try await send(deflater.deflate(rest.prefix(Self.turn)))
                rest = rest.dropFirst(Self.turn)
                if !rest.isEmpty { await EventLoop.yield() }
            }
        }
    }

    func flush() async throws {
        try await order.withLock {
            try await send(deflater.deflate([], .sync))
            try await inner.flush()
        }
    }

    func finish() async throws {
        try await order.withLock { try await send(deflater.deflate([], .finish)) }
    }

    private func send(_ packed: [UInt8]) async throws {
        if !packed.isEmpty { try await inner.write(packed) }
    }
}
#endif
