public import AsyncIOKernel
public import AsyncIOLoop

/// Callbacks about one datagram socket: asyncio's `DatagramProtocol`.
///
/// ```swift
/// actor TimeServer: DatagramProtocol {
///     nonisolated let loop: EventLoop
///     private var transport: DatagramTransport?
///
///     init(loop: EventLoop) { self.loop = loop }
///
///     func connectionMade(_ transport: DatagramTransport) { self.transport = transport }
///
///     func datagramReceived(_ bytes: [UInt8], from peer: SocketAddress) {
///         transport?.send("\(loop.now)", to: peer)
///     }
/// }
///
/// try await loop.createDatagramEndpoint(local: .loopback(port: 3700)) { TimeServer(loop: $0) }
/// ```
///
/// All callbacks come on the loop's thread: ``connectionMade(_:)-(DatagramTransport)`` first,
/// ``connectionLost(_:)`` exactly once and last, and never from inside another callback. ``pauseWriting()`` and
/// ``resumeWriting()`` alternate, and come from inside the send that crosses a mark.
///
/// What `connectionMade` throws ends the transport. What another callback throws goes to the loop's error handler, and
/// the transport goes on: whoever can send a datagram could end the service otherwise.
public protocol DatagramProtocol: LoopActor {
    /// The socket is there. The transport is the way to send, now or later; a protocol usually keeps it.
    func connectionMade(_ transport: DatagramTransport) throws

    /// One whole datagram has come. It may be empty.
    func datagramReceived(_ bytes: [UInt8], from peer: SocketAddress) throws

    /// Something could not be sent, or the network reports (ICMP) that something sent before has not arrived, or a Unix
    /// datagram came that was too long and has been dropped (`EMSGSIZE`, over 256 KiB). The transport goes on.
    func errorReceived(_ error: IOError) throws

    /// The socket is gone, and this protocol gets no further call.
    ///
    /// The error is nil if our side closed or aborted; an ``IOError`` if the socket failed; what `connectionMade` has
    /// thrown; `CancellationError` if the loop ended before all had been sent.
    func connectionLost(_ error: (any Error)?) throws

    /// More than the high-water mark is buffered: the network is slower than the program. Time to stop sending.
    func pauseWriting() throws

    /// What is buffered has fallen to the low-water mark: sending may go on.
    func resumeWriting() throws
}

extension DatagramProtocol {
    /// Does nothing.
    public func connectionMade(_ transport: DatagramTransport) throws {}

    /// Drops the datagram.
    public func datagramReceived(_ bytes: [UInt8], from peer: SocketAddress) throws {}

    /// Does nothing: datagrams may get lost.
    public func errorReceived(_ error: IOError) throws {}

    /// Does nothing.
    public func connectionLost(_ error: (any Error)?) throws {}

    /// Does nothing: the transport's buffer grows to its hard limit.
    public func pauseWriting() throws {}

    /// Does nothing.
    public func resumeWriting() throws {}
}
