#if HTTP
import AsyncIO
import AsyncIOHTTP
import AsyncIOTestSupport
import Testing

/// What a review of the server has found, and must not come back.
@Suite("A server under peers and handlers that go on", .timeLimit(.minutes(10)))
struct EnduranceTests {
    private static let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    private func reply(
        _ bytes: String, reports: Errors = Errors(), _ handler: @escaping HTTPServer.Handler
    ) async throws -> String {
        try await withLoop(Setting.onRealLoop[0], reports: reports) { loop in
            try await Wire.answer(to: bytes, on: loop, handler)
        }
    }

    @Test(
        "notices that a client has gone that had read for a while", arguments: Setting.onRealLoop, ["1.1", "1.0"])
    func goneWhileReading(setting: Setting, version: String) async throws {
        try await withLoop(setting) { loop in
            let ended = Gate()
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            async let serving: Void = HTTPServer().serve(listener) { _ in
                HTTPServer.Response(
                    body: HTTPBody { writer in
                        defer { ended.open() }
                        try await writer.write("data: first\n\n")
                        try await writer.flush()
                        try await loop.sleep(for: .seconds(3_600))
                    })
            }
            let client = try await TCPStream.connect(to: listener.address, on: loop)
            try await client.write("GET / HTTP/\(version)\r\nHost: a\r\n\r\n")
            var all = ""
            while !all.contains("data: first"), let bytes = try await client.read() {
                all += String(decoding: bytes, as: UTF8.self)
            }
            try await loop.sleep(for: .milliseconds(300))
            // Nothing is unread: a plain FIN.
            client.close()
            await ended.pass()
            listener.shutdown()
            try await serving
        }
    }

    @Test("sends nothing behind a write that was cancelled in the middle")
    func cancelledWrite() async throws {
        let reports = Errors()
        let (received, refusals) = try await withLoop(Setting.virtual[0], reports: reports) { loop in
            let (client, stream) = MemoryStream.pair(capacity: 1_000)
            let refusals = Log()
            async let serving: Void = HTTPServer().serve(stream: stream, on: loop) { _ in
                HTTPServer.Response(
                    body: HTTPBody { writer in
                        try? await withTimeout(.seconds(1)) {
                            try await writer.write([UInt8](repeating: 0x78, count: 100_000))
                        }
                        do { try await writer.write("behind") } catch let error as IOError {
                            refusals.add("\(error.code == .brokenPipe)")
                        }
                    })
            }
            try await client.write(Self.get + Self.get)
            try await loop.sleep(for: .seconds(2))
            let received = String(decoding: try await client.readAll(), as: UTF8.self)
            client.close()
            try await serving
            return (received, refusals.lines)
        }
        #expect(refusals == ["true"])
        #expect(!received.contains("behind") && !received.contains("\r\n0\r\n\r\n"))
        #expect(Wire.statuses(in: received).count <= 1)
        #expect(reports.all.isEmpty)
    }

    @Test("bids a client go on whose body is read while the response is made")
    func echoOfExpected() async throws {
        let answer = try await withLoop(Setting.onRealLoop[0]) { loop in
            let (client, stream) = MemoryStream.pair()
            async let serving: Void = HTTPServer().serve(stream: stream, on: loop) { request in
                HTTPServer.Response(body: request.body)
            }
            try await client.write("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            let bid = String(decoding: try await client.readExactly(25), as: UTF8.self)
            try await client.write("hello")
            let rest = String(decoding: try await client.readAll(), as: UTF8.self)
            client.close()
            try await serving
            return bid + rest
        }
        #expect(answer.hasPrefix("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"))
        #expect(answer.hasSuffix("\r\n\r\nhello"))
    }

    @Test("passes on each piece of a body as it comes")
    func piecewise() async throws {
        try await withLoop(Setting.onRealLoop[0]) { loop in
            let (client, stream) = MemoryStream.pair()
            async let serving: Void = HTTPServer().serve(stream: stream, on: loop) { request in
                HTTPServer.Response(body: request.body)
            }
            try await client.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            var all = ""
            while !all.contains("abc"), let bytes = try await client.read() {
                all += String(decoding: bytes, as: UTF8.self)
            }
            // It was there before the rest is sent.
            try await client.write("0\r\n\r\n")
            try await client.closeWriting()
            all += String(decoding: try await client.readAll(), as: UTF8.self)
            #expect(all.hasSuffix("3\r\nabc\r\n0\r\n\r\n"))
            client.close()
            try await serving
        }
        let chunks = HTTPBody(
            AsyncStream<[UInt8]> { stream in
                stream.yield([1])
                stream.yield([2])
                stream.finish()
            })
        let written = WrittenBody()
        try await chunks.write(to: written)
        #expect(written.flushes == [1, 2])
    }

    @Test("has no tunnel for a handler that answers CONNECT as anything else, and no protocol for HTTP/1.0")
    func noTunnel() async throws {
        let reports = Errors()
        let tunnel = try await reply("CONNECT b:1 HTTP/1.1\r\nHost: b:1\r\n\r\n" + Self.get, reports: reports) { _ in
            .text("hello")
        }
        #expect(Wire.statuses(in: tunnel) == [501])
        #expect(tunnel.contains("Connection: close\r\n"))
        let upgrading = "GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
        let old = try await reply(upgrading, reports: reports) { _ in
            .switchingProtocols(to: "x") { _ in }
        }
        #expect(Wire.statuses(in: old) == [505])
        #expect(reports.all.isEmpty)
    }

    @Test("says that Upgrade belongs to the connection")
    func upgradeRequired() async throws {
        let answer = try await reply(Self.get) { _ in
            HTTPServer.Response(.upgradeRequired, headerFields: [.upgrade: "websocket"])
        }
        #expect(answer.contains("Connection: Upgrade\r\n"))
    }

    @Test("lets go of its handler when it has served")
    func cycle() async throws {
        final class Token: Sendable {}
        struct Weakly { weak var token: Token? }
        let kept = Locked(Weakly())
        func serve() async throws {
            let token = Token()
            kept.withLock { $0.token = token }
            _ = try await reply(Self.get) { _ in
                _ = token
                return .text("hi")
            }
        }
        try await serve()
        for _ in 0..<500 where kept.withLock({ $0.token }) != nil {
            try await Task.sleep(for: .milliseconds(10))  // sleeps: nobody tells when the loop's thread has let go
        }
        #expect(kept.withLock { $0.token } == nil)
    }

    @Test("says nothing of clients that cannot secure their connection")
    func unsecured() async throws {
        struct Alert: Error {}
        let reports = Errors()
        let answer = try await withLoop(Setting.onRealLoop[0], reports: reports) { loop in
            var server = HTTPServer()
            server.secured = { _ in throw Alert() }
            let made = server
            return try await Wire.answer(to: "", on: loop, server: made)
        }
        #expect(answer.isEmpty && reports.all.isEmpty)
    }

    @Test("sends the comment whole that keeps events alive when they end")
    func keeper() async throws {
        let (received, reports) = try await withLoop(Setting.virtual[0]) { loop in
            let (client, stream) = MemoryStream.pair(capacity: 400)
            let log = Log()
            async let serving: Void = HTTPServer().serve(stream: stream, on: loop) { _ in
                .events(keepAlive: .milliseconds(100)) { send in
                    // The client does not read, so a comment is in the middle by then.
                    try await loop.sleep(for: .seconds(20))
                    log.add("ended")
                }
            }
            try await client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            try await loop.sleep(for: .seconds(21))
            let received = String(decoding: try await client.readAll(), as: UTF8.self)
            client.close()
            try await serving
            return (received, log.lines)
        }
        #expect(reports == ["ended"])
        #expect(received.hasSuffix("\r\n0\r\n\r\n"))
    }

    @Test("ends a connection that begins when the server ends already")
    func lateConnection() async throws {
        let waited = try await withLoop(Setting.virtual[0]) { loop in
            let (client, stream) = MemoryStream.pair()
            var server = HTTPServer()
            server.secured = { stream in
                try await loop.sleep(for: .seconds(1))
                return stream
            }
            let made = server
            async let serving: Void = made.serve(stream: stream, on: loop, Wire.echo)
            try await loop.sleep(for: .milliseconds(500))
            let begin = loop.now
            try await made.shutdown(grace: .seconds(100))
            let waited = begin.duration(to: loop.now)
            client.close()
            try await serving
            return waited
        }
        #expect(waited < .seconds(2))
    }

    @Test("tells a handler's own timeout from its own")
    func handlersTimeout() async throws {
        let reports = Errors()
        let answer = try await withLoop(Setting.virtual[0], reports: reports) { loop in
            var server = HTTPServer()
            server.requestTimeout = .seconds(100)
            let made = server
            return try await Wire.answer(to: Self.get, on: loop, server: made, halfCloses: false) { _ in
                try await withTimeout(.seconds(1)) { try await loop.sleep(for: .seconds(10)) }
                return .text("late")
            }
        }
        #expect(Wire.statuses(in: answer) == [500])
        #expect(reports.all.count == 1 && reports.all.allSatisfy { $0.error is TimeoutError })
    }

    @Test("drains a body for a limited time")
    func slowDrain() async throws {
        let seconds = try await withLoop(Setting.virtual[0]) { loop in
            let (client, stream) = MemoryStream.pair()
            let begin = loop.now
            async let serving: Void = HTTPServer().serve(stream: stream, on: loop) { _ in .text("no") }
            async let writing: Void = {
                try await client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
                for _ in 0..<900 {
                    try await client.write([1])
                    try await loop.sleep(for: .seconds(20))
                }
            }()
            _ = try await client.readAll()
            let end = begin.duration(to: loop.now).components.seconds
            client.close()
            try? await writing
            try await serving
            return end
        }
        #expect(seconds <= 40)
    }

    @Test("is told hints from other threads, too")
    func informFromElsewhere() async throws {
        let answer = try await reply(Self.get) { request in
            try await Task.detached { try await request.inform(.earlyHints, headerFields: [.location: "/a"]) }.value
            return .text("page")
        }
        #expect(Wire.statuses(in: answer) == [103, 200])
    }

    @Test("bears a length below nothing")
    func negativeLength() async throws {
        #expect(HTTPBody(length: -1) { _ in }.length == 0)
        let answer = try await reply(Self.get) { _ in HTTPServer.Response(body: HTTPBody(length: -1) { _ in }) }
        #expect(answer.contains("Content-Length: 0\r\n"))
    }
}
#endif
