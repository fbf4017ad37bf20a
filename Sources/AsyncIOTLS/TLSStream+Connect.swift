#if TLS
public import AsyncIO
import AsyncIOKernel
public import AsyncIOLoop
import NIOCore
import NIOSSL

extension TLSStream {
    /// Connects by TCP, and makes the connection safe: the server has to prove that it is the host that was asked for,
    /// by name or address.
    ///
    /// Suspends until the handshake is over; a cancelled task gets `CancellationError`, and the connection is broken
    /// off. Throws what `TCPStream.connect` throws, and ``TLSError``, which says what is wrong with whom.
    public static func connect(
        _ host: String, _ port: UInt16, tls connector: TLSConnector? = nil,
        options: ConnectOptions = ConnectOptions(), on loop: AsyncIOLoop.EventLoop? = nil
    ) async throws -> TLSStream {
        let connector = try connector ?? .standard
        let connection = try await TCPStream.connect(host, port, options: options, on: loop)
        return try await client(over: connection, host: host, tls: connector, on: loop)
    }

    /// Makes a stream safe, as the client: the peer has to prove that it is the host.
    ///
    /// As ``connect(_:_:tls:options:on:)``. The stream belongs to what is returned; if this throws, it is closed.
    public static func client(
        over stream: any ByteStream, host: String, tls connector: TLSConnector? = nil,
        on loop: AsyncIOLoop.EventLoop? = nil
    ) async throws -> TLSStream {
        try await begin(over: stream, on: loop) { loop in
            let connector = try connector ?? .standard
            // A trailing dot is DNS's, not the certificate's.
            let name = host.hasSuffix(".") ? String(host.dropLast()) : host
            // An address is looked for among the certificate's addresses, and never sent as a name (RFC 6066, 3).
            let address = try? NIOCore.SocketAddress(ipAddress: name, port: 0)
            let asked = address == nil ? name : nil
            let handler: NIOSSLHandler
            do { handler = try NIOSSLClientHandler(context: connector.context, serverHostname: asked) } catch {
                throw TLSError(.nameMismatch, host, "is no name that a certificate could be for")
            }
            let engine = try TLSEngine(handler, expecting: address ?? nowhere)
            if case .full = connector.configuration.verification { engine.expectedName = asked }
            return (engine, .client, host, connector.configuration)
        }
    }

    /// Makes a stream safe, as the server.
    ///
    /// Suspends until the handshake is over, at most for the configuration's ``TLSConfiguration/handshakeTimeout``.
    /// Throws ``TLSError``, and what the stream throws. The stream belongs to what is returned; if this throws, it is
    /// closed.
    public static func server(
        over stream: any ByteStream, tls acceptor: TLSAcceptor, on loop: AsyncIOLoop.EventLoop? = nil
    ) async throws -> TLSStream {
        try await begin(over: stream, on: loop) { loop in
            let engine = try TLSEngine(NIOSSLServerHandler(context: acceptor.context), expecting: nowhere)
            return (engine, .server, "\(stream)", acceptor.configuration)
        }
    }

    /// Nobody's address, for peers that are not known by one: of a kind that no certificate is for. An IP address,
    /// whichever, would be one that a certificate could be for.
    private static var nowhere: NIOCore.SocketAddress {
        get throws { try NIOCore.SocketAddress(unixDomainSocketPath: "nowhere") }
    }

    private typealias Made = (engine: TLSEngine, side: TLSSide, subject: String, configuration: TLSConfiguration)

    /// The handshake, within its time. A stream whose handshake fails is closed, after what is to be said about it.
    private static func begin(
        over stream: any ByteStream, on loop: AsyncIOLoop.EventLoop?, _ make: (AsyncIOLoop.EventLoop) throws -> Made
    ) async throws -> TLSStream {
        let core: TLSCore
        let limit: Duration
        do {
            guard let loop = loop ?? .current else { throw AsyncIOLoop.EventLoopError.noLoop }
            let made = try make(loop)
            limit = made.configuration.handshakeTimeout
            core = TLSCore(
                stream, made.engine, made.side, subject: made.subject,
                shutdownTimeout: made.configuration.shutdownTimeout, on: loop)
        } catch {
            stream.close()
            throw error
        }
        do {
            try await withTimeout(limit) { try await core.shakeHands() }
            return TLSStream(core)
        } catch is TimeoutError {
            core.abort()
            throw TLSError(
                .handshakeTimeout, core.subject, "the handshake was not over within \(limit): is this a port for TLS?")
        } catch {
            if error is CancellationError { core.abort() } else { core.close() }
            throw error
        }
    }
}

extension StreamListener {
    /// Accepts connections, makes each of them safe, and runs a handler for it; as `serve(limit:drain:_:)`.
    ///
    /// The handshake is part of a connection's handler: it delays nobody else, and is over within the configuration's
    /// ``TLSConfiguration/handshakeTimeout``; one that fails is reported with the peer's address. After the handler the
    /// connection has the ``TLSConfiguration/shutdownTimeout`` to hand over what was written.
    public func serve(
        tls acceptor: TLSAcceptor, limit: Int? = nil, drain: Duration = .zero,
        _ handler: @escaping @Sendable (TLSStream) async throws -> Void
    ) async throws {
        try await StreamServer(self).serve(tls: acceptor, limit: limit, drain: drain, handler)
    }
}

extension StreamServer {
    /// Serves all its listeners, each connection made safe first. As `StreamListener.serve(tls:limit:drain:_:)`.
    public func serve(
        tls acceptor: TLSAcceptor, limit: Int? = nil, drain: Duration = .zero,
        _ handler: @escaping @Sendable (TLSStream) async throws -> Void
    ) async throws {
        try await serve(limit: limit, drain: drain) { try await acceptor.run(handler, over: $0) }
    }
}

extension TLSAcceptor {
    fileprivate func run(
        _ handler: (TLSStream) async throws -> Void, over connection: any ByteStream
    ) async throws {
        try await TLSStream.server(over: connection, tls: self).use(handler)
    }
}

extension TLSStream {
    /// Runs a body with the stream, and closes it in good order afterwards: suspends until all has been handed over.
    ///
    /// For whoever closes the stream beneath right after. If the body throws, the stream is closed at once.
    public func use<Result>(_ body: (TLSStream) async throws -> Result) async throws -> Result {
        defer { close() }
        let result = try await body(self)
        await core.finish()
        return result
    }
}
#endif
