public import AsyncIOKernel
import AsyncIOLoop

extension LoopGroup {
    /// How connections get to the loops.
    public enum Spread: Sendable {
        /// Each loop listens on a socket of its own, and the kernel chooses by a hash of both addresses (SO_REUSEPORT
        /// of socket(7)). Accepting is spread, too. With few connections, or few clients behind one address, some loops
        /// may get many and others none.
        case reusePort
        /// The first loop accepts, and hands the connections to all in turn: each loop gets as many as the others. That
        /// costs an entry in the other loop's inbox for a connection, and at most one wake-up for a batch of them.
        case handOver
    }

    /// Listens on a host and port with all loops, and serves until the group is shut down, the task cancelled, or a
    /// listener fails.
    ///
    /// Handlers run on the loop that got the connection: `connection.loop`. `onReady` is called when all listen, with
    /// the server, whose address has the port that the kernel chose. Everything else is as with
    /// ``StreamServer/serve(limit:drain:_:)-((Connection)->Void)``, and the errors those of
    /// ``bind(_:_:spread:options:)``.
    public func serve(
        _ host: String, _ port: UInt16, spread: Spread = .reusePort, options: TCPOptions = TCPOptions(),
        limit: Int? = nil, drain: Duration = .zero, onReady: @Sendable (TCPServer) -> Void = { _ in },
        _ handler: @escaping @Sendable (TCPStream) async throws -> Void
    ) async throws {
        let server = try await bind(host, port, spread: spread, options: options)
        onReady(server)
        try await server.serve(limit: limit, drain: drain, handler)
    }

    /// Listens on all addresses of a host with all loops. See ``StreamServer/bind(_:_:options:on:)``.
    ///
    /// A port that another program has is in use, even if that one would share it; to share it, as a reload without a
    /// pause needs, say so in the options: ``TCPOptions/reusePort``.
    public func bind(
        _ host: String, _ port: UInt16, spread: Spread = .reusePort, options: TCPOptions = TCPOptions()
    ) async throws -> TCPServer {
        try await bind(to: lookUp(host, port), spread: spread, options: options)
    }

    /// Listens on several addresses with all loops. As ``bind(_:_:spread:options:)``.
    public func bind(
        to addresses: [SocketAddress], spread: Spread = .reusePort, options: TCPOptions = TCPOptions()
    ) async throws -> TCPServer {
        var parts: [ServerCore]
        switch spread {
        case .reusePort:
            parts = try await ServerCore.bind(to: addresses, options, sharing: .afterwards, on: loops[0])
            var shared = options
            shared.reusePort = true
            let taken = parts.map(\.address)
            for loop in loops.dropFirst() {
                do {
                    parts += try await ServerCore.bind(to: taken, shared, on: loop)
                } catch {
                    for part in parts { part.close() }
                    throw error
                }
            }
        case .handOver:
            parts = try await ServerCore.bind(to: addresses, options, on: loops[0])
            let address = parts[0].address
            parts += loops.dropFirst().map { ServerCore(loop: $0, source: .otherLoop, address: address) }
        }
        let server = TCPServer(parts: parts) { TCPStream($0) }
        register(server)
        return server
    }
}
