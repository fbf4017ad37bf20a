public import AsyncIO
public import AsyncIOKernel
public import AsyncIOLoop

extension EventLoop {
    /// Listens on a host and port, and has a new protocol called about each connection. asyncio's `create_server`.
    ///
    /// Port 0 lets the kernel choose one: ``TransportServer/address``. The factory runs for each connection; what it
    /// throws ends that connection, and goes to the loop's error handler. Suspends only to look up a name. Throws what
    /// `TCPListener.bind(_:_:options:on:)` throws.
    public func createServer(
        _ host: String, _ port: UInt16, options: TCPOptions = TCPOptions(), limits: WriteBufferLimits = .standard,
        start: TransportServer.Start = .now,
        _ factory: @escaping @Sendable (EventLoop) throws -> any StreamProtocol
    ) async throws -> TransportServer {
        let listener = try await TCPListener.bind(host, port, options: options, on: self)
        return serve(listener, limits, start, factory)
    }

    /// Listens on an address. As ``createServer(_:_:options:limits:start:_:)``.
    public func createServer(
        at address: SocketAddress, options: TCPOptions = TCPOptions(), limits: WriteBufferLimits = .standard,
        start: TransportServer.Start = .now,
        _ factory: @escaping @Sendable (EventLoop) throws -> any StreamProtocol
    ) async throws -> TransportServer {
        let listener = try await TCPListener.bind(to: address, options: options, on: self)
        return serve(listener, limits, start, factory)
    }

    private func serve(
        _ listener: any TransportListener, _ limits: WriteBufferLimits, _ start: TransportServer.Start,
        _ factory: @escaping @Sendable (EventLoop) throws -> any StreamProtocol
    ) -> TransportServer {
        let server = TransportServer(listener, limits: limits, factory)
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
    func accept(_ handler: @escaping @Sendable (any ByteStream) async throws -> Void) async throws
    /// Accepts no more, and leaves those alone who are there.
    func stop()
}

extension TCPListener: TransportListener {
    func accept(_ handler: @escaping @Sendable (any ByteStream) async throws -> Void) async throws {
        try await serve { try await handler($0) }
    }

    func stop() { shutdown(drain: .seconds(Int64.max)) }
}
