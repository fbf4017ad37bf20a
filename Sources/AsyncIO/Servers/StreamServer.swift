public import AsyncIOKernel
public import AsyncIOLoop

/// Serves one handler on several listeners together: on several addresses, on several loops, or both.
///
/// ```swift
/// let server = try await TCPServer.bind("localhost", 7000)      // 127.0.0.1 and ::1
/// try await server.serve { connection in … }
/// ```
///
/// Over the loops of a group, ``LoopGroup/bind(_:_:spread:options:)`` makes one. It listens from the moment it is made.
/// Every method may be called from any thread.
public final class StreamServer<Connection: ByteStream>: Sendable, CustomStringConvertible {
    /// Those that accept, and those that get their connections from them.
    let parts: [ServerCore]
    let connection: @Sendable (StreamCore) -> Connection

    init(parts: [ServerCore], _ connection: @escaping @Sendable (StreamCore) -> Connection) {
        self.parts = parts
        self.connection = connection
    }

    /// Serves several listeners together, with one limit, one shutdown, and one end: when one fails, all end.
    public convenience init(_ listeners: StreamListener<Connection>...) { self.init(listeners) }

    /// Serves several listeners together. Without any, there is nothing to serve, and serving returns at once.
    public convenience init(_ listeners: [StreamListener<Connection>]) {
        self.init(parts: listeners.map(\.core)) { core in
            // Nothing is served where nothing listens.
            guard let first = listeners.first else { preconditionFailure("a connection without a listener") }
            return first.server.connection(core)
        }
    }

    /// Where it listens, each address once.
    public var addresses: [SocketAddress] {
        var found: [SocketAddress] = []
        for part in parts where !found.contains(part.address) { found.append(part.address) }
        return found
    }

    /// What all its listeners have counted.
    public var statistics: ServerStatistics {
        parts.reduce(ServerStatistics()) { $0 + $1.counts.statistics }
    }

    /// What each of its loops has counted, in the order of the loops.
    public var statisticsByLoop: [(loop: EventLoop, statistics: ServerStatistics)] {
        var found: [(loop: EventLoop, statistics: ServerStatistics)] = []
        for part in parts {
            if let index = found.firstIndex(where: { $0.loop === part.loop }) {
                found[index].statistics = found[index].statistics + part.counts.statistics
            } else {
                found.append((part.loop, part.counts.statistics))
            }
        }
        return found
    }

    /// `StreamServer(127.0.0.1:7000, [::1]:7000)`.
    public var description: String { "StreamServer(\(addresses.map(\.description).joined(separator: ", ")))" }

    /// Stops listening everywhere. Connections go on.
    public func close() { for part in parts { part.close() } }

    // MARK: Serving

    /// Serves all listeners until the server is shut down, cancelled, or one of them fails, which ends all.
    ///
    /// A failure is a shutdown with the drain time given here, begun at once; but the connections of a listener that
    /// serves alone go on until they end by themselves.
    ///
    /// See ``StreamListener/serve(limit:drain:_:)-((Connection)->Void)``. The limit is one for all of them; since each
    /// loop looks by itself whether there is room, it may be exceeded by as many connections as there are other
    /// listeners. Handlers run on the loop whose listener got the connection.
    public func serve(
        limit: Int? = nil, drain: Duration = .zero,
        _ handler: @escaping @Sendable (Connection) async throws -> Void
    ) async throws {
        let connection = served
        try await serve(limit, drain) { core, _, _ in try await handler(connection(core)) }
    }

    /// Serves with handlers that are told more of their connections. As
    /// ``serve(limit:drain:_:)-((Connection)->Void)``.
    public func serve(
        limit: Int? = nil, drain: Duration = .zero,
        _ handler: @escaping @Sendable (Connection, ConnectionContext) async throws -> Void
    ) async throws {
        let connection = served
        try await serve(limit, drain) { core, number, part in
            let local = await core.local
            let name = part.name(of: core, number)
            let context = ConnectionContext(id: number, peer: core.peer, local: local, name: name)
            try await handler(connection(core), context)
        }
    }

    /// Makes connections that the server closes itself, when their handlers have returned.
    private var served: @Sendable (StreamCore) -> Connection {
        let connection = connection
        return { core in
            let made = connection(core)
            OpenResources.closed(core.key)
            return made
        }
    }

    private func serve(_ limit: Int?, _ drain: Duration, _ handler: @escaping ServePlan.Handler) async throws {
        let limit = limit.map(ConnectionLimit.init)
        try claim(limit)
        let others = others
        // A part that fails ends with its last connection: the other parts must not wait for that.
        let failed: @Sendable () -> Void = { if self.parts.count > 1 { self.shutdown(drain: drain) } }
        try await withTaskCancellationHandler {
            try await withThrowingTaskGroup { group in
                for part in parts {
                    let turns = others.isEmpty ? [] : [part] + others
                    let plan = ServePlan(limit: limit, drain: drain, turns: turns, failed: failed, handler: handler)
                    group.addTask(name: "server \(part.address)") { try await part.serve(plan) }
                }
                do {
                    // Not `waitForAll`, which would let the others go on.
                    for try await _ in group {}
                } catch {
                    shutdown(drain: drain)
                    throw error
                }
            }
        } onCancel: {
            shutdown(drain: drain)
        }
    }

    /// All of its parts, or none.
    private func claim(_ limit: ConnectionLimit?) throws {
        for (index, part) in parts.enumerated() {
            do {
                try part.claim(limit: limit)
            } catch {
                for claimed in parts[..<index] { claimed.unclaim() }
                throw error
            }
        }
    }

    /// Those that get their connections from another loop.
    private var others: [ServerCore] {
        parts.filter { if case .otherLoop = $0.source { true } else { false } }
    }

    // MARK: Ending

    /// Ends serving in good order, everywhere. See ``StreamListener/shutdown(drain:)``.
    public func shutdown(drain: Duration = .zero) { beginShutdown(drain, nil) }

    /// Ends serving in four phases, everywhere at the same time, and returns when all is done. See
    /// ``StreamListener/shutdown(drain:grace:)``.
    @discardableResult
    public func shutdown(drain: Duration = .zero, grace: Duration) async throws -> ShutdownReport {
        beginShutdown(drain, grace)
        try await withTaskCancellationHandler {
            for part in parts { try await part.waitForEnd() }
        } onCancel: {
            beginShutdown(.zero, nil)
        }
        return parts.count == 1 ? parts[0].report : ShutdownReport(parts.map(\.report))
    }

    func beginShutdown(_ drain: Duration, _ grace: Duration?) {
        for part in parts { part.beginShutdown(drain: drain, grace: grace) }
        let others = others
        guard let acceptor = parts.first, !others.isEmpty else { return }
        // Behind everything that the accepting loop has handed over.
        let stopping = acceptor.loop.callSoon { for other in others { other.stop(drains: false) } }
        if stopping.isCancelled { for other in others { other.stop(drains: false) } }
    }
}
