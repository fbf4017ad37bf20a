public import AsyncIOKernel
public import AsyncIOLoop
import Glibc
import SystemPackage

/// A TCP connection: bytes in order, both ways, with backpressure.
///
/// One task may read while another one writes; a second reader or writer at the same time gets an error. Every method
/// may be called from any thread; on the connection's loop it costs no hop. Letting go of the last reference closes the
/// connection.
public final class TCPStream: Sendable, CustomStringConvertible {
    /// The loop that does the connection's work.
    public let loop: EventLoop
    /// The address of the other side.
    public let peer: SocketAddress
    let handle: Handle

    init(loop: EventLoop, handle: Handle, peer: SocketAddress) {
        self.loop = loop
        self.handle = handle
        self.peer = peer
    }

    deinit { loop.performSoon(closing: handle) }

    /// Our own address; nil once the connection is closed, and in a cancelled task.
    public var local: SocketAddress? {
        get async { await loop.perform(.localAddress(handle)).bytes.flatMap(SocketAddress.init(sockaddr:)) }
    }

    /// `TCPStream(10.0.0.1:80)`.
    public var description: String { "TCPStream(\(peer))" }

    // MARK: Reading

    /// The most that one ``read(upTo:)`` returns.
    public static let maximumRead = 65_536

    /// Reads what is there, at least one byte and at most the limit; nil at the end of the peer's data.
    ///
    /// Suspends until something is there, and holds no memory meanwhile. A cancelled task gets `CancellationError`, and
    /// no byte is lost: the next read has it. Throws ``IOError``: `ECONNRESET` if the peer broke off, `ECANCELED` if
    /// the connection is closed meanwhile, `EBUSY` if another task reads.
    public func read(upTo limit: Int = maximumRead) async throws -> [UInt8]? {
        guard limit > 0 else { throw Self.empty(limit, peer) }
        let outcome = unsafe await perform(.receiveBytes(handle, limit: limit, inTwoSteps: loop.isCurrent))
        if outcome.result < 0 { try loop.check(outcome, "read", "\(peer)") }
        return outcome.result == 0 ? nil : outcome.bytes
    }

    /// Reads what is there into the free part of a buffer; returns the number of bytes, 0 at the end of the peer's
    /// data.
    ///
    /// As ``read(upTo:)``, without an allocation. Throws ``IOError`` with `EINVAL` if the buffer is full.
    public func read(into buffer: inout IOBuffer) async throws -> Int {
        guard buffer.freeCapacity > 0 else { throw Self.empty(0, peer) }
        let outcome = unsafe await perform(.receive(handle, into: buffer.freeSpace))
        if outcome.result < 0 { try loop.check(outcome, "read", "\(peer)") }
        buffer.advance(by: outcome.result)
        return outcome.result
    }

    /// An operation that ends at once costs no asynchronous call.
    @inline(__always)
    private func perform(_ operation: Operation) async -> Outcome {
        let begun = loop.begin(operation)
        if case .ended(let outcome) = begun { return outcome }
        return await loop.finish(operation, begun)
    }

    private static func empty(_ limit: Int, _ peer: SocketAddress) -> IOError {
        IOError(
            .invalidArgument, operation: "read", subject: "\(peer)",
            detail: "room for \(limit) bytes; a read needs room for at least one")
    }

    // MARK: Writing

    /// Writes all of the bytes, and suspends while the peer does not take them: backpressure.
    ///
    /// Returns when the kernel has everything. A task that is cancelled meanwhile gets `CancellationError`; part of the
    /// bytes may have been sent then, so that the connection is only good for closing. Throws ``IOError``: `EPIPE` or
    /// `ECONNRESET` if the peer has gone, `ECANCELED` if the connection is closed meanwhile, `EBUSY` if another task
    /// writes. Nothing to write is no operation.
    public func write(_ bytes: [UInt8]) async throws {
        if bytes.isEmpty { return }
        let begun = unsafe bytes.withUnsafeBytes { unsafe loop.begin(.send(handle, $0)) }
        // The usual case: the kernel takes everything at once.
        if case .ended(let outcome) = begun, outcome.result >= 0 { return }
        unsafe try await finishWriting(bytes.span.bytes, begun)
    }

    /// Writes all of the bytes, in place. As ``write(_:)-([UInt8])``.
    public func write(_ bytes: RawSpan) async throws {
        if bytes.isEmpty { return }
        let begun = unsafe bytes.withUnsafeBytes { unsafe loop.begin(.send(handle, $0)) }
        if case .ended(let outcome) = begun, outcome.result >= 0 { return }
        try await finishWriting(bytes, begun)
    }

    private func finishWriting(_ bytes: RawSpan, _ begun: EventLoop.Begun) async throws {
        // The span is borrowed until this function returns, so its memory outlives the operation.
        let memory = unsafe bytes.withUnsafeBytes { unsafe $0 }
        let outcome = unsafe await loop.finish(.send(handle, memory), begun)
        if outcome.result < 0 { try loop.check(outcome, "write", "\(peer)") }
        _ = bytes.byteCount
    }

    /// Writes a text as UTF-8. As ``write(_:)-([UInt8])``.
    public func write(_ text: String) async throws {
        try await write(Array(text.utf8))
    }

    /// Tells the peer that nothing more will come (half-close). Reading goes on. Calling it again does nothing.
    ///
    /// Does not wait. Throws ``IOError`` with `EBUSY` while a write is under way.
    public func closeWriting() async throws {
        try await loop.check(loop.perform(.finishSending(handle)), "close writing", "\(peer)")
    }

    /// Closes the connection. The kernel still delivers what has been written, unless received bytes have not been
    /// read: then it breaks the connection off (RFC 1122, 4.2.2.13). Calling it again does nothing.
    ///
    /// Does not wait. Operations that are under way end with ``IOError`` `ECANCELED`.
    public func close() {
        loop.performSoon(closing: handle)
    }
}
