import AsyncIOKernel
import SystemPackage

/// Reads from a stream in the pieces that a protocol is made of: lines, numbers, so many bytes, up to a separator.
///
/// ```swift
/// let reader = BufferedReader(connection)
/// for try await line in reader.lines { … }
/// ```
///
/// One task uses it at a time: it is not `Sendable`, so that the compiler sees to that. Whoever writes may do so at the
/// same time, elsewhere.
///
/// A call that finds what it needs in the buffer does not suspend. Nothing is lost: a call that throws has taken
/// nothing, whether its task was cancelled, something was too long, or the data ended early; the next call finds it all.
/// Only ``skip(_:)`` and its siblings drop as they go.
///
/// The memory is bounded by the limits of the calls plus the size of one read, and is given back when all has been
/// taken: a connection that is idle holds none.
public final class BufferedReader<Stream: ByteStream> {
    /// Where the bytes come from.
    public let stream: Stream
    /// The most that is read ahead.
    public let readSize: Int
    var received = ReceivedBytes()
    /// How many bytes have come in all.
    private var arrived = 0

    /// Reads from a stream. Nobody else should.
    ///
    /// - Parameters:
    ///   - stream: Where the bytes come from.
    ///   - readSize: The most that is read ahead, at least one.
    public init(_ stream: Stream, readSize: Int = 65_536) {
        self.stream = stream
        self.readSize = max(readSize, 1)
    }

    /// How many bytes are in the buffer.
    public var bufferedCount: Int { received.count }
    /// How many bytes have been taken, or skipped, so far.
    public var position: Int { arrived - received.count }

    /// Takes what is in the buffer, without reading: for whoever goes on with the stream itself.
    public func takeBuffered() -> [UInt8] { received.take(upTo: .max) }

    /// Reads once into the buffer. False at the end of the data.
    func fill() async throws -> Bool {
        received.compact()
        guard let bytes = try await stream.read(upTo: readSize) else { return false }
        arrived += bytes.count
        received.append(bytes)
        return true
    }

    /// Asks the buffer for something, and reads until the answer is there. Nil at the end of the data.
    @inline(__always)
    private func take<Piece>(_ piece: (inout ReceivedBytes) throws -> Piece?) async throws -> Piece? {
        try await Visit.enter()
        while true {
            if let piece = try piece(&received) { return piece }
            guard try await fill() else { return nil }
        }
    }

    // MARK: Bytes

    /// Reads what is there, at least one byte and at most the limit; nil at the end of the data.
    ///
    /// Throws ``IOError`` with `EINVAL` for a limit below one, and what the stream throws.
    public func read(upTo limit: Int = 65_536) async throws -> [UInt8]? {
        guard limit > 0 else {
            throw IOError(.invalidArgument, operation: "read", detail: "a read needs a limit of at least one byte")
        }
        return try await take { $0.isEmpty ? nil : $0.take(upTo: limit) }
    }

    /// Reads exactly so many bytes.
    ///
    /// Memory is taken as they come, and not for the count. Throws ``UnexpectedEndError`` with what was there if the
    /// data ends before, also if there was nothing.
    public func read(exactly count: Int) async throws -> [UInt8] {
        if let bytes = try await take({ $0.take(exactly: count) }) { return bytes }
        throw UnexpectedEndError(bytes: received.all, expected: count)
    }

    /// Reads everything up to the end of the data.
    ///
    /// Throws ``TooLongError`` if there are more bytes than the limit; they stay in the buffer.
    public func readAll(limit: Int) async throws -> [UInt8] {
        try await Visit.enter()
        repeat {
            if received.count > limit { throw TooLongError("data", limit: limit) }
        } while try await fill()
        return received.take(upTo: .max)
    }

    /// The next bytes, which stay: so many, or fewer at the end of the data.
    public func peek(_ count: Int) async throws -> [UInt8] {
        try await take { $0.count >= count ? $0.peek(count) : nil } ?? received.all
    }

    /// Drops so many bytes, or fewer at the end of the data, and returns how many.
    ///
    /// Holds none of them. If it throws, some have been dropped: ``position`` tells.
    @discardableResult
    public func skip(_ count: Int) async throws -> Int {
        try await Visit.enter()
        var skipped = received.skip(count)
        while skipped < count, try await fill() { skipped += received.skip(count - skipped) }
        return skipped
    }

    /// Reads a number.
    ///
    /// Throws ``UnexpectedEndError`` if the data ends before or in it.
    public func readInteger<Integer: FixedWidthInteger>(
        _ type: Integer.Type = Integer.self, _ order: ByteOrder = .big
    ) async throws -> Integer {
        if let number = try await take({ $0.takeInteger(type, order) }) { return number }
        throw UnexpectedEndError(bytes: received.all, expected: Integer.byteCount)
    }

    /// Reads exactly so many bytes of UTF-8 text.
    ///
    /// Throws ``UnexpectedEndError`` as ``read(exactly:)`` does, and ``InvalidTextError`` if the text is to be rejected.
    public func readText(exactly count: Int, invalid: InvalidText = .replace) async throws -> String {
        if let text = try await take({ try $0.takeText(exactly: count, invalid: invalid) }) { return text }
        throw UnexpectedEndError(bytes: received.all, expected: count)
    }

    // MARK: Separators

    /// Reads what stands before a separator, and drops the separator; nil at the end of the data.
    ///
    /// Throws ``TooLongError`` if more bytes than the limit stand before it, ``UnexpectedEndError`` if the data ends
    /// without it but not without a byte, and ``IOError`` with `EINVAL` for an empty separator.
    public func read(until separator: [UInt8], limit: Int = 65_536) async throws -> [UInt8]? {
        try await read(untilAny: [separator], limit: limit)?.bytes
    }

    /// Reads what stands before a separator. As ``read(until:limit:)-([UInt8],_)``.
    public func read(until separator: String, limit: Int = 65_536) async throws -> [UInt8]? {
        try await read(until: Array(separator.utf8), limit: limit)
    }

    /// Reads what stands before the first of several separators to end, drops the separator, and tells which one it
    /// was; nil at the end of the data.
    ///
    /// If several end at the same place, it is the longest of them: of LF and CR LF, the latter where it stands. As
    /// ``read(until:limit:)-([UInt8],_)``.
    public func read(untilAny separators: [[UInt8]], limit: Int = 65_536) async throws -> ReceivedBytes.Delimited? {
        if let found = try await take({ try $0.take(untilAny: separators, limit: limit) }) { return found }
        if received.isEmpty { return nil }
        throw UnexpectedEndError(bytes: received.all)
    }

    // MARK: Lines

    /// Reads a line of UTF-8 text, without its end, LF or CR LF; nil at the end of the data.
    ///
    /// The last line needs no end. Throws ``TooLongError`` if the line has more bytes than the limit: it can then be
    /// read with a larger limit, or skipped with ``skipLine()``. Throws ``InvalidTextError`` if the text is to be
    /// rejected.
    public func readLine(limit: Int = 65_536, invalid: InvalidText = .replace) async throws -> String? {
        if let line = try lineNow(limit: limit, invalid: invalid) { return line }
        return try await lineSlowly(limit: limit, invalid: invalid)
    }

    /// The half that does not suspend. Nil if the other half is needed.
    private func lineNow(limit: Int, invalid: InvalidText) throws -> String? {
        switch Visit.begin() {
        case .mayGoOn: try received.takeTextLine(limit: limit, invalid: invalid)
        case .mustTakeTurns: nil
        case .isCancelled: throw CancellationError()
        }
    }

    private func lineSlowly(limit: Int, invalid: InvalidText) async throws -> String? {
        if let line = try await take({ try $0.takeTextLine(limit: limit, invalid: invalid) }) { return line }
        if received.isEmpty { return nil }
        let rest = try received.lastLine(limit: limit)
        return try received.takeText(exactly: rest.whole, invalid: invalid)
    }

    /// Reads a line as bytes. As ``readLine(limit:invalid:)``.
    public func readLineBytes(limit: Int = 65_536) async throws -> [UInt8]? {
        if let line = try await take({ try $0.takeLine(limit: limit) }) { return line }
        if received.isEmpty { return nil }
        return received.take(upTo: try received.lastLine(limit: limit).whole)
    }

    /// Drops what is left of the line, with its end, and returns the number of bytes; 0 at the end of the data.
    ///
    /// However long the line is, it holds no more of it than one read. If it throws, some of the line has been dropped:
    /// ``position`` tells, and the next call drops the rest.
    @discardableResult
    public func skipLine() async throws -> Int {
        try await Visit.enter()
        var skipped = 0
        while true {
            if let line = try received.findLine(limit: .max) { return skipped + received.skip(line.whole) }
            skipped += received.skip(.max)
            guard try await fill() else { return skipped }
        }
    }
}
