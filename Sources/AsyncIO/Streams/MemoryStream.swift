import AsyncIOKernel
import SystemPackage

/// One end of a connection that exists only in memory: what one end writes, the other one reads.
///
/// ```swift
/// let (client, server) = MemoryStream.pair()
/// ```
///
/// For tests, and for parts of one program that speak a byte protocol with each other. It behaves as a TCP connection
/// does, without a kernel: bounded in each direction, with half-close, close and abort. It belongs to no loop: both
/// ends may be used on any loop, outside of loops, and from several threads. Letting go of the last reference closes
/// an end.
///
/// A write to a peer that has closed fails with `EPIPE`, and after a peer's ``abort()`` reads and writes fail with
/// `ECONNRESET`, at once and each time.
public final class MemoryStream: ByteStream, CustomStringConvertible {
    /// What the end is called in errors.
    public let name: String
    private let incoming: MemoryPipe
    private let outgoing: MemoryPipe

    private init(name: String, incoming: MemoryPipe, outgoing: MemoryPipe) {
        self.name = name
        self.incoming = incoming
        self.outgoing = outgoing
    }

    deinit { close() }

    /// Makes two ends that are connected with each other.
    ///
    /// - Parameters:
    ///   - capacity: How many bytes each direction holds before `write` suspends, at least one. The memory is taken as
    ///     bytes come, and given back when they have been read.
    ///   - name: What the connection is called; its ends are `name a` and `name b`.
    /// - Returns: The two ends.
    public static func pair(capacity: Int = 65_536, name: String = "memory") -> (MemoryStream, MemoryStream) {
        let (there, back) = (MemoryPipe(capacity: capacity), MemoryPipe(capacity: capacity))
        return (
            MemoryStream(name: "\(name) a", incoming: back, outgoing: there),
            MemoryStream(name: "\(name) b", incoming: there, outgoing: back)
        )
    }

    /// How many bytes the peer has written that were not yet read here.
    public var availableBytes: Int { incoming.count }

    /// `MemoryStream(memory a)`.
    public var description: String { "MemoryStream(\(name))" }

    // MARK: Reading

    /// Reads what is there, at least one byte and at most the limit; nil at the end of the peer's data. See
    /// ``ByteStream/read(upTo:)``.
    public func read(upTo limit: Int = 65_536) async throws -> [UInt8]? {
        guard limit > 0 else { throw noRoom(limit) }
        return try await incoming.read(upTo: limit, name)
    }

    /// Reads what is there into the free part of the span. See ``ByteStream/read(into:)``.
    public func read(into span: inout OutputRawSpan) async throws -> Int {
        guard span.freeCapacity > 0 else { throw noRoom(0) }
        // The span is the caller's until this function returns, so its memory outlives the operation.
        let free = unsafe span.withUnsafeMutableBytes { memory, filled in
            unsafe UnsafeMutableRawBufferPointer(rebasing: memory[filled...])
        }
        let count = unsafe try await incoming.read(into: free, name)
        unsafe span.withUnsafeMutableBytes { _, filled in filled += count }
        return count
    }

    private func noRoom(_ limit: Int) -> IOError {
        IOError(
            .invalidArgument, operation: "read", subject: name,
            detail: "room for \(limit) bytes; a read needs room for at least one")
    }

    // MARK: Writing

    /// Writes all of the bytes, and suspends while there is no room for them. See ``ByteStream/write(_:)``.
    public func write(_ bytes: RawSpan) async throws {
        if bytes.isEmpty { return }
        // The span is borrowed until this function returns, so its memory outlives the operation.
        let memory = unsafe bytes.withUnsafeBytes { unsafe $0 }
        unsafe try await outgoing.write(memory, name)
        _ = bytes.byteCount
    }

    /// Writes as many of the bytes as there is room for now, and returns their number. Never waits. From any thread.
    public func tryWrite(_ bytes: RawSpan) throws -> Int {
        if bytes.isEmpty { return 0 }
        return try unsafe bytes.withUnsafeBytes { unsafe try outgoing.tryWrite($0, name) }
    }

    // MARK: Ending

    /// Tells the peer that nothing more will come. See ``ByteStream/closeWriting()``.
    public func closeWriting() async throws {
        try await Visit.enter()
        try outgoing.finish(name)
    }

    /// Closes this end: what was written can still be read, what was not read is dropped.
    public func close() {
        outgoing.closeWriting()
        incoming.closeReading()
    }

    /// Breaks the connection off: what was not read is dropped on both sides, and the peer gets `ECONNRESET`.
    public func abort() {
        outgoing.abortWriting()
        incoming.abortReading()
    }
}
