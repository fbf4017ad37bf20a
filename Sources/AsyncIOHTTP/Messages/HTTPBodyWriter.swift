#if HTTP
public import AsyncIO
public import HTTPTypes

/// Where the bytes of a body go while they are made: to a peer, or to a coding on the way to it.
public protocol HTTPBodyWriter: AnyObject, Sendable {
    /// Writes bytes, and suspends while the peer does not take them.
    ///
    /// A cancelled task gets `CancellationError`. Throws ``IOError`` if the peer has gone, and ``HTTPError`` if more is
    /// written than was promised.
    func write(_ bytes: [UInt8]) async throws

    /// Writes part of a file.
    func write(_ file: File, range: Range<Int64>) async throws

    /// Sends what has been kept together for a better use of packets and chunks: for events, which have to come at
    /// once.
    func flush() async throws

    /// What is sent behind the bytes (RFC 9110 section 6.5), where the message is sent in chunks; elsewhere it is
    /// dropped.
    var trailerFields: HTTPFields { get set }
}

extension HTTPBodyWriter {
    /// Writes a text as UTF-8.
    public func write(_ text: String) async throws { try await write(Array(text.utf8)) }

    /// Reads part of a file in pieces, and writes them.
    ///
    /// Throws ``IOError`` with `ENODATA` if the file ends before the range does.
    public func write(_ file: File, range: Range<Int64>) async throws {
        var position = range.lowerBound
        while position < range.upperBound {
            let wanted = Int(clamping: min(range.upperBound - position, 64 << 10))
            guard let piece = try await file.read(upTo: wanted, at: position), !piece.isEmpty else {
                throw IOError(
                    .noData, operation: "send file", subject: "\(file.path)",
                    detail: "the file ended at \(position), \(range.upperBound) was promised")
            }
            try await write(piece)
            position += Int64(piece.count)
        }
    }
}
#endif
