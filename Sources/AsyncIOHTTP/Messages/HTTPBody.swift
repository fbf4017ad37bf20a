#if HTTP
public import AsyncIO
public import HTTPTypes

/// The content of a message: bytes in order, all there or still to come.
///
/// ```swift
/// HTTPBody("hello\n")                                     // all there: sent with its length
/// HTTPBody(file: file, range: 0..<size)                   // sent by the kernel, where it can
/// HTTPBody { writer in for line in lines { try await writer.write(line) } }   // as it is made, with backpressure
/// ```
///
/// What a peer sends is read by iterating, at its pace: what is not asked for is not taken from the connection. It can
/// be read once. A body that a program makes may be written as often as its parts can be.
public struct HTTPBody: Sendable {
    enum Content: Sendable {
        case bytes([UInt8])
        case file(File, range: Range<Int64>)
        case produced(@Sendable (any HTTPBodyWriter) async throws -> Void)
        case incoming(any IncomingBody)
    }

    let content: Content
    /// How many bytes it has, if that is known beforehand. It is sent as `Content-Length` then, and in chunks
    /// otherwise.
    public let length: Int?

    init(_ content: Content, length: Int?) {
        self.content = content
        // Less than nothing cannot be promised.
        self.length = length.map { Swift.max($0, 0) }
    }

    /// No bytes.
    public static let empty = HTTPBody([])

    /// Bytes that are all there.
    public init(_ bytes: [UInt8]) { self.init(.bytes(bytes), length: bytes.count) }

    /// A text, as UTF-8.
    public init(_ text: String) { self.init(Array(text.utf8)) }

    /// Part of a regular file, which stays open until it has been sent.
    public init(file: File, range: Range<Int64>) {
        self.init(.file(file, range: range), length: Int(clamping: range.upperBound - range.lowerBound))
    }

    /// Bytes that are made while they are sent.
    ///
    /// Whoever makes them suspends in `write` while the peer does not take them. With a length, exactly so many must be
    /// written: what has been promised to the peer and is not kept breaks the connection off. An error that is thrown
    /// does so, too, since the peer must not take a part for the whole.
    public init(length: Int? = nil, _ produce: @escaping @Sendable (any HTTPBodyWriter) async throws -> Void) {
        self.init(.produced(produce), length: length)
    }

    /// The chunks of a sequence, each sent as it comes.
    public init<Chunks: AsyncSequence & Sendable>(_ chunks: Chunks, length: Int? = nil)
    where Chunks.Element == [UInt8] {
        self.init(length: length) { writer in
            for try await chunk in chunks {
                try await writer.write(chunk)
                try await writer.flush()
            }
        }
    }

    init(incoming: any IncomingBody, length: Int?) { self.init(.incoming(incoming), length: length) }

    /// Whether it is known to have no bytes.
    public var isEmpty: Bool { length == 0 }

    /// Whether it can be sent more than once: a body that came from a peer can not, nor is one trusted that is made.
    var isReplayable: Bool {
        switch content {
        case .bytes, .file: true
        case .produced, .incoming: false
        }
    }

    /// The fields that came behind the bytes (RFC 9110 section 6.5): nil before the end, and for bodies that are not
    /// read from a peer.
    public var trailerFields: HTTPFields? {
        if case .incoming(let source) = content { source.trailerFields } else { nil }
    }

    /// Writes all of its bytes, in order. What came from a peer is passed on with its trailers.
    ///
    /// Suspends while the writer's peer does not take them. Throws what reading and what writing throws.
    public func write(to writer: any HTTPBodyWriter) async throws {
        switch content {
        case .bytes(let bytes):
            if !bytes.isEmpty { try await writer.write(bytes) }
        case .file(let file, let range):
            try await writer.write(file, range: range)
        case .produced(let produce):
            try await produce(writer)
        case .incoming(let source):
            while let chunk = try await source.next() {
                try await writer.write(chunk)
                // The peer may say no more until somebody has answered this.
                try await writer.flush()
            }
            if let trailers = source.trailerFields, !trailers.isEmpty { writer.trailerFields = trailers }
        }
    }
}

extension HTTPBody: ExpressibleByStringLiteral {
    /// A text, as UTF-8.
    public init(stringLiteral text: String) { self.init(text) }
}

/// A body that comes over a connection, for one reader.
protocol IncomingBody: AnyObject, Sendable {
    /// The bytes that came next, at least one; nil at the end.
    func next() async throws -> [UInt8]?

    /// What came behind the bytes; nil before their end.
    var trailerFields: HTTPFields? { get }
}
#endif
