#if Services
public import AsyncIO
import AsyncIOLoop
public import ServiceLifecycle

/// A server as a service of swift-service-lifecycle: it serves until its group shuts down gracefully, then accepts no
/// more, and lets the connections end.
///
/// ```swift
/// let listener = try await TCPListener.bind("127.0.0.1", 7000)
/// let chat = ServerService(StreamServer([listener]), drain: .seconds(10)) { stream in … }
/// let group = ServiceGroup(services: [chat, LoopMetrics(of: loop)], logger: logger)
/// try await group.run(endingAt: .terminate, .interrupt)
/// ```
public struct ServerService: Service, CustomStringConvertible {
    private let name: String
    private let serve: @Sendable () async throws -> Void
    private let shutdown: @Sendable () -> Void

    /// A server of streams. `drain` is how long connections may go on after the shutdown has begun; then they are
    /// cancelled.
    public init<Connection: ByteStream>(
        _ server: StreamServer<Connection>, limit: Int? = nil, drain: Duration = .seconds(10),
        _ handler: @escaping @Sendable (Connection) async throws -> Void
    ) {
        self.init(
            "\(server)", serve: { try await server.serve(limit: limit, handler) },
            shutdown: { server.shutdown(drain: drain) })
    }

    /// Anything that serves until it is told to shut down. `shutdown` must not block.
    public init(
        _ name: String, serve: @escaping @Sendable () async throws -> Void, shutdown: @escaping @Sendable () -> Void
    ) {
        self.name = name
        self.serve = serve
        self.shutdown = shutdown
    }

    /// Serves. Returns when the server has shut down; throws what serving throws.
    public func run() async throws {
        try await withGracefulShutdownHandler {
            try await serve()
        } onGracefulShutdown: {
            shutdown()
        }
    }

    /// The server's own.
    public var description: String { name }
}

extension ServiceGroup {
    /// Runs the group until its services end, or one of the signals comes: then they shut down gracefully.
    ///
    /// Instead of the group's own `gracefulShutdownSignals`, which wait on Dispatch's threads and take the signals away
    /// from the loop. Throws what ``run()`` throws.
    public func run(endingAt signals: Signal..., on loop: EventLoop? = nil) async throws {
        let signals = try Signals(signals, on: loop)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for try await _ in signals { await self.triggerGracefulShutdown() }
            }
            defer { group.cancelAll() }
            try await self.run()
        }
    }
}
#endif
