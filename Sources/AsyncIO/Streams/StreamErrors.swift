/// The data ended before everything had come that was asked for.
///
/// What was there has not been taken: it can still be read, and stands in ``bytes``, too.
public struct UnexpectedEndError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The bytes that were there.
    public let bytes: [UInt8]
    /// How many bytes were expected; nil if it was a separator, or the rest of a frame.
    public let expected: Int?

    /// Creates the error.
    public init(bytes: [UInt8], expected: Int? = nil) {
        self.bytes = bytes
        self.expected = expected
    }

    /// `the data ended after 3 of 10 bytes`.
    public var description: String {
        if let expected { return "the data ended after \(bytes.count) of \(expected) bytes" }
        return "the data ended in the middle of something, after \(bytes.count) bytes of it"
    }
}

/// Something is longer than the limit that the caller has set: a line, a frame, a text.
///
/// Nothing of it has been taken: reading can go on with a larger limit, or after skipping it.
public struct TooLongError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is too long: `line`, `frame`.
    public let subject: String
    /// The limit, in bytes.
    public let limit: Int
    /// How long it is, in bytes; nil if its end has not been seen.
    public let length: Int?

    /// Creates the error.
    public init(_ subject: String, limit: Int, length: Int? = nil) {
        self.subject = subject
        self.limit = limit
        self.length = length
    }

    /// `the line is longer than 80 bytes: …`.
    public var description: String {
        let fact =
            length.map { "the \(subject) has \($0) bytes, and the limit is \(limit)" }
            ?? "the \(subject) is longer than \(limit) bytes"
        return "\(fact): read on with a larger limit, or skip it"
    }
}

/// Bytes that should be text are not UTF-8.
///
/// They have not been taken: read them as bytes, or let what is wrong be replaced.
public struct InvalidTextError: Error, Hashable, Sendable, CustomStringConvertible {
    /// All the bytes that should be the text.
    public let bytes: [UInt8]

    /// Creates the error.
    public init(bytes: [UInt8]) { self.bytes = bytes }

    /// One line.
    public var description: String {
        "a text of \(bytes.count) bytes is not UTF-8: read it as bytes, or with .replace"
    }
}

/// What becomes of bytes in a text that are not UTF-8.
public enum InvalidText: Hashable, Sendable {
    /// Each wrong sequence becomes U+FFFD, the replacement character, as the Unicode Standard recommends (chapter 3,
    /// "U+FFFD substitution of maximal subparts").
    case replace
    /// ``InvalidTextError``.
    case reject
}
