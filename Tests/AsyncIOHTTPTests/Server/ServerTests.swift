#if HTTP
import AsyncIO
import AsyncIOHTTP
import AsyncIOTestSupport
import Testing

@Suite("An HTTP server", .timeLimit(.minutes(10)))
struct ServerTests {
    @Test("answers one request after the other, in order", arguments: Setting.everywhere, Wire.Pace.allCases)
    func keepAlive(setting: Setting, pace: Wire.Pace) async throws {
        let answer = try await withLoop(setting) { loop in
            let one = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
            let two = "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
            let three =
                "POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: u\r\n\r\n"
            let four = "\r\nGET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            return try await Wire.answer(to: one + two + three + four + "garbage", pace, on: loop)
        }
        #expect(Wire.statuses(in: answer) == [200, 200, 200, 200])
        let found = ["GET /1 ", "POST /2 hello", "POST /3 abcde", "GET /4 "].compactMap { answer.firstRange(of: $0) }
        #expect(found.count == 4)
        #expect(found.map(\.lowerBound) == found.map(\.lowerBound).sorted())
    }

    @Test("has the kernel keep no more of a response than the client makes room for", arguments: Setting.onRealLoop)
    func unsent(setting: Setting) async throws {
        let limit = try await withLoop(setting) { loop in
            let seen = Locked(0)
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            async let serving: Void = HTTPServer().serve(listener) { _ in
                .switchingProtocols(to: "x") { stream in
                    let limit = try await (stream as? TCPStream)?.unsentLimit ?? 0
                    seen.withLock { $0 = limit }
                }
            }
            let client = try await TCPStream.connect(to: listener.address, on: loop)
            try await client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
            while try await client.read() != nil {}
            client.close()
            listener.shutdown()
            try await serving
            return seen.withLock { $0 }
        }
        #expect(limit == 256 << 10)
    }

    @Test("answers over TCP", arguments: Setting.everywhere)
    func tcp(setting: Setting) async throws {
        let answer = try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let server = HTTPServer()
            async let serving: Void = server.serve(listener) { _ in .text("hello\n") }
            let client = try await TCPStream.connect(to: listener.address, on: loop)
            try await client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            try await client.closeWriting()
            var all: [UInt8] = []
            while let bytes = try await client.read() { all += bytes }
            client.close()
            try await server.shutdown(grace: .seconds(1))
            try await serving
            return String(decoding: all, as: UTF8.self)
        }
        #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(answer.hasSuffix("Content-Length: 6\r\n\r\nhello\n"))
    }
}
#endif
