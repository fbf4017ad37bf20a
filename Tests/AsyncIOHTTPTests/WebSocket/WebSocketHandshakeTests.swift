#if HTTP
@testable import AsyncIOHTTP
import HTTPTypes
import Testing

@Suite("How a WebSocket is asked for")
struct WebSocketHandshakeTests {
    private let asking: HTTPFields = [
        .upgrade: "websocket", .connection: "keep-alive, Upgrade", .secWebSocketVersion: "13",
        .secWebSocketKey: "dGhlIHNhbXBsZSBub25jZQ==",
    ]

    private func request(_ change: (inout HTTPServer.Request) -> Void = { _ in }) -> HTTPServer.Request {
        var request = HTTPServer.Request(.get, "/chat", authority: "example.org", headerFields: asking)
        change(&request)
        return request
    }

    @Test("the answer proves that the key was read (RFC 6455 section 1.3)")
    func accept() throws {
        let response = try HTTPServer.Response.webSocket(request()) { _ in }
        #expect(response.status == .switchingProtocols)
        #expect(response.headerFields[.secWebSocketAccept] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        #expect(response.headerFields[.upgrade] == "websocket")
        #expect(response.headerFields[.secWebSocketExtensions] == nil)
        #expect(response.takeover != nil)
    }

    typealias Change = @Sendable (inout HTTPServer.Request) -> Void

    private static let mistakes: [(String, Int, Change)] = [
        ("no upgrade", 426, { $0.headerFields[.upgrade] = nil }),
        ("no connection token", 426, { $0.headerFields[.connection] = "keep-alive" }),
        ("another version", 426, { $0.headerFields[.secWebSocketVersion] = "8" }),
        ("no version", 426, { $0.headerFields[.secWebSocketVersion] = nil }),
        ("a POST", 400, { $0.method = .post }),
        ("no key", 400, { $0.headerFields[.secWebSocketKey] = nil }),
        ("a short key", 400, { $0.headerFields[.secWebSocketKey] = "dGhlIHNhbXBsZQ==" }),
        ("a key that is no base 64", 400, { $0.headerFields[.secWebSocketKey] = "dGhlIHNhbXBsZSBub25jZ===" }),
        (
            "two keys", 400,
            {
                $0.headerFields.append(.init(name: .secWebSocketKey, value: "dGhlIHNhbXBsZSBub25jZQ=="))
            }
        ),
        ("a page of another host", 403, { $0.headerFields[.origin] = "https://evil.example" }),
        ("a page of another port", 403, { $0.headerFields[.origin] = "http://example.org:8080" }),
        ("a page without an address", 403, { $0.headerFields[.origin] = "null" }),
    ]

    @Test("what is no handshake is told what it lacks", arguments: mistakes)
    func refused(what: String, status: Int, change: Change) {
        let error = #expect(throws: HTTPError.self, "\(what)") {
            try HTTPServer.Response.webSocket(request(change)) { _ in }
        }
        #expect(error?.status.code == status, "\(what): \(error.map(String.init(describing:)) ?? "")")
        if what.hasSuffix("version") { #expect(error?.headerFields[.secWebSocketVersion] == "13") }
    }

    @Test(
        "pages of the same host may connect, and those that are allowed",
        arguments: [
            ("http://example.org", "example.org"), ("http://EXAMPLE.org:80", "example.org"),
            ("https://example.org", "example.org:443"), ("http://[::1]:8080", "[::1]:8080"),
        ])
    func origins(page: String, host: String) throws {
        let same = request {
            $0.headerFields[.origin] = page
            $0.authority = host
        }
        #expect(try HTTPServer.Response.webSocket(same) { _ in }.status == .switchingProtocols)
        let strange = request { request in request.headerFields[.origin] = "https://friend.example" }
        let response = try HTTPServer.Response.webSocket(
            strange, origin: { page, _ in page == "https://friend.example" }
        ) {
            _ in
        }
        #expect(response.status == .switchingProtocols)
    }

    @Test("the client's best subprotocol that is known here is chosen; without one, none")
    func subprotocols() throws {
        var options = WebSocketOptions()
        options.subprotocols = ["chat.2", "chat.1"]
        let known = request { $0.headerFields[.secWebSocketProtocol] = "other, chat.1, chat.2" }
        let response = try HTTPServer.Response.webSocket(known, options: options) { _ in }
        #expect(response.headerFields[.secWebSocketProtocol] == "chat.1")
        let unknown = request { $0.headerFields[.secWebSocketProtocol] = "other" }
        #expect(
            try HTTPServer.Response.webSocket(unknown, options: options) { _ in }
                .headerFields[.secWebSocketProtocol] == nil)
    }

    @Test(
        "compression is agreed as it was offered, or not at all",
        arguments: [
            ("permessage-deflate", "permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
            (
                "permessage-deflate; client_max_window_bits",
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
            ),
            (
                "permessage-deflate; server_max_window_bits=10",
                "permessage-deflate; server_no_context_takeover; "
                    + "client_no_context_takeover; server_max_window_bits=10"
            ),
            (
                "permessage-deflate; server_max_window_bits=8, permessage-deflate",
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
            ),
            ("permessage-deflate; server_max_window_bits=16", nil), ("permessage-deflate; unknown", nil),
            ("permessage-deflate; server_no_context_takeover=1", nil),
            ("permessage-deflate; server_max_window_bits=10; server_max_window_bits=10", nil),
            ("x-webkit-deflate-frame", nil), ("permessage-deflate; server_max_window_bits=09", nil), (";,=", nil),
        ] as [(String, String?)])
    func compression(offer: String, answer: String?) throws {
        let asking = request { $0.headerFields[.secWebSocketExtensions] = offer }
        let response = try HTTPServer.Response.webSocket(asking) { _ in }
        #expect(response.headerFields[.secWebSocketExtensions] == answer)
        var options = WebSocketOptions()
        options.compression = nil
        let plain = try HTTPServer.Response.webSocket(asking, options: options) { _ in }
        #expect(plain.headerFields[.secWebSocketExtensions] == nil)
    }

    @Test(
        "base 64 is written and read as the standard says (RFC 4648 section 10)",
        arguments: [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ])
    func base64(text: String, coded: String) {
        #expect(Base64.encode(Array(text.utf8)) == coded)
        #expect(Base64.decode(coded) == Array(text.utf8))
        for wrong in ["Zg", "Zg=", "Zh==", "Zm9=", "=Zg=", "Z===", "Zm9v!mFy", "====", "Zg==Zg=="] {
            #expect(Base64.decode(wrong) == nil, "\(wrong)")
        }
    }
}
#endif
