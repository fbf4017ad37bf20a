#if HTTP
import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import HTTPTypes

/// Opens connections: to a server, a Unix socket or a proxy; through the proxy, and into TLS, where that is needed.
struct Dialer: Sendable {
    let configuration: HTTPClient.Configuration
    let timeouts: HTTPClient.Timeouts
    let loop: EventLoop

    func open(_ place: ConnectionPlace) async throws -> ClientConnection {
        let stream: any ByteStream
        switch place {
        case .direct(let origin):
            stream = try await secured(try await reach { try await dial(origin) }, origin)
        case .unix(let path, let origin):
            stream = try await secured(try await reach { try await UnixStream.connect(path, on: loop) }, origin)
        case .proxy(let proxy):
            stream = try await secured(try await reach { try await dial(proxy.origin) }, proxy.origin)
        case .tunnel(let proxy, let origin):
            let outer = try await secured(try await reach { try await dial(proxy.origin) }, proxy.origin)
            stream = try await secured(try await tunnel(outer, proxy, to: origin), origin)
        }
        return ClientConnection(stream, to: place, on: loop)
    }

    private func dial(_ origin: HTTPURL.Origin) async throws -> any ByteStream {
        if let dial = configuration.dial { return try await dial(origin) }
        return try await TCPStream.connect(origin.host, origin.port, options: configuration.connecting, on: loop)
    }

    /// Connects within the phase's limit.
    private func reach(_ connect: () async throws -> any ByteStream) async throws -> any ByteStream {
        try await within(timeouts.connect, .connect) { try await connect() }
    }

    private func within<Result>(
        _ limit: Duration?, _ phase: HTTPClient.Phase, _ body: nonisolated(nonsending) () async throws -> Result
    ) async throws -> Result {
        guard let limit else { return try await body() }
        do {
            return try await withTimeout(limit, body)
        } catch is TimeoutError {
            throw PhaseTimeout(phase: phase, limit: limit)
        }
    }

    // MARK: TLS

    /// Whether `https` can be asked for. Throws what to do about it before anything is connected.
    static func checkSecurity(of request: HTTPClient.Request, _ configuration: HTTPClient.Configuration) throws {
        guard request.url.scheme == .https, configuration.security == nil else { return }
        throw HTTPClientError(
            .tlsIsMissing, subject: request.subject,
            detail: "this build speaks no TLS: depend on swift-asyncio with the package trait TLS beside HTTP")
    }

    private func secured(_ stream: any ByteStream, _ origin: HTTPURL.Origin) async throws -> any ByteStream {
        guard origin.scheme == .https else { return stream }
        guard let secure = configuration.security else {
            stream.abort()
            throw HTTPClientError(
                .tlsIsMissing, subject: "\(origin)",
                detail: "this build speaks no TLS: depend on swift-asyncio with the package trait TLS beside HTTP")
        }
        do {
            return try await within(timeouts.tls, .tls) { try await secure(stream, origin.host, loop) }
        } catch {
            stream.abort()
            throw error
        }
    }

    // MARK: Tunnels

    /// Has a proxy open a tunnel (RFC 9110 section 9.3.6).
    private func tunnel(
        _ stream: any ByteStream, _ proxy: ProxyServer, to origin: HTTPURL.Origin
    ) async throws -> any ByteStream {
        var lines = "CONNECT \(origin.authorityWithPort) HTTP/1.1\r\nHost: \(origin.authorityWithPort)\r\n"
        if let authorization = proxy.authorization { lines += "Proxy-Authorization: \(authorization)\r\n" }
        do {
            let head = try await within(timeouts.connect, .connect) {
                try await stream.write(lines + "\r\n")
                return try await answer(on: stream)
            }
            guard head.status.kind == .successful else { throw refused(head.status, proxy, origin) }
            return stream
        } catch {
            stream.abort()
            throw error
        }
    }

    /// Reads the head of the answer, and not a byte more: what comes behind it is the server's.
    private func answer(on stream: any ByteStream) async throws -> ResponseHead {
        let reader = ResponseReader(to: .connect, limits: configuration.limits)
        while true {
            if let event = try reader.next() {
                guard case .head(let head) = event else { continue }
                if head.status.kind == .informational { continue }
                // A server that speaks first would be told here; TLS is begun by the client.
                guard reader.takeRest().isEmpty || head.status.kind != .successful else {
                    throw HTTPError(.badGateway, "the proxy sent something behind its answer to CONNECT")
                }
                return head
            }
            guard let bytes = try await stream.read(upTo: 4_096) else {
                throw HTTPError(.badGateway, "the proxy closed the connection instead of answering CONNECT")
            }
            reader.feed(bytes)
        }
    }

    private func refused(
        _ status: HTTPResponse.Status, _ proxy: ProxyServer, _ origin: HTTPURL.Origin
    ) -> HTTPClientError {
        let remedy =
            status == .proxyAuthenticationRequired ? "put name and password into the proxy's URL" : "ask its owner"
        return HTTPClientError(
            .proxyRefused(status: status.code), subject: "CONNECT \(origin.authorityWithPort)",
            detail: "the proxy \(proxy.origin) answered \(status.code) \(status.reasonPhrase): \(remedy)")
    }
}
#endif
