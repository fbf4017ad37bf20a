public import AsyncIO
public import AsyncIOKernel
public import AsyncIOLoop
import SystemPackage

extension EventLoop {
    /// Connects to a host and port, and has a new protocol called about the connection. asyncio's `create_connection`.
    ///
    /// Suspends until the connection is there and `connectionMade` has returned. Throws what
    /// `TCPStream.connect(_:_:options:on:)` throws, and then has called nothing; ``IOError`` with `EINVAL` if the
    /// factory's protocol lives on another loop. What `connectionMade` throws goes to the error handler, and to
    /// `connectionLost`.
    public func createConnection<Listener: StreamProtocol>(
        _ host: String, _ port: UInt16, options: TCPOptions = TCPOptions(), limits: WriteBufferLimits = .standard,
        _ factory: @Sendable (EventLoop) throws -> Listener
    ) async throws -> (transport: Transport, protocol: Listener) {
        let stream = try await TCPStream.connect(host, port, options: options, on: self)
        return try await attach(stream, limits: limits, factory)
    }

    /// Connects to an address. As ``createConnection(_:_:options:limits:_:)``.
    public func createConnection<Listener: StreamProtocol>(
        to address: SocketAddress, options: TCPOptions = TCPOptions(), limits: WriteBufferLimits = .standard,
        _ factory: @Sendable (EventLoop) throws -> Listener
    ) async throws -> (transport: Transport, protocol: Listener) {
        let stream = try await TCPStream.connect(to: address, options: options, on: self)
        return try await attach(stream, limits: limits, factory)
    }

    /// Connects to the Unix socket at a path. As ``createConnection(_:_:options:limits:_:)``, with the errors of
    /// `UnixStream.connect(_:on:)`.
    public func createUnixConnection<Listener: StreamProtocol>(
        _ path: String, limits: WriteBufferLimits = .standard,
        _ factory: @Sendable (EventLoop) throws -> Listener
    ) async throws -> (transport: Transport, protocol: Listener) {
        let stream = try await UnixStream.connect(path, on: self)
        return try await attach(stream, limits: limits, factory)
    }

    /// Hands a stream of whatever kind to a transport, which has the protocol called about it: an accepted connection,
    /// a pair's end, a pipe.
    ///
    /// The stream belongs to the transport from here on, also if this throws. Suspends until `connectionMade` has
    /// returned. For a pipe that can only be written, call ``Transport/pauseReading()`` in `connectionMade`. Throws
    /// ``IOError`` with `EINVAL` for a protocol that lives on another loop, and ``EventLoopError/closed(_:)``.
    @discardableResult
    public func attach(
        _ stream: some ByteStream, to listener: any StreamProtocol, limits: WriteBufferLimits = .standard
    ) async throws -> Transport {
        let transport: Transport
        do {
            transport = try await makeTransport(stream, listener, limits)
        } catch {
            stream.close()
            throw error
        }
        try await transport.begin()
        return transport
    }

    private func attach<Listener: StreamProtocol>(
        _ stream: some ByteStream, limits: WriteBufferLimits, _ factory: @Sendable (EventLoop) throws -> Listener
    ) async throws -> (transport: Transport, protocol: Listener) {
        let listener: Listener
        do {
            listener = try factory(self)
        } catch {
            stream.close()
            throw error
        }
        return (try await attach(stream, to: listener, limits: limits), listener)
    }

    /// A transport whose protocol has not been called yet.
    func makeTransport(
        _ stream: some ByteStream, _ listener: any StreamProtocol, _ limits: WriteBufferLimits
    ) async throws -> Transport {
        try requireHome(of: listener, self, "attach")
        guard !isClosed else { throw EventLoopError.closed(name) }
        let addressed = stream as? any AddressedStream
        return Transport(stream, listener, limits: limits, peer: addressed?.peer, local: await addressed?.local)
    }
}

/// Streams that have addresses at their ends.
protocol AddressedStream: ByteStream {
    var peer: SocketAddress { get }
    var local: SocketAddress? { get async }
}

extension TCPStream: AddressedStream {}

extension UnixStream: AddressedStream {}

/// A protocol's callbacks are called on its transport's loop, and are checked for it.
func requireHome(of listener: any LoopActor, _ loop: EventLoop, _ operation: String) throws(IOError) {
    guard listener.loop !== loop else { return }
    throw IOError(
        .invalidArgument, operation: operation, subject: "\(type(of: listener))",
        detail: "it lives on \(listener.loop), its transport on \(loop); make it with the loop that the factory gets")
}
