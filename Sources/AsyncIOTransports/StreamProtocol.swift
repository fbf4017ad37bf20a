public import AsyncIOLoop

/// Callbacks about one connection: what asyncio calls a `Protocol`.
///
/// A transport owns the connection and calls; the protocol answers. It is an actor that lives on the loop, so that its
/// state needs no lock, the compiler checks that nothing else touches it, and a callback is a plain synchronous method:
///
/// ```swift
/// actor Echo: StreamProtocol {
///     nonisolated let loop: EventLoop
///     private var transport: Transport?
///
///     init(loop: EventLoop) { self.loop = loop }
///
///     func connectionMade(_ transport: Transport) { self.transport = transport }
///     func dataReceived(_ bytes: [UInt8]) { transport?.write(bytes) }
/// }
///
/// let server = try await loop.createServer("127.0.0.1", 7000) { Echo(loop: $0) }
/// try await server.serveForever()
/// ```
///
/// ## What is called when
///
/// All on the loop's thread, one callback at a time:
///
/// 1. ``connectionMade(_:)-(Transport)`` once, first.
/// 2. ``dataReceived(_:)`` as often as something comes, in order; never while reading is paused.
/// 3. ``eofReceived()`` at most once, after the last byte, if the peer says that it will send no more.
/// 4. ``connectionLost(_:)`` exactly once, last; never from inside another callback.
///
/// From the first to the last, ``pauseWriting()`` and ``resumeWriting()`` alternate as the transport's buffer crosses
/// its marks. These two are called in the middle of the ``Transport/write(_:)-([UInt8])`` or
/// ``Transport/setWriteBufferLimits(high:low:hard:)`` that crosses a mark, so that a producer which looks at a flag
/// after each write knows when to stop.
///
/// An error that a callback throws ends its own connection, and no other: it goes to the loop's error handler, and
/// `connectionLost` gets it.
///
/// ## Porting from asyncio
///
/// New code is shorter and safer with `TCPListener`, `TCPStream` and `await`; this is for code that exists and thinks
/// in callbacks.
///
/// | asyncio | here |
/// |---|---|
/// | `class Echo(asyncio.Protocol)` | `actor Echo: StreamProtocol`, with the two lines for `loop` |
/// | `connection_made`, `data_received`, `eof_received`, `connection_lost` | the same in camel case |
/// | returning a true value from `eof_received` | returning true |
/// | `pause_writing`, `resume_writing` | ``pauseWriting()``, ``resumeWriting()`` |
/// | `loop.create_server(Echo, host, port)` | `loop.createServer(host, port) { Echo(loop: $0) }` |
/// | `loop.create_connection(Echo, host, port)` | `loop.createConnection(host, port) { Echo(loop: $0) }` |
/// | `create_connection(sock=…)`, `connect_read_pipe`, … | `loop.attach(stream, to: protocol)` |
/// | `create_unix_server`, `create_unix_connection` | `createUnixServer(path)`, `createUnixConnection(path)` |
/// | `create_datagram_endpoint` | `createDatagramEndpoint`, with a ``DatagramProtocol`` |
/// | `transport.writelines` | ``Transport/write(contentsOf:)`` |
/// | `transport.set_protocol`, `get_protocol` | ``Transport/setProtocol(_:)``, ``Transport/currentProtocol`` |
/// | `get_extra_info` | ``Transport/peer``, ``Transport/local``, ``Transport/stream`` |
/// | `asyncio.create_task(self.work())` in a callback | `loop.spawn { await self.work() }` |
/// | `loop.call_later(5, self.timed_out)` | `loop.callLater(.seconds(5)) { self.assumeIsolated { $0.timedOut() } }` |
/// | an attribute of another object on the loop | `other.assumeIsolated { $0.attribute }`, checked when it runs |
///
/// Three things are otherwise than there. What a transport buffers has an end (``WriteBufferLimits/hard``). A write
/// after `close()` is dropped at once, and said to the error handler, also while older bytes are still being sent. And
/// what is told to a protocol that takes over in the middle (``Transport/setProtocol(_:)``) begins with `pauseWriting`
/// if writing is paused, so that the two alternate for each protocol.
public protocol StreamProtocol: LoopActor {
    /// The connection is there. The transport is the way to answer, now or later; a protocol usually keeps it.
    func connectionMade(_ transport: Transport) throws

    /// Some bytes have come, at least one. How they are cut says nothing: TCP has no messages.
    func dataReceived(_ bytes: [UInt8]) throws

    /// The peer will send no more. True keeps the connection open for writing, until somebody closes it; false closes
    /// it, after what is buffered has been sent.
    func eofReceived() throws -> Bool

    /// The connection is gone, and this protocol gets no further call.
    ///
    /// The error is nil if our side closed or aborted, or if the peer finished in good order; an `IOError` if the
    /// connection broke; what a callback has thrown; `CancellationError` if the loop or the server ended before all
    /// that was written had been sent.
    func connectionLost(_ error: (any Error)?) throws

    /// More than the high-water mark is buffered: the peer takes less than it is given. Time to stop writing.
    func pauseWriting() throws

    /// What is buffered has fallen to the low-water mark: writing may go on.
    func resumeWriting() throws
}

extension StreamProtocol {
    /// Does nothing.
    public func connectionMade(_ transport: Transport) throws {}

    /// Drops the bytes.
    public func dataReceived(_ bytes: [UInt8]) throws {}

    /// Closes the connection.
    public func eofReceived() throws -> Bool { false }

    /// Does nothing.
    public func connectionLost(_ error: (any Error)?) throws {}

    /// Does nothing: the transport's buffer grows to its hard limit.
    public func pauseWriting() throws {}

    /// Does nothing.
    public func resumeWriting() throws {}
}
