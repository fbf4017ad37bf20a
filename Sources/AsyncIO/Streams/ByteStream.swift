public import AsyncIOKernel

/// Bytes in order, both ways, with backpressure: what TCP connections, Unix sockets, pipes, in-memory pairs and TLS
/// have in common.
///
/// One task may read while another one writes. A second reader or a second writer at the same time gets an
/// ``IOError`` with `EBUSY` that names the first; nothing of its data is sent or taken. Every method may be called from
/// any thread.
///
/// The three ends of a stream:
/// - ``closeWriting()`` says to the peer that nothing more will come; reading goes on (half-close).
/// - ``close()`` gives the stream back. What was written is still delivered.
/// - ``abort()`` breaks it off: the peer gets an error, and what was not delivered is dropped.
///
/// Whoever conforms must pass the conformance suite that all streams of this package pass: `checkByteStream` of
/// AsyncIOTesting.
public protocol ByteStream: AnyObject, Sendable {
    /// Reads what is there, at least one byte and at most the limit; nil at the end of the peer's data, as often as
    /// asked.
    ///
    /// Suspends until something is there, and holds no memory meanwhile. A cancelled task gets `CancellationError`, and
    /// no byte is lost: the next read has it. Throws ``IOError``: `ECONNRESET` if the peer broke off, `ECANCELED` if
    /// the stream is closed meanwhile, `EBADF` if it was closed before, `EBUSY` if another task reads, `EINVAL` for a
    /// limit below one.
    func read(upTo limit: Int) async throws -> [UInt8]?

    /// Reads what is there into the free part of the span, and returns the number of bytes; 0 at the end of the peer's
    /// data.
    ///
    /// As ``read(upTo:)``, without an allocation. The span's memory belongs to the operation until this returns. Throws
    /// ``IOError`` with `EINVAL` if there is no free part.
    func read(into span: inout OutputRawSpan) async throws -> Int

    /// Reads what is there, and calls the body with the bytes, in place: at least one and at most the limit. Returns
    /// what the body returns; nil at the end of the peer's data, without calling it.
    ///
    /// As ``read(upTo:)``; where a stream can lend the bytes, without an allocation.
    func withReceivedBytes<Result>(
        upTo limit: Int, _ body: nonisolated(nonsending) (RawSpan) async throws -> Result
    ) async throws -> Result?

    /// Writes all of the bytes, in place, and suspends while the peer does not take them: backpressure.
    ///
    /// Returns when all bytes have been handed over: to the kernel, or to whatever stands in its place. A task that is
    /// cancelled meanwhile gets `CancellationError`; part of the bytes may have been sent then, so that the stream is
    /// only good for closing. Throws ``IOError``: `EPIPE` or `ECONNRESET` if the peer has gone or if our side was
    /// finished, `ECANCELED` if the stream is closed meanwhile, `EBADF` if it was closed before, `EBUSY` if another
    /// task writes. Nothing to write is no operation.
    func write(_ bytes: RawSpan) async throws

    /// Writes several chunks as one, in order, without copying them together. As ``write(_:)``.
    func write(contentsOf chunks: [[UInt8]]) async throws

    /// Writes as many of the bytes as are taken at once, and returns their number: 0 if none. Never waits.
    ///
    /// Must be called where the stream lives: on its loop's thread, if it has one; elsewhere nothing is taken. Throws
    /// ``IOError`` as ``write(_:)`` does, but for `EBUSY`: while another task writes, nothing is taken.
    func tryWrite(_ bytes: RawSpan) throws -> Int

    /// Tells the peer that nothing more will come (half-close). Reading goes on. Calling it again does nothing.
    ///
    /// Does not wait for the peer. Throws ``IOError`` with `EBUSY` while a write is under way.
    func closeWriting() async throws

    /// Closes the stream. What has been written is still delivered. Operations that are under way end with ``IOError``
    /// `ECANCELED`. Calling it again does nothing. Does not wait.
    func close()

    /// Breaks the stream off: nothing more is delivered, and the peer's next read or write fails with `ECONNRESET`,
    /// where the kind of stream can say so (a pipe can not: there it is ``close()``). Operations that are under way end
    /// with ``IOError`` `ECANCELED`. Does not wait.
    func abort()
}

extension ByteStream {
    /// Reads what is there into the free part of a buffer; returns the number of bytes, 0 at the end of the peer's
    /// data.
    ///
    /// As ``read(upTo:)``, without an allocation. Throws ``IOError`` with `EINVAL` if the buffer is full.
    public func read(into buffer: inout IOBuffer) async throws -> Int {
        // The buffer is borrowed until this function returns, so its memory outlives the operation.
        var free = unsafe OutputRawSpan(buffer: buffer.freeSpace, initializedCount: 0)
        let count = try await read(into: &free)
        buffer.advance(by: count)
        return count
    }

    /// Writes all of the bytes. As ``write(_:)-(RawSpan)``.
    public func write(_ bytes: [UInt8]) async throws {
        try unsafe await write(bytes.span.bytes)
    }

    /// Writes a text as UTF-8. As ``write(_:)-(RawSpan)``.
    public func write(_ text: String) async throws {
        try await write(Array(text.utf8))
    }

    /// Writes the chunks one after the other. As ``write(_:)-(RawSpan)``.
    public func write(contentsOf chunks: [[UInt8]]) async throws {
        for chunk in chunks { try await write(chunk) }
    }
}
