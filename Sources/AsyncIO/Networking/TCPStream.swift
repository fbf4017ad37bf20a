public import AsyncIOKernel
public import AsyncIOLoop

/// A TCP connection: bytes in order, both ways, with backpressure.
///
/// One task may read while another one writes; a second reader or writer at the same time gets an error. Every method
/// may be called from any thread; on the connection's loop it costs no hop. Letting go of the last reference closes the
/// connection.
public final class TCPStream: ByteStream, CustomStringConvertible {
    @usableFromInline let core: StreamCore

    init(_ core: StreamCore) {
        self.core = core
        OpenResources.opened(core.key)
    }

    deinit {
        core.letGo("TCPStream")
        core.close()
    }

    var handle: Handle { core.reader }

    /// The loop that does the connection's work.
    public var loop: EventLoop { core.loop }

    /// The address of the other side.
    public var peer: SocketAddress { core.peer }

    /// Our own address; nil once the connection is closed, and in a cancelled task.
    public var local: SocketAddress? {
        get async { await core.local }
    }

    /// `TCPStream(10.0.0.1:80)`.
    public var description: String { "TCPStream(\(peer))" }

    // MARK: Reading

    /// The most that one ``read(upTo:)`` returns.
    public static let maximumRead = StreamCore.maximumRead

    /// Reads what is there, at least one byte and at most the limit; nil at the end of the peer's data.
    ///
    /// Suspends until something is there, and holds no memory meanwhile. A cancelled task gets `CancellationError`, and
    /// no byte is lost: the next read has it. Throws ``IOError``: `ECONNRESET` if the peer broke off, `ECANCELED` if
    /// the connection is closed meanwhile, `EBUSY` if another task reads.
    @inlinable
    public func read(upTo limit: Int = maximumRead) async throws -> [UInt8]? {
        try await core.read(upTo: limit)
    }

    /// Reads what is there into the free part of the span; returns the number of bytes, 0 at the end of the peer's
    /// data.
    ///
    /// As ``read(upTo:)``, without an allocation. Throws ``IOError`` with `EINVAL` if there is no free part.
    public func read(into span: inout OutputRawSpan) async throws -> Int {
        try await core.read(into: &span)
    }

    /// Reads what is there, and calls the body with the bytes, in place: at least one and at most the limit. Returns
    /// what the body returns; nil at the end of the peer's data, without calling it. See
    /// ``ByteStream/withReceivedBytes(upTo:_:)``: on the connection's loop, usually no allocation.
    @inlinable
    public func withReceivedBytes<Result>(
        upTo limit: Int = maximumRead, _ body: nonisolated(nonsending) (RawSpan) async throws -> Result
    ) async throws -> Result? {
        guard let lent = try await core.lend(upTo: limit) else { return nil }
        defer { core.giveBack(lent) }
        return try unsafe await body(lent.bytes.bytes)
    }

    // MARK: Writing

    /// Writes all of the bytes, and suspends while the peer does not take them: backpressure.
    ///
    /// Returns when the kernel has everything. A task that is cancelled meanwhile gets `CancellationError`; part of the
    /// bytes may have been sent then, so that the connection is only good for closing. Throws ``IOError``: `EPIPE` or
    /// `ECONNRESET` if the peer has gone, `ECANCELED` if the connection is closed meanwhile, `EBUSY` if another task
    /// writes. Nothing to write is no operation.
    @inlinable
    public func write(_ bytes: [UInt8]) async throws {
        try await core.write(bytes)
    }

    /// Writes all of the bytes, in place. As ``write(_:)-([UInt8])``.
    @inlinable
    public func write(_ bytes: RawSpan) async throws {
        try await core.write(bytes)
    }

    /// Writes several chunks as one, in order, without copying them together. As ``write(_:)-([UInt8])``.
    public func write(contentsOf chunks: [[UInt8]]) async throws {
        try await core.write(contentsOf: chunks)
    }

    /// Writes as many of the bytes as the kernel takes at once, and returns their number. Never waits; elsewhere than
    /// on the connection's loop, and while another task writes, nothing is taken.
    public func tryWrite(_ bytes: RawSpan) throws -> Int {
        try core.tryWrite(bytes)
    }

    // MARK: Ending

    /// Tells the peer that nothing more will come (half-close). Reading goes on. Calling it again does nothing.
    ///
    /// Does not wait. Throws ``IOError`` with `EBUSY` while a write is under way.
    public func closeWriting() async throws {
        try await core.closeWriting()
    }

    /// Closes the connection. The kernel still delivers what has been written, unless received bytes have not been
    /// read: then it breaks the connection off (RFC 1122, 4.2.2.13). Calling it again does nothing.
    ///
    /// Does not wait. Operations that are under way end with ``IOError`` `ECANCELED`.
    public func close() {
        core.close()
    }

    /// Breaks the connection off: the peer's next read or write fails with `ECONNRESET`, and what was not delivered is
    /// dropped (a reset, by SO_LINGER of socket(7)). Does not wait.
    public func abort() {
        core.close(.abortive)
    }
}
