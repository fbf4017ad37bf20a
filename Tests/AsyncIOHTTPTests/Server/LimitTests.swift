#if HTTP
import AsyncIO
import AsyncIOHTTP
import AsyncIOTestSupport
import Testing

@Suite("What a client may cost", .timeLimit(.minutes(10)))
struct LimitTests {
    /// A head of exactly so many bytes.
    private static func head(of size: Int) -> String {
        let begin = "GET / HTTP/1.1\r\nHost: a\r\n"
        var text = begin
        while text.utf8.count < size - 2 {
            let room = size - 2 - text.utf8.count
            // Never so that less than a whole field is left.
            let line = room <= 1_000 ? room : min(room - 500, 900)
            text += "A: " + String(repeating: "x", count: line - 5) + "\r\n"
        }
        return text + "\r\n"
    }

    private func statuses(
        _ bytes: String, _ pace: Wire.Pace, _ change: (inout HTTPServer) -> Void = { _ in }
    ) async throws -> [Int] {
        var server = HTTPServer()
        change(&server)
        let made = server
        return try await withLoop(Setting.onRealLoop[0]) { loop in
            Wire.statuses(in: try await Wire.answer(to: bytes, pace, on: loop, server: made))
        }
    }

    @Test("is in a head its size", arguments: Wire.Pace.allCases)
    func headSize(pace: Wire.Pace) async throws {
        #expect(Self.head(of: 32_768).utf8.count == 32_768)
        #expect(try await statuses(Self.head(of: 32_768), pace) == [200])
        #expect(try await statuses(Self.head(of: 32_769), pace) == [431])
        #expect(try await statuses(Self.head(of: 200), pace) { $0.limits.headSize = 200 } == [200])
        #expect(try await statuses(Self.head(of: 201), pace) { $0.limits.headSize = 200 } == [431])
        // White space is in no field.
        let space = "GET / HTTP/1.1\r\nHost: a\r\nA:" + String(repeating: " ", count: 40_000) + "b\r\n\r\n"
        #expect(try await statuses(space, pace) == [431])
    }

    @Test("is the number of fields", arguments: Wire.Pace.allCases)
    func fieldCount(pace: Wire.Pace) async throws {
        func request(_ count: Int) -> String {
            "GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: "a:\r\n", count: count - 1) + "\r\n"
        }
        #expect(try await statuses(request(100), pace) == [200])
        #expect(try await statuses(request(101), pace) == [431])
    }

    @Test("is the length of a line", arguments: Wire.Pace.allCases)
    func lineSize(pace: Wire.Pace) async throws {
        let long = String(repeating: "x", count: 8_100)
        #expect(try await statuses("GET /\(long) HTTP/1.1\r\nHost: a\r\n\r\n", pace) == [200])
        #expect(try await statuses("GET /\(long)\(long) HTTP/1.1\r\nHost: a\r\n\r\n", pace) == [414])
        #expect(try await statuses("GET / HTTP/1.1\r\nHost: a\r\nA: \(long)\r\n\r\n", pace) == [200])
        #expect(try await statuses("GET / HTTP/1.1\r\nHost: a\r\nA: \(long)\(long)\r\n\r\n", pace) == [431])
        #expect(try await statuses("GET / HTTP/1.1\r\nHost: a\r\n\(long)\(long): a\r\n\r\n", pace) == [431])
    }

    @Test("is the size of a body, if that is limited", arguments: Wire.Pace.allCases)
    func bodySize(pace: Wire.Pace) async throws {
        let known = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
        let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
        for request in [known, chunked] {
            #expect(try await statuses(request, pace) { $0.limits.bodySize = 5 } == [200])
            #expect(try await statuses(request, pace) { $0.limits.bodySize = 4 } == [413])
        }
    }

    @Test("is told also to one that sends on and on, who can read that", arguments: Setting.onRealLoop)
    func refusedUpload(setting: Setting) async throws {
        let answer = try await withLoop(setting) { loop in
            var server = HTTPServer()
            server.limits.bodySize = 1_000
            let made = server
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            async let serving: Void = made.serve(listener, Wire.echo)
            let client = try await TCPStream.connect(to: listener.address, on: loop)
            try await client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n")
            // The answer has been sent, and the connection would be closed by now: writing into it would fail.
            var all = try await client.read() ?? []
            for _ in 0..<10 { try await client.write([UInt8](repeating: 1, count: 100_000)) }
            try await client.closeWriting()
            while let bytes = try await client.read() { all += bytes }
            client.close()
            listener.shutdown()
            try await serving
            return String(decoding: all, as: UTF8.self)
        }
        #expect(Wire.statuses(in: answer) == [413])
    }

    @Test("are the fields behind a body", arguments: Wire.Pace.allCases)
    func trailers(pace: Wire.Pace) async throws {
        func request(_ trailer: String) -> String {
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\(trailer)\r\n"
        }
        #expect(try await statuses(request("A: b\r\n"), pace) == [200])
        #expect(try await statuses(request(String(repeating: "a:\r\n", count: 101)), pace) == [431])
        let long = "A: " + String(repeating: "x", count: 4_000) + "\r\n"
        #expect(try await statuses(request(long + long + long), pace) == [431])
    }

    @Test("is what surrounds a chunk, byte by byte")
    func framing() async throws {
        let zeros =
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + String(repeating: "0", count: 20_000)
        #expect(try await statuses(zeros + "5\r\nhello\r\n0\r\n\r\n", .byteByByte) == [400])
    }

    @Test("is the number of requests on a connection")
    func requests() async throws {
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        #expect(try await statuses(get + get + get, .atOnce) { $0.limits.requestsPerConnection = 2 } == [200, 200])
    }

    // MARK: Time

    /// What comes back, and after how many seconds of virtual time the connection has ended.
    private func timed(
        _ bytes: String, every interval: Duration? = nil, _ change: (inout HTTPServer) -> Void = { _ in },
        _ handler: @escaping HTTPServer.Handler = Wire.echo
    ) async throws -> (statuses: [Int], seconds: Int64) {
        var server = HTTPServer()
        change(&server)
        let made = server
        return try await withLoop(Setting.virtual[0]) { loop in
            let (client, stream) = MemoryStream.pair()
            let begin = loop.now
            async let serving: Void = made.serve(stream: stream, on: loop, handler)
            async let writing: Void = {
                for byte in Array(bytes.utf8) {
                    if let interval { try await loop.sleep(for: interval) }
                    try await client.write([byte])
                }
            }()
            let received = try await client.readAll()
            let end = begin.duration(to: loop.now).components.seconds
            client.close()
            try? await writing
            try await serving
            return (Wire.statuses(in: String(decoding: received, as: UTF8.self)), end)
        }
    }

    @Test("is the time that a head takes in all, however it trickles")
    func headTimeout() async throws {
        let head = "GET / HTTP/1.1\r\nHost: a\r\nA: " + String(repeating: "x", count: 100)
        #expect(try await timed(head, every: .seconds(1)) == ([408], 10))
        #expect(try await timed("") == ([], 10))
        let first = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        #expect(try await timed(first + "G") == ([200, 408], 10))
    }

    @Test("is the time between two requests")
    func keepAliveTimeout() async throws {
        #expect(try await timed("GET / HTTP/1.1\r\nHost: a\r\n\r\n") == ([200], 60))
    }

    @Test("is the time in which nothing comes of a body that is waited for")
    func bodyTimeout() async throws {
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel"
        #expect(try await timed(post) == ([408], 30))
        let last = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhel"
        #expect(try await timed(last) == ([408], 30))
        let slow = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhello"
        // 52 bytes of head within its time, then one of the body every tenth of a second, and then no more.
        let (statuses, seconds) = try await timed(slow, every: .milliseconds(100))
        #expect(statuses == [408])
        #expect(seconds >= 35 && seconds <= 37)
    }

    @Test("is the time that a handler takes, if that is limited")
    func requestTimeout() async throws {
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        let result = try await timed(get + get) {
            $0.requestTimeout = .seconds(3)
        } _: { _ in
            try await EventLoop.required().sleep(for: .seconds(1_000))
            return .text("late")
        }
        #expect(result == ([503], 3))
    }

    @Test("is the time in which it takes nothing of a response")
    func slowReader() async throws {
        let seconds = try await withLoop(Setting.virtual[0]) { loop in
            let (client, stream) = MemoryStream.pair()
            let begin = loop.now
            async let serving: Void = HTTPServer().serve(stream: stream, on: loop) { _ in
                HTTPServer.Response(body: HTTPBody([UInt8](repeating: 1, count: 1 << 20)))
            }
            try await client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            try await serving
            client.close()
            return begin.duration(to: loop.now).components.seconds
        }
        #expect(seconds == 30)
    }
}

extension EventLoop {
    /// The one that runs here.
    static func required() throws -> EventLoop {
        guard let loop = EventLoop.current else { throw EventLoopError.noLoop }
        return loop
    }
}
#endif
