#if HTTP
import AsyncIO
import AsyncIOHTTP
import AsyncIOTestSupport
import Testing

@Suite("A request", .timeLimit(.minutes(10)))
struct RequestTests {
    private func reply(
        _ bytes: String, _ pace: Wire.Pace = .atOnce, server: HTTPServer = HTTPServer(), reports: Errors = Errors(),
        _ handler: @escaping HTTPServer.Handler = Wire.echo
    ) async throws -> String {
        try await withLoop(Setting.onRealLoop[0], reports: reports) { loop in
            try await Wire.answer(to: bytes, pace, on: loop, server: server, handler)
        }
    }

    @Test("tells what it asks for, whom, and with which fields", arguments: Wire.Pace.allCases)
    func parts(pace: Wire.Pace) async throws {
        let bytes =
            "PATCH /a/b?c=%20d HTTP/1.1\r\nHOST: Example.org:81\r\naccept: x\r\nX-Own:\t v w \r\nX-Own: \r\n\r\n"
        let answer = try await reply(bytes, pace) { request in
            let fields = request.headerFields.map { "\($0.name.canonicalName)=\($0.value)" }.joined(separator: ";")
            return .text("\(request.method) \(request.target) \(request.authority ?? "-") \(fields) \(request.version)")
        }
        #expect(Wire.body(of: answer) == "PATCH /a/b?c=%20d Example.org:81 accept=x;x-own=v w;x-own= HTTP/1.1")
    }

    @Test("keeps the bytes of a value that are no ASCII")
    func foreignBytes() async throws {
        let answer = try await withLoop(Setting.onRealLoop[0]) { loop in
            let bytes = Array("GET / HTTP/1.1\r\nHost: a\r\nX: ".utf8) + [0x85, 0x61, 0xa0] + Array("\r\n\r\n".utf8)
            return try await Wire.answer(to: bytes, on: loop) { request in
                let found = request.headerFields.first { $0.name.canonicalName == "x" }
                return .text("\(unsafe found?.withUnsafeBytesOfValue { unsafe Array($0) } ?? [])")
            }
        }
        #expect(Wire.body(of: answer) == "[133, 97, 160]")
    }

    @Test(
        "may name its target in each of the four forms",
        arguments: [
            ("GET http://a:80/x?y HTTP/1.1\r\nHost: A", "/x?y A:80"), ("GET http://a HTTP/1.1\r\nHost: a", "/ a"),
            ("GET HTTPS://a?q HTTP/1.1\r\nHost: a:443", "/?q a"), ("OPTIONS * HTTP/1.1\r\nHost: a", "* a"),
            ("CONNECT b:443 HTTP/1.1\r\nHost: b:443", "b:443 b:443"),
            ("GET / HTTP/1.1\r\nHost: [::1]:8080", "/ [::1]:8080"),
            ("GET / HTTP/1.0", "/ -"),
        ])
    func targets(head: String, expected: String) async throws {
        let answer = try await reply(head + "\r\n\r\n") { request in
            // CONNECT can be answered by a tunnel or an error alone.
            .text("\(request.target) \(request.authority ?? "-")".lowercased(), status: .notFound)
        }
        #expect(Wire.body(of: answer) == expected.lowercased())
    }

    @Test("has a body that is read as it comes, with its trailers", arguments: Wire.Pace.allCases)
    func trailers(pace: Wire.Pace) async throws {
        let bytes =
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            + "5\r\nhello\r\n006;a=b;c=\"d;e\"\r\n world\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n"
        let answer = try await reply(bytes + "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n", pace) { request in
            var text = ""
            for try await piece in request.body { text += String(decoding: piece, as: UTF8.self) }
            return .text("\(text) \(request.body.trailerFields?.map(\.value) ?? [])")
        }
        #expect(answer.contains("hello world [\"1\", \"2\"]"))
        #expect(Wire.statuses(in: answer) == [200, 200])
    }

    @Test(
        "with a body that nobody reads is followed by the next one, if the body is small", arguments: Wire.Pace.allCases
    )
    func unread(pace: Wire.Pace) async throws {
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
        let answer = try await reply(post + post, pace) { _ in .text("hi") }
        #expect(Wire.statuses(in: answer) == [200, 200])
    }

    @Test("with much that nobody reads is answered, and ends the connection")
    func muchUnread() async throws {
        let big = String(repeating: "x", count: 1 << 20)
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(big.utf8.count)\r\n\r\n" + big
        let answer = try await reply(post + post) { _ in .text("enough") }
        #expect(Wire.statuses(in: answer) == [200])
        #expect(answer.contains("Connection: close\r\n") && answer.hasSuffix("enough"))
    }

    @Test("may be answered before its body has come: the echo of a body")
    func duplex() async throws {
        let answer = try await reply("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", .byteByByte) {
            request in
            HTTPServer.Response(body: request.body)
        }
        #expect(answer.hasSuffix("Content-Length: 5\r\n\r\nhello"))
    }

    @Test("whose body breaks off or is none gets 400 where the handler reads it")
    func brokenBody() async throws {
        let short = try await reply("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel")
        #expect(Wire.statuses(in: short) == [400])
        let open = try await reply("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        #expect(Wire.statuses(in: open) == [400])
    }

    @Test("that cannot be read any more says so")
    func late() async throws {
        let kept = Kept()
        let answer = try await reply(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
        ) { request in
            if request.target == "/2" {
                do { return .text("\(try await kept.body?.bytes() ?? [])") } catch let error as IOError {
                    return .text("\(error.code == .canceled)")
                }
            }
            kept.body = request.body
            return .text("later")
        }
        #expect(answer.hasSuffix("true"))
    }

    private final class Kept: Sendable {
        private let stored = Locked<HTTPBody?>(nil)
        var body: HTTPBody? {
            get { stored.withLock { $0 } }
            set { stored.withLock { $0 = newValue } }
        }
    }

    // MARK: Expect

    private static let expecting = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"

    @Test("that waits to send its body is told to when the handler reads it, and not before")
    func expects() async throws {
        try await withLoop(Setting.onRealLoop[0]) { loop in
            let (client, stream) = MemoryStream.pair()
            async let serving: Void = HTTPServer().serve(stream: stream, on: loop, Wire.echo)
            try await client.write(Self.expecting)
            let bid = try await client.readExactly(25)
            #expect(String(decoding: bid, as: UTF8.self) == "HTTP/1.1 100 Continue\r\n\r\n")
            try await client.write("hello" + "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
            try await client.closeWriting()
            let rest = String(decoding: try await client.readAll(), as: UTF8.self)
            #expect(Wire.statuses(in: rest) == [200, 200])
            #expect(rest.contains("POST / hello"))
            try await serving
        }
    }

    @Test("that waits, and is answered at once, is the last: nobody knows whether the body comes")
    func expectsInVain() async throws {
        let answer = try await reply(Self.expecting) { _ in throw HTTPError(.forbidden, "not you") }
        #expect(Wire.statuses(in: answer) == [403])
        #expect(answer.contains("Connection: close\r\n"))
    }

    @Test("that does not wait for it after all is not told to go on")
    func expectsButSends() async throws {
        let answer = try await reply(Self.expecting + "hello")
        #expect(Wire.statuses(in: answer) == [200])
        let old = try await reply(
            "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", .byteByByte)
        #expect(Wire.statuses(in: old) == [200])
    }

    // MARK: Other protocols

    @Test(
        "may turn the connection into another protocol's; what came behind it comes first",
        arguments: Wire.Pace.allCases)
    func upgrade(pace: Wire.Pace) async throws {
        let bytes =
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\nhello, GET / HTTP/1.1\r\n\r\n"
        let answer = try await reply(bytes, pace) { request in
            .switchingProtocols(to: "shout") { stream in
                while let bytes = try await stream.read(upTo: 100) {
                    try await stream.write(String(decoding: bytes, as: UTF8.self).uppercased())
                }
            }
        }
        #expect(answer.hasPrefix("HTTP/1.1 101 Switching Protocols\r\n"))
        #expect(answer.contains("Upgrade: shout\r\nConnection: Upgrade\r\n"))
        #expect(Wire.body(of: answer) == "HELLO, GET / HTTP/1.1\r\n\r\n")
    }

    @Test("that asks for a tunnel gets one")
    func tunnel() async throws {
        let answer = try await reply("CONNECT b:1 HTTP/1.1\r\nHost: b:1\r\n\r\nping") { _ in
            .tunnel { stream in
                while let bytes = try await stream.read(upTo: 100) { try await stream.write(bytes) }
            }
        }
        #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(!answer.contains("Content-Length"))
        #expect(Wire.body(of: answer) == "ping")
    }

    @Test("for another protocol may be answered in this one, and the connection goes on")
    func noUpgrade() async throws {
        let bytes =
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello"
        let answer = try await reply(bytes + bytes)
        #expect(Wire.statuses(in: answer) == [200, 200])
    }
}
#endif
