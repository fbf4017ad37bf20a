#if HTTP
import AsyncIO
import HTTPTypes

extension HTTPServer.Response {
    /// Answers a request for a WebSocket (RFC 6455 section 4.2): 101, and from there the body's messages.
    ///
    /// What the two sides both can is agreed: the first subprotocol of the client's list that the options have, and
    /// compression. A page of another site may not connect in its visitor's name: a request whose `Origin` is not the
    /// host it asks is refused with 403, unless `origin` says otherwise. Programs that are no browsers send none.
    ///
    /// - Parameters:
    ///   - request: The request that asks for it.
    ///   - options: What it may cost.
    ///   - origin: Says whether a page of this origin (`https://example.org`) may connect.
    ///   - body: Has the messages. When it returns, the WebSocket is closed with 1000; if it throws, with 1011.
    /// - Returns: The answer, with the WebSocket behind it.
    /// - Throws: ``HTTPError``: 400 for what is no handshake, 403 for the origin, 426 with the right version, or for a
    ///   request that asks for no WebSocket.
    public static func webSocket(
        _ request: HTTPServer.Request, options: WebSocketOptions = WebSocketOptions(),
        origin: (@Sendable (String, HTTPServer.Request) -> Bool)? = nil,
        _ body: @escaping @Sendable (WebSocket) async throws -> Void
    ) throws -> HTTPServer.Response {
        let key = try checkHandshake(request)
        if let page = request.headerFields[.origin], !(origin ?? isSameSite)(page, request) {
            throw HTTPError(.forbidden, "pages of \(page) may not connect to \(request.authority ?? "this server")")
        }
        let agreement = WebSocketAgreement.answering(request.headerFields, options)
        var fields: HTTPFields = [.secWebSocketAccept: WebSocketKey.accept(key)]
        if let subprotocol = agreement.subprotocol { fields[.secWebSocketProtocol] = subprotocol }
        if let deflate = agreement.deflate { fields[.secWebSocketExtensions] = deflate.description }
        return .switchingProtocols(to: "websocket", headerFields: fields) { stream in
            let session = try WebSocketSession(over: stream, .server, options, agreement)
            do {
                try await session.run(body)
            } catch let error as WebSocketError where error == session.socket.ending {
                // Its own end, which the peer knows of: no news for anybody else.
            }
        }
    }

    /// Returns the client's key.
    private static func checkHandshake(_ request: HTTPServer.Request) throws -> String {
        let fields = request.headerFields
        guard fields.lists("websocket", in: .upgrade), fields.lists("upgrade", in: .connection) else {
            throw HTTPError(
                .upgradeRequired, "a WebSocket has to be asked for: Upgrade: websocket, Connection: Upgrade",
                headerFields: [.upgrade: "websocket", .connection: "Upgrade"])
        }
        guard request.method == .get, request.version == .http1_1 else {
            throw HTTPError(.badRequest, "a WebSocket is asked for with GET and HTTP/1.1")
        }
        guard fields[.secWebSocketVersion] == "13" else {
            throw HTTPError(
                .upgradeRequired, "WebSocket version 13 alone is spoken here",
                headerFields: [.secWebSocketVersion: "13", .upgrade: "websocket", .connection: "Upgrade"])
        }
        let keys = fields[values: .secWebSocketKey]
        guard let key = keys.first, keys.count == 1, WebSocketKey.isValid(key) else {
            throw HTTPError(.badRequest, "Sec-WebSocket-Key has to be 16 bytes in base 64")
        }
        return key
    }

    /// Whether a page was loaded from the host that it asks.
    private static func isSameSite(_ origin: String, _ request: HTTPServer.Request) -> Bool {
        guard let scheme = origin.firstRange(of: "://"), let asked = request.authority else { return false }
        let port = origin[..<scheme.lowerBound] == "https" ? ":443" : ":80"
        let named = { (host: String) in host.lowercased().hasSuffix(port) ? String(host.dropLast(port.count)) : host }
        return named(String(origin[scheme.upperBound...])).lowercased() == named(asked).lowercased()
    }
}

extension WebSocketAgreement {
    /// What a server takes of a client's offer.
    static func answering(_ fields: HTTPFields, _ options: WebSocketOptions) -> WebSocketAgreement {
        var agreement = WebSocketAgreement()
        agreement.subprotocol = fields.list(.secWebSocketProtocol).first(where: options.subprotocols.contains)
        guard let compression = options.compression else { return agreement }
        // Extensions' parameters are separated by semicolons, so the commas separate offers.
        for offer in fields.list(.secWebSocketExtensions) {
            guard var deflate = DeflateParameters(offer, isOffer: true) else { continue }
            if !compression.keepsContext { (deflate.serverForgets, deflate.clientForgets) = (true, true) }
            // A limit that the client may be given, but did not ask for, is not needed.
            deflate.clientBits = 15
            agreement.deflate = deflate
            break
        }
        return agreement
    }
}
#endif
