public import AsyncIO
public import AsyncIOKernel
public import AsyncIOLoop
import SystemPackage

extension EventLoop {
    /// Makes a datagram socket, and has a new protocol called about it. asyncio's `create_datagram_endpoint`.
    ///
    /// With a remote address, it sends there and receives from there alone; with a local one, it receives there. With
    /// neither, it can send to any IPv4 address and gets the answers. Unix paths make a Unix datagram socket. Suspends
    /// until `connectionMade` has returned. Throws ``IOError``: `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`, and `EINVAL`
    /// if the factory's protocol lives on another loop.
    @discardableResult
    public func createDatagramEndpoint<Listener: DatagramProtocol>(
        local: SocketAddress? = nil, remote: SocketAddress? = nil, options: UDPOptions = UDPOptions(),
        limits: WriteBufferLimits = .standard, _ factory: @Sendable (EventLoop) throws -> Listener
    ) async throws -> (transport: DatagramTransport, protocol: Listener) {
        let socket = try await makeSocket(local, remote, options)
        do {
            let listener = try factory(self)
            return (try await attachSocket(socket, to: listener, limits), listener)
        } catch {
            socket.close()
            throw error
        }
    }

    /// Hands a UDP socket to a transport, which has the protocol called about it: for a socket that has joined groups,
    /// or will.
    ///
    /// The socket belongs to the transport from here on, also if this throws. Suspends until `connectionMade` has
    /// returned. Throws ``IOError`` with `EINVAL` for a protocol that lives on another loop, and
    /// ``EventLoopError/closed(_:)``.
    @discardableResult
    public func attach(
        _ socket: UDPSocket, to listener: any DatagramProtocol, limits: WriteBufferLimits = .standard
    ) async throws -> DatagramTransport {
        do {
            return try await attachSocket(socket, to: listener, limits)
        } catch {
            socket.close()
            throw error
        }
    }

    private func attachSocket(
        _ socket: any DatagramSocket, to listener: any DatagramProtocol, _ limits: WriteBufferLimits
    ) async throws -> DatagramTransport {
        try requireHome(of: listener, self, "attach")
        guard !isClosed else { throw EventLoopError.closed(name) }
        let transport = DatagramTransport(socket, listener, limits: limits)
        try await transport.begin()
        return transport
    }

    private func makeSocket(
        _ local: SocketAddress?, _ remote: SocketAddress?, _ options: UDPOptions
    ) async throws -> any DatagramSocket {
        if (local ?? remote)?.family == .unix { return try await makeUnixSocket(local, remote) }
        if let remote { return try await UDPSocket.connect(to: remote, from: local, options: options, on: self) }
        return try await UDPSocket.bind(to: local ?? .any(port: 0), options: options, on: self)
    }

    private func makeUnixSocket(_ local: SocketAddress?, _ remote: SocketAddress?) async throws -> any DatagramSocket {
        guard let local else { return try await UnixDatagramSocket.connect(to: remote ?? .unnamedUnix, on: self) }
        let socket = try await UnixDatagramSocket.bind(to: local, on: self)
        if let remote { try await socket.connect(to: remote) }
        return socket
    }
}

/// What a ``DatagramTransport`` stands on.
protocol DatagramSocket: AnyObject, Sendable {
    var loop: EventLoop { get }
    var local: SocketAddress { get }
    var peer: SocketAddress? { get }
    /// How long a datagram the transport makes room for.
    var roomForOne: Int { get }
    func receiveBatch(upTo count: Int, limit: Int) async throws -> [Datagram]
    func trySend(_ bytes: RawSpan, to peer: SocketAddress?) throws -> Bool
    func send(_ bytes: RawSpan, to peer: SocketAddress) async throws
    func send(_ bytes: RawSpan) async throws
    func close()
}

extension UDPSocket: DatagramSocket {
    var roomForOne: Int { Self.maximumLength }
}

extension UnixDatagramSocket: DatagramSocket {
    /// More than a sender can send who has not made his buffer larger: that has 208 KiB (socket(7), wmem_default).
    var roomForOne: Int { 262_144 }
}

extension Errno {
    /// Whether a receive that reports this says something of the network or of an earlier datagram (ip(7), icmp(7)),
    /// and the next one may go well.
    var isNews: Bool {
        switch self {
        case .connectionRefused, .connectionReset, .noRouteToHost, .networkUnreachable, .networkDown, .hostIsDown,
            .protocolError, .protocolNotAvailable, .messageTooLong, .permissionDenied, .notPermitted, .timedOut:
            true
        default: false
        }
    }
}
