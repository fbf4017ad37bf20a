public import AsyncIO
public import AsyncIOKernel
public import AsyncIOLoop

extension EventLoop {
    /// Listens on a host and port, and has a new protocol called about each connection. asyncio's `create_server`.
    ///
    /// Port 0 lets the kernel choose one: ``TransportServer/address``. With a connection limit, those who come when it
    /// is reached wait in the kernel's queue. The factory runs for each connection; what it throws ends that
    /// connection, and goes to the loop's error handler. Suspends only to look up a name. Throws what
    /// `TCPListener.bind(_:_:options:on:)` throws.
    public func createServer(
        _ host: String, _ port: UInt16, options: TCPOptions = TCPOptions(), limits: WriteBufferLimits = .standard,
        connectionLimit: Int? = nil, start: TransportServer.Start = .now,
        _ factory: @escaping @Sendable (EventLoop) throws -> any StreamProtocol
    ) async throws -> TransportServer {
        let listener = try await TCPListener.bind(host, port, options: options, on: self)
        return serve(listener, limits, connectionLimit, start, factory)
    }

    /// Listens on an address. As ``createServer(_:_:options:limits:connectionLimit:start:_:)``.
    public func createServer(
        at address: SocketAddress, options: TCPOptions = TCPOptions(), limits: WriteBufferLimits = .standard,
        connectionLimit: Int? = nil, start: TransportServer.Start = .now,
        _ factory: @escaping @Sendable (EventLoop) throws -> any StreamProtocol
    ) async throws -> TransportServer {
        let listener = try await TCPListener.bind(to: address, options: options, on: self)
        return serve(listener, limits, connectionLimit, start, factory)
    }

    /// Listens at a path, with a Unix socket. asyncio's `create_unix_server`.
    ///
    /// The file is removed when the server closes. As
    /// ``createServer(_:_:options:limits:connectionLimit:start:_:)``, with the errors of
    /// `UnixListener.bind(_:options:on:)`.
    public func createUnixServer(
        _ path: String, options: UnixOptions = UnixOptions(), limits: WriteBufferLimits = .standard,
        connectionLimit: Int? = nil, start: TransportServer.Start = .now,
        _ factory: @escaping @Sendable (EventLoop) throws -> any StreamProtocol
    ) async throws -> TransportServer {
        let listener = try await UnixListener.bind(path, options: options, on: self)
        return serve(listener, limits, connectionLimit, start, factory)
    }

    private func serve(
        _ listener: any TransportListener, _ limits: WriteBufferLimits, _ connectionLimit: Int?,
        _ start: TransportServer.Start, _ factory: @escaping @Sendable (EventLoop) throws -> any StreamProtocol
    ) -> TransportServer {
        let server = TransportServer(listener, limits: limits, connectionLimit: connectionLimit, factory)
        if start == .now { server.startServing() }
        return server
    }
}

/// What accepts connections for a ``TransportServer``.
protocol TransportListener: AnyObject, Sendable {
    var loop: EventLoop { get }
    var address: SocketAddress { get }
    /// Accepts connections, each for a child task, until ``stop()``, and returns when the last has ended. A cancelled
    /// task cancels its children. Once.
    func accept(limit: Int?, _ handler: @escaping @Sendable (any ByteStream) async throws -> Void) async throws
    /// Accepts no more, and leaves those alone who are there.
    func stop()
}

extension StreamListener: TransportListener {
    func accept(limit: Int?, _ handler: @escaping @Sendable (any ByteStream) async throws -> Void) async throws {
        try await serve(limit: limit) { (connection: Connection) in try await handler(connection) }
    }

    func stop() { shutdown(drain: .seconds(Int64.max)) }
}
