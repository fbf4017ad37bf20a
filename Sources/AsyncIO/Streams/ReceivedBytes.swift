/// Bytes that have come and were not yet taken: what parsers take their pieces from.
///
/// A pure value: whoever has bytes appends them, and whoever knows what they mean takes a line, a number, a frame, or
/// learns that more bytes are needed. ``BufferedReader`` fills one from a stream; a ``FrameDecoder`` finds its frames
/// in one.
///
/// Searching is amortized O(1) a byte: what was searched once for a line or for the same separators is not searched
/// again when more bytes come. Taking everything gives the memory back.
public struct ReceivedBytes: Sendable {
    /// The bytes from `start` on are there; those before have been taken.
    var bytes: [UInt8]
    var start = 0
    /// How many of the bytes that are there hold no line feed.
    var searchedForLine = 0
    /// How many of the bytes that are there hold no end of one of the separators.
    var searched = 0
    var separators: [[UInt8]] = []

    /// Starts with these bytes, or with none.
    public init(_ bytes: [UInt8] = []) { self.bytes = bytes }

    /// How many bytes are there.
    public var count: Int { bytes.count - start }
    /// Whether no byte is there.
    public var isEmpty: Bool { start == bytes.count }
    /// All bytes that are there, as a copy.
    public var all: [UInt8] { Array(bytes[start...]) }

    /// The byte at a place, counted from the first that is there. Outside of them, a mistake in the program.
    public subscript(index: Int) -> UInt8 { bytes[start + index] }

    /// Lets a body look at the bytes that are there, in place.
    public func withBytes<Result, Failure: Error>(
        _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        unsafe try body(bytes.span.bytes.extracting(start..<bytes.count))
    }

    /// At most so many of the bytes, which stay.
    public func peek(_ limit: Int) -> [UInt8] { Array(bytes[start..<start + min(max(limit, 0), count)]) }

    // MARK: Coming and going

    /// Adds bytes. If none is there, the array itself is kept and nothing is copied.
    public mutating func append(_ more: [UInt8]) {
        if isEmpty {
            bytes = more
            start = 0
        } else {
            compact()
            bytes += more
        }
    }

    /// Makes room for more bytes at the cost of at most as many moves as bytes were taken; a large array of which little
    /// is left goes.
    mutating func compact() {
        guard start > 0, start >= count else { return }
        bytes = Array(bytes[start...])
        start = 0
    }

    /// Drops at most so many bytes, and returns how many.
    @discardableResult
    public mutating func skip(_ limit: Int) -> Int {
        let skipped = min(max(limit, 0), count)
        start += skipped
        if isEmpty { removeAll() } else { forget(skipped) }
        return skipped
    }

    /// Drops all bytes and gives the memory back.
    public mutating func removeAll() {
        bytes = []
        start = 0
        searchedForLine = 0
        searched = 0
    }

    @inline(__always)
    private mutating func forget(_ taken: Int) {
        searchedForLine = max(searchedForLine - taken, 0)
        searched = max(searched - taken, 0)
    }

    /// Takes at most so many bytes: what is there.
    public mutating func take(upTo limit: Int) -> [UInt8] {
        if start == 0 && limit >= bytes.count {
            defer { removeAll() }
            return bytes
        }
        let taken = peek(limit)
        skip(taken.count)
        return taken
    }

    /// Takes exactly so many bytes; nil if they are not there yet. A count below zero is taken as zero.
    public mutating func take(exactly count: Int) -> [UInt8]? { count <= self.count ? take(upTo: count) : nil }

    /// Takes a number; nil if not all of its bytes are there yet.
    public mutating func takeInteger<Integer: FixedWidthInteger>(
        _ type: Integer.Type = Integer.self, _ order: ByteOrder = .big
    ) -> Integer? {
        guard count >= Integer.byteCount else { return nil }
        defer { skip(Integer.byteCount) }
        return Integer(bytes[start..<start + Integer.byteCount], order)
    }

    /// Takes exactly so many bytes as UTF-8 text; nil if they are not there yet.
    ///
    /// Throws ``InvalidTextError`` if the text is to be rejected; nothing is taken then.
    public mutating func takeText(exactly count: Int, invalid: InvalidText = .replace) throws -> String? {
        guard count <= self.count else { return nil }
        let count = max(count, 0)
        let text = try self.text(count, invalid)
        skip(count)
        return text
    }

    func text(_ count: Int, _ invalid: InvalidText) throws -> String {
        let text: String? = unsafe bytes.withUnsafeBufferPointer { bytes in
            let part = unsafe UnsafeBufferPointer(rebasing: bytes[start..<start + count])
            switch invalid {
            case .replace: return unsafe String(decoding: part, as: UTF8.self)
            case .reject: return unsafe String(validating: part, as: UTF8.self)
            }
        }
        guard let text else { throw InvalidTextError(bytes: peek(count)) }
        return text
    }
}
