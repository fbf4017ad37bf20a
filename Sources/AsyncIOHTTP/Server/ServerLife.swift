#if HTTP
import AsyncIO
import AsyncIOLoop

/// Where a server serves, for whoever ends it. Copies of a server share it.
final class ServerLife: Sendable {
    private struct State {
        var isEnding = false
        var services: [Int: (service: HTTPService, shutdown: Shutdown)] = [:]
        var last = 0
    }

    /// Ends one way of serving within a grace period, and returns when it has ended.
    typealias Shutdown = @Sendable (Duration) async throws -> Void

    private let state = Locked(State())

    /// What handlers may take that were cancelled; then their connections are broken off.
    static let lastGrace = Duration.seconds(5)

    /// Serves until that ends; whoever shuts down meanwhile finds it.
    func serve(
        _ service: HTTPService, drain: Duration, shutdown: @escaping Shutdown, _ body: () async throws -> Void
    ) async throws {
        let number: Int? = state.withLock { state in
            guard !state.isEnding else { return nil }
            state.last += 1
            state.services[state.last] = (service, shutdown)
            return state.last
        }
        guard let number else { return }
        defer {
            state.withLock { _ = $0.services.removeValue(forKey: number) }
            service.forget()
        }
        try await withTaskCancellationHandler {
            try await body()
        } onCancel: {
            service.drain()
        }
    }

    func shutdown(grace: Duration) async throws {
        let services = state.withLock { state in
            state.isEnding = true
            return state.services.sorted { $0.key < $1.key }.map(\.value)
        }
        for entry in services { entry.service.drain() }
        try await withThrowingTaskGroup { group in
            for entry in services {
                group.addTask { try await entry.shutdown(grace) }
            }
            try await group.waitForAll()
        }
    }
}

/// A server at work: what it was made of, and its part on each loop.
final class HTTPService: Sendable {
    let server: HTTPServer
    let handler: HTTPServer.Handler
    private struct State {
        var sites: [ObjectIdentifier: ServerSite] = [:]
        var isDraining = false
    }
    private let state = Locked(State())

    init(_ server: HTTPServer, _ handler: @escaping HTTPServer.Handler) {
        self.server = server
        self.handler = HTTPServer.chain(server.middleware, before: handler)
    }

    /// Serves one connection, on the loop's thread.
    func serve(_ stream: any ByteStream, _ information: HTTPServer.Connection) async {
        guard let loop = EventLoop.current else { return stream.close() }
        let site = state.withLock { state in
            if let site = state.sites[ObjectIdentifier(loop)] { return site }
            let site = ServerSite(self, on: loop, isDraining: state.isDraining)
            state.sites[ObjectIdentifier(loop)] = site
            return site
        }
        await ServerConnection.serve(stream, information, at: site)
    }

    /// Nothing is served any more. The sites keep the service, and it shall not keep them.
    func forget() {
        state.withLock { state in
            state.sites = [:]
            state.isDraining = true
        }
    }

    /// No further requests: idle connections end now, and the others with their response.
    func drain() {
        let sites = state.withLock { state in
            state.isDraining = true
            return Array(state.sites.values)
        }
        for site in sites { site.loop.callSoon { site.drain() } }
    }
}
#endif
