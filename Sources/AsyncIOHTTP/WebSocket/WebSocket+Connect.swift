#if HTTP
import AsyncIO
public import HTTPTypes

extension WebSocket {
    /// Connects to a server's WebSocket, and runs a body with it.
    ///
    /// ```swift
    /// try await WebSocket.connect("ws://127.0.0.1:8080/chat") { socket in
    ///     try await socket.send("hello")
    ///     for try await message in socket { print(message) }
    /// }
    /// ```
    ///
    /// When the body returns, the two sides say good-bye (1000; 1011 if it throws). If the peer closes, the body finds
    /// the end of its messages, and has ``WebSocketOptions/closeTimeout`` for its own end before it is cancelled; if
    /// the connection breaks, it is cancelled at once. Timeouts, proxies, cookies and TLS are the client's.
    ///
    /// - Parameters:
    ///   - url: `ws://` or `wss://`.
    ///   - client: Who connects. The connection is a new one, and none of its pool's.
    ///   - options: What the WebSocket may cost, and what is offered to the server.
    ///   - headerFields: What else to say: `Authorization`, `Origin`.
    ///   - body: Has the messages.
    /// - Returns: What the body returns.
    /// - Throws: ``HTTPClientError`` as `HTTPClient.send(_:)`; ``WebSocketError`` if the server does not agree or
    ///   breaks the rules of the handshake; what the body throws.
    public static func connect<Success: Sendable>(
        _ url: String, client: HTTPClient = HTTPClient(), options: WebSocketOptions = WebSocketOptions(),
        headerFields: HTTPFields = [:], _ body: @escaping @Sendable (WebSocket) async throws -> Success
    ) async throws -> Success {
        let key = WebSocketKey.random()
        var request = try HTTPClient.Request(.get, try httpURL(url), headerFields: headerFields)
        request.headerFields[.secWebSocketVersion] = "13"
        request.headerFields[.secWebSocketKey] = key
        if !options.subprotocols.isEmpty {
            var fields = request.headerFields
            let offered = options.subprotocols.joined(separator: ", ")
            try RequestHead.set(.secWebSocketProtocol, to: offered, of: request, in: &fields)
            request.headerFields = fields
        }
        if let offer = WebSocketAgreement.offer(options) { request.headerFields[.secWebSocketExtensions] = offer }
        let upgrade = try await client.upgrade(request, to: "websocket")
        guard let stream = upgrade.stream else {
            let status = upgrade.response.status
            throw WebSocketError(.abnormal, "\(url) answered \(status.code) \(status.reasonPhrase)", isByPeer: true)
        }
        do {
            let agreement = try WebSocketAgreement.accepted(upgrade.response.headerFields, key, options)
            return try await WebSocketSession(over: stream, .client, options, agreement).run(body)
        } catch {
            // A session closes its stream itself; a handshake that went wrong leaves it here.
            stream.abort()
            throw error
        }
    }

    /// The same place, in the words of HTTP.
    private static func httpURL(_ url: String) throws -> String {
        guard let colon = url.firstIndex(of: ":") else { return url }
        switch url[..<colon].lowercased() {
        case "ws": return "http" + url[colon...]
        case "wss": return "https" + url[colon...]
        default: throw WebSocketError(.protocolError, "\(url) is no address of a WebSocket: ws:// or wss://")
        }
    }
}

extension WebSocketAgreement {
    /// What a client offers.
    static func offer(_ options: WebSocketOptions) -> String? {
        guard let compression = options.compression else { return nil }
        var deflate = DeflateParameters()
        (deflate.serverForgets, deflate.clientForgets) = (!compression.keepsContext, !compression.keepsContext)
        return deflate.description
    }

    /// What a server has made of the offer, and whether it may (RFC 6455 section 4.1).
    static func accepted(
        _ fields: HTTPFields, _ key: String, _ options: WebSocketOptions
    ) throws(WebSocketError) -> WebSocketAgreement {
        func broken(_ what: String) -> WebSocketError { WebSocketError(.protocolError, "the handshake: \(what)") }
        guard fields.lists("websocket", in: .upgrade), fields.lists("upgrade", in: .connection) else {
            throw broken("the server did not upgrade to websocket")
        }
        guard fields[.secWebSocketAccept] == WebSocketKey.accept(key) else {
            throw broken("Sec-WebSocket-Accept does not fit the key: is it a cache that answers?")
        }
        var agreement = WebSocketAgreement()
        if let chosen = fields[.secWebSocketProtocol] {
            guard options.subprotocols.contains(chosen) else {
                throw broken("the subprotocol \(chosen) was not offered")
            }
            agreement.subprotocol = chosen
        }
        for answer in fields.list(.secWebSocketExtensions) {
            guard options.compression != nil, agreement.deflate == nil,
                let deflate = DeflateParameters(answer, isOffer: false), deflate.clientBits == 15
            else { throw broken("the extension \(answer) was not offered") }
            agreement.deflate = deflate
        }
        return agreement
    }
}
#endif
