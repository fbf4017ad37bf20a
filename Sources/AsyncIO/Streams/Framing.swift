/// Finds frames, the messages of a protocol, in bytes, however these are cut: no input and output, no tasks.
///
/// A decoder is a value that is asked again and again, as bytes come: it takes the next frame out of them, or says that
/// more are needed by returning nil, and leaves them where they are then. ``BufferedReader/frames(using:)`` and
/// ``FramedStream`` bring it together with a stream; a test needs nothing but bytes.
///
/// ```swift
/// struct Netstrings: FrameCodec {
///     let limit = 65_536
///     func decode(_ input: inout ReceivedBytes) throws -> [UInt8]? { … }
///     func encode(_ frame: [UInt8], into output: inout [UInt8]) throws { … }
/// }
/// ```
public protocol FrameDecoder<Frame> {
    /// A message of the protocol.
    associatedtype Frame

    /// The most bytes that a frame may take, all that surrounds it included: whoever feeds the decoder gives up with
    /// ``TooLongError`` if more than that have come and there is still no frame.
    var limit: Int { get }

    /// Takes the next frame out of the bytes; nil if more are needed, and then nothing is taken.
    ///
    /// Called again and again until it returns nil, and then when more bytes have come. An error is final: what comes
    /// after it has no known meaning.
    mutating func decode(_ input: inout ReceivedBytes) throws -> Frame?

    /// The data has ended, and ``decode(_:)`` needs more: takes a last frame out of what is left, or returns nil if
    /// nothing is.
    ///
    /// Unless a decoder brings its own, ``UnexpectedEndError`` if bytes are left.
    mutating func decodeLast(_ input: inout ReceivedBytes) throws -> Frame?
}

extension FrameDecoder {
    /// Nil if nothing is left; ``UnexpectedEndError`` otherwise.
    public mutating func decodeLast(_ input: inout ReceivedBytes) throws -> Frame? {
        if input.isEmpty { return nil }
        throw UnexpectedEndError(bytes: input.all)
    }

    /// Asks for the next frame, and sees to the limit.
    mutating func next(in input: inout ReceivedBytes) throws -> Frame? {
        if let frame = try decode(&input) { return frame }
        if input.count > limit { throw TooLongError("frame", limit: limit) }
        return nil
    }
}

/// Turns frames into bytes. See ``FrameDecoder``.
///
/// Several tasks may encode at the same time: an encoder has no state.
public protocol FrameEncoder<Frame>: Sendable {
    /// A message of the protocol.
    associatedtype Frame

    /// Appends a frame's bytes, with all that surrounds them. Throws if it cannot be a frame, and appends nothing then.
    func encode(_ frame: Frame, into output: inout [UInt8]) throws
}

/// Both directions of a framing, for the same kind of frames.
public typealias FrameCodec = FrameDecoder & FrameEncoder

/// A frame cannot be sent or understood.
public struct FrameError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong.
    public let description: String

    /// Creates the error.
    public init(_ description: String) { self.description = description }
}

/// Frames that are lines of UTF-8 text.
public struct LineFraming: FrameCodec {
    /// What a line ends in when it is sent. What comes may end in either.
    public enum Ending: Hashable, Sendable { case lineFeed, carriageReturnLineFeed }

    /// The most bytes that a line may have, without its end.
    public let lineLimit: Int
    /// What a line ends in when it is sent.
    public let ending: Ending
    /// What becomes of bytes that are no text.
    public let invalid: InvalidText

    /// Lines of at most so many bytes.
    public init(limit: Int = 65_536, ending: Ending = .lineFeed, invalid: InvalidText = .replace) {
        lineLimit = min(max(limit, 0), Int.max - 2)
        self.ending = ending
        self.invalid = invalid
    }

    /// A line and its end.
    public var limit: Int { lineLimit + 2 }

    /// Takes a line, without its end.
    public func decode(_ input: inout ReceivedBytes) throws -> String? {
        try input.takeTextLine(limit: lineLimit, invalid: invalid)
    }

    /// The last line needs no end.
    public func decodeLast(_ input: inout ReceivedBytes) throws -> String? {
        input.isEmpty ? nil : try input.takeText(exactly: input.lastLine(limit: lineLimit).whole, invalid: invalid)
    }

    /// Appends a line and its end. A line that would be another one at the other side, since it holds a line feed, or a
    /// carriage return before it, is refused with ``FrameError``.
    public func encode(_ frame: String, into output: inout [UInt8]) throws {
        let bytes = frame.utf8
        guard bytes.count <= lineLimit else { throw TooLongError("line", limit: lineLimit, length: bytes.count) }
        guard !bytes.contains(ReceivedBytes.lineFeed) else { throw FrameError("the line holds a line feed") }
        guard ending == .carriageReturnLineFeed || bytes.last != ReceivedBytes.carriageReturn else {
            throw FrameError("the line ends in a carriage return, which would become part of its end")
        }
        output += bytes
        if ending == .carriageReturnLineFeed { output.append(ReceivedBytes.carriageReturn) }
        output.append(ReceivedBytes.lineFeed)
    }
}

/// Frames that end in a delimiter.
public struct DelimiterFraming: FrameCodec {
    /// What a frame ends in.
    public let delimiter: [UInt8]
    /// The most bytes that a frame may have, without the delimiter.
    public let frameLimit: Int

    /// Frames of at most so many bytes. An empty delimiter is a mistake in the program and stops it with a message.
    public init(_ delimiter: [UInt8], limit: Int = 65_536) {
        precondition(!delimiter.isEmpty, "a delimiter has at least one byte")
        self.delimiter = delimiter
        frameLimit = min(max(limit, 0), Int.max - delimiter.count)
    }

    /// A frame and its delimiter.
    public var limit: Int { frameLimit + delimiter.count }

    /// Takes what stands before the delimiter.
    public func decode(_ input: inout ReceivedBytes) throws -> [UInt8]? {
        try input.take(until: delimiter, limit: frameLimit)
    }

    /// Appends a frame and the delimiter. A frame in which the delimiter stands, or begins at its end and is completed
    /// too early, would be two: ``FrameError``.
    public func encode(_ frame: [UInt8], into output: inout [UInt8]) throws {
        guard frame.count <= frameLimit else { throw TooLongError("frame", limit: frameLimit, length: frame.count) }
        var whole = ReceivedBytes(frame + delimiter)
        guard try whole.take(until: delimiter, limit: frameLimit)?.count == frame.count else {
            throw FrameError("the delimiter stands in the frame")
        }
        output += frame
        output += delimiter
    }
}

/// Frames that begin with their length.
public struct LengthPrefixFraming: FrameCodec {
    /// What the length counts.
    public enum Counting: Hashable, Sendable {
        /// The bytes after it.
        case payload
        /// Itself and the bytes after it.
        case prefixAndPayload
    }

    /// How many bytes the length takes.
    public let width: Int
    /// Their order.
    public let order: ByteOrder
    /// What the length counts.
    public let counting: Counting
    /// The most bytes that a frame may have, without its length.
    public let frameLimit: Int

    /// Frames of at most so many bytes.
    ///
    /// A width other than 1 to 8 is a mistake in the program and stops it with a message.
    public init(
        width: Int = 4, _ order: ByteOrder = .big, counting: Counting = .payload, limit: Int = 1 << 20
    ) {
        precondition((1...8).contains(width), "a length of \(width) bytes: it takes 1 to 8")
        self.width = width
        self.order = order
        self.counting = counting
        frameLimit = min(max(limit, 0), Int.max - 8)
    }

    /// A length and a frame.
    public var limit: Int { frameLimit + width }

    private var own: UInt64 { counting == .payload ? 0 : UInt64(width) }
    /// The largest number that the length can say.
    private var largest: UInt64 { width == 8 ? .max : 1 << UInt64(width * 8) - 1 }

    /// Takes a frame, without its length. Throws ``TooLongError`` as soon as the length says so.
    public func decode(_ input: inout ReceivedBytes) throws -> [UInt8]? {
        guard input.count >= width else { return nil }
        var length: UInt64 = 0
        for index in 0..<width { length = length << 8 | UInt64(input[order == .big ? index : width - 1 - index]) }
        guard length >= own else { throw FrameError("a length of \(length), which counts its own \(width) bytes") }
        guard length - own <= UInt64(frameLimit) else {
            throw TooLongError("frame", limit: frameLimit, length: Int(clamping: length - own))
        }
        let count = Int(length - own)
        guard input.count - width >= count else { return nil }
        input.skip(width)
        return input.take(exactly: count)
    }

    /// Appends a frame's length and the frame.
    public func encode(_ frame: [UInt8], into output: inout [UInt8]) throws {
        let (length, isTooMuch) = UInt64(frame.count).addingReportingOverflow(own)
        guard frame.count <= frameLimit, !isTooMuch, length <= largest else {
            throw TooLongError("frame", limit: min(frameLimit, Int(clamping: largest - own)), length: frame.count)
        }
        output += order == .big ? length.bytes(.big).suffix(width) : length.bytes(.little).prefix(width)
        output += frame
    }
}
