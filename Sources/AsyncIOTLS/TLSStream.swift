#if TLS
public import AsyncIO
import AsyncIOKernel
public import AsyncIOLoop
import AsyncIONIO
import NIOCore
import NIOSSL

/// An encrypted stream over another stream: TLS 1.2 or 1.3, with a peer that is known to be who it says.
///
/// ```swift
/// let stream = try await TLSStream.connect("example.com", 443)
/// try await stream.write("GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
/// ```
///
/// It is a ``ByteStream`` as all others: one reader and one writer at a time, backpressure, half-close, cancellation
/// that loses nothing. Beyond that:
/// - The peer's end is one only if the peer has said so (close_notify). A connection that ends without it throws
///   ``TLSError/Reason/truncated``: somebody may have cut it (RFC 8446, 6.1).
/// - A write that is cancelled never cuts a record in two: what was encrypted is still sent.
/// - ``close()`` sends what was written, and our close_notify, for at most the ``TLSConfiguration/shutdownTimeout``;
///   the caller does not wait. Use ``abort()`` to break off without.
///
/// The stream beneath belongs to it from the beginning. Letting go of the last reference closes both.
public final class TLSStream: ByteStream, CustomStringConvertible {
    let core: TLSCore

    init(_ core: TLSCore) { self.core = core }

    deinit { core.close() }

    /// The loop that closes, and writes what waits.
    public var loop: AsyncIOLoop.EventLoop { core.loop }
    /// The stream beneath. Whoever reads it or writes to it breaks the encryption; questions do no harm.
    public var transport: any ByteStream { core.transport }
    /// What was agreed to be spoken inside (ALPN), if anything was.
    public var applicationProtocol: String? { core.ask(\.applicationProtocol) }
    /// The version of TLS that is spoken.
    public var version: TLSVersion { core.ask(\.version) ?? .tls13 }
    /// The peer's certificate, in DER's form; nil if it has shown none.
    public var peerCertificate: [UInt8]? { core.ask { try? $0.peerCertificate?.toDERBytes() } }
    /// The names and addresses that the peer's certificate is for.
    public var peerNames: [String] { core.ask { $0.peerCertificate?.names ?? [] } }

    /// `TLSStream(example.com)`.
    public var description: String { "TLSStream(\(core.subject))" }

    // MARK: Reading

    /// The most that one read returns.
    public static let maximumRead = 65_536

    /// Reads what is there, at least one byte and at most the limit; nil after the peer's close_notify.
    ///
    /// Throws ``TLSError`` if the connection ends without it, or if something was changed on its way. See
    /// ``ByteStream/read(upTo:)``.
    public func read(upTo limit: Int = maximumRead) async throws -> [UInt8]? {
        guard limit > 0 else { throw noRoom(limit) }
        return try await core.read(upTo: limit)
    }

    /// Reads what is there into the free part of the span. As ``read(upTo:)``.
    public func read(into span: inout OutputRawSpan) async throws -> Int {
        guard span.freeCapacity > 0 else { throw noRoom(0) }
        // The span is the caller's until this function returns, so its memory outlives the operation.
        let free = unsafe span.withUnsafeMutableBytes { memory, filled in
            unsafe UnsafeMutableRawBufferPointer(rebasing: memory[filled...])
        }
        let count = unsafe try await core.read(into: free)
        unsafe span.withUnsafeMutableBytes { _, filled in filled += count }
        return count
    }

    private func noRoom(_ limit: Int) -> AsyncIOKernel.IOError {
        core.error(.invalidArgument, "read", "room for \(limit) bytes; a read needs room for at least one")
    }

    // MARK: Writing

    /// Encrypts and writes all of the bytes, and suspends while the peer does not take them. See
    /// ``ByteStream/write(_:)``.
    public func write(_ bytes: RawSpan) async throws { try await core.write(bytes) }

    /// Writes several chunks as one, in order, in as few records as they fit in.
    public func write(contentsOf chunks: [[UInt8]]) async throws { try await core.write(chunks) }

    /// Writes as many of the bytes as are taken at once, up to a record, and returns their number. Never waits;
    /// elsewhere than on the stream's loop, and while another task writes, nothing is taken.
    public func tryWrite(_ bytes: RawSpan) throws -> Int { try core.tryWrite(bytes) }

    // MARK: Ending

    /// Tells the peer that nothing more will come (close_notify). Reading goes on. Calling it again does nothing.
    ///
    /// A peer of TLS 1.2 may end its own side at once (RFC 5246, 7.2.1).
    public func closeWriting() async throws { try await core.closeWriting() }

    /// Closes the stream: what was written is still delivered, and our close_notify. Does not wait for it.
    public func close() { core.close() }

    /// Breaks the stream off, without close_notify. Does not wait.
    public func abort() { core.abort() }
}

extension TLSStream: LayeredStream {}
#endif
