#if HTTP
import AsyncIO
import AsyncIOHTTP
import AsyncIOTestSupport
import Testing

@Suite("A response", .timeLimit(.minutes(10)))
struct ResponseTests {
    private func reply(
        _ bytes: String, server: HTTPServer = HTTPServer(), reports: Errors = Errors(),
        _ handler: @escaping HTTPServer.Handler
    ) async throws -> String {
        try await withLoop(Setting.onRealLoop[0], reports: reports) { loop in
            try await Wire.answer(to: bytes, on: loop, server: server, handler)
        }
    }

    private static let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    @Test("has its length, a date, and the server's name if it has one")
    func head() async throws {
        var server = HTTPServer()
        server.name = "test/1"
        let answer = try await reply(Self.get, server: server) { _ in .text("hi") }
        #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nDate: "))
        #expect(answer.contains(" GMT\r\nServer: test/1\r\nContent-Length: 2\r\n\r\nhi"))
    }

    @Test("keeps the date and the server that the handler gives, and drops what it says of the framing")
    func ownFields() async throws {
        let answer = try await reply(Self.get) { _ in
            HTTPServer.Response(
                headerFields: [
                    .date: "now", .server: "mine", .contentLength: "7", .transferEncoding: "chunked",
                    .connection: "keep-alive",
                ], body: "hi")
        }
        #expect(answer == "HTTP/1.1 200 OK\r\nDate: now\r\nServer: mine\r\nContent-Length: 2\r\n\r\nhi")
    }

    @Test("has no second field or line in a value that comes from outside")
    func splitting() async throws {
        let evil = "a\r\nSet-Cookie: b\r\n\r\nGET\0"
        let answer = try await reply(Self.get) { _ in
            HTTPServer.Response(HTTPResponse.Status(code: 200, reasonPhrase: evil), headerFields: [.location: evil])
        }
        #expect(!answer.contains("\nSet-Cookie"))
        #expect(!answer.contains("\0"))
        #expect(Wire.statuses(in: answer) == [200])
    }

    @Test("to HEAD has the head of GET, and no body")
    func toHEAD() async throws {
        let request = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
        let known = try await reply(request) { _ in .text("hello") }
        #expect(known.hasSuffix("Content-Length: 5\r\n\r\n"))
        let told = try await reply(request) { _ in HTTPServer.Response(headerFields: [.contentLength: "77"]) }
        #expect(told.contains("Content-Length: 77\r\n"))
        #expect(told.hasSuffix("\r\n\r\n"))
        let made = try await reply(request) { _ in
            HTTPServer.Response(body: HTTPBody { _ in Issue.record("a body is made for nobody") })
        }
        #expect(made.contains("Transfer-Encoding: chunked\r\n"))
        #expect(made.hasSuffix("\r\n\r\n"))
    }

    @Test("with 204 or 304 has neither a body nor a length", arguments: [204, 304])
    func bodiless(code: Int) async throws {
        let answer = try await reply(Self.get + Self.get) { _ in
            HTTPServer.Response(HTTPResponse.Status(code: code), body: "never")
        }
        #expect(
            !answer.contains("Content-Length") && !answer.contains("Transfer-Encoding") && !answer.contains("never"))
        #expect(Wire.statuses(in: answer) == [code, code])
    }

    @Test("of unknown length comes in chunks, small pieces together, with its trailers")
    func chunked() async throws {
        let answer = try await reply(Self.get + Self.get) { _ in
            HTTPServer.Response(
                body: HTTPBody { writer in
                    try await writer.write("ab")
                    try await writer.write([])
                    try await writer.write("cd")
                    try await writer.flush()
                    try await writer.write(String(repeating: "x", count: 20_000))
                    try await writer.write("ef")
                    writer.trailerFields = [.eTag: "\"1\""]
                })
        }
        let x = String(repeating: "x", count: 20_000)
        #expect(
            Wire.body(of: answer).hasPrefix(
                "4\r\nabcd\r\n4e20\r\n\(x)\r\n2\r\nef\r\n0\r\nETag: \"1\"\r\n\r\nHTTP/1.1 200 OK"))
    }

    @Test("of unknown length ends with the connection in HTTP/1.0")
    func untilEnd() async throws {
        let request = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        let answer = try await reply(request + request) { _ in
            HTTPServer.Response(body: HTTPBody { try await $0.write("abc") })
        }
        #expect(answer.contains("Connection: close\r\n") && !answer.contains("chunked"))
        #expect(Wire.body(of: answer) == "abc")
    }

    @Test("keeps the connection by the rules of its version")
    func persistence() async throws {
        func count(_ request: String) async throws -> Int {
            Wire.statuses(in: try await reply(request + request) { _ in .text("hi") }).count
        }
        #expect(try await count("GET / HTTP/1.1\r\nHost: a\r\n\r\n") == 2)
        #expect(try await count("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") == 1)
        #expect(try await count("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n") == 1)
        #expect(try await count("GET / HTTP/1.0\r\n\r\n") == 1)
        #expect(try await count("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n") == 2)
        let kept = try await reply("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n") { _ in .text("hi") }
        #expect(kept.contains("Connection: keep-alive\r\n"))
    }

    @Test("of a handler that closes says so, and is the last")
    func closed() async throws {
        let answer = try await reply(Self.get + Self.get) { _ in
            HTTPServer.Response(headerFields: [.connection: "close"], body: "bye")
        }
        #expect(Wire.statuses(in: answer) == [200])
        #expect(answer.contains("Connection: close\r\n"))
    }

    @Test("in place of an error has the error's status, reason and fields; the connection goes on")
    func thrown() async throws {
        let answer = try await reply(Self.get + Self.get) { _ in
            throw HTTPError(.notFound, "no such room", headerFields: [.retryAfter: "5"])
        }
        #expect(Wire.statuses(in: answer) == [404, 404])
        #expect(answer.contains("Retry-After: 5\r\n") && answer.contains("no such room\n"))
    }

    @Test("in place of any other error has 500 and no word of it, which is reported")
    func failed() async throws {
        struct Secret: Error {}
        let reports = Errors()
        let answer = try await reply(Self.get + Self.get, reports: reports) { _ in throw Secret() }
        #expect(Wire.statuses(in: answer) == [500, 500])
        #expect(!answer.contains("Secret"))
        #expect(reports.all.count == 2)
        #expect(reports.all.allSatisfy { $0.error is Secret })
    }

    @Test("that is no final one becomes 500", arguments: [100, 101, 199, 0, 99])
    func notFinal(code: Int) async throws {
        let reports = Errors()
        let answer = try await reply(Self.get, reports: reports) { _ in
            HTTPServer.Response(HTTPResponse.Status(code: code))
        }
        #expect(Wire.statuses(in: answer) == [500])
        #expect(reports.all.count == 1)
    }

    @Test("that is not as long as promised breaks the connection off", arguments: [2, 4])
    func brokenPromise(written: Int) async throws {
        let reports = Errors()
        let answer = try await reply(Self.get + Self.get, reports: reports) { _ in
            HTTPServer.Response(
                body: HTTPBody(length: 3) { writer in
                    try await writer.write("x")
                    try await writer.flush()
                    try await writer.write(String(repeating: "x", count: written - 1))
                })
        }
        #expect(Wire.statuses(in: answer).count <= 1)
        #expect(Wire.body(of: answer).utf8.count < 3)
        #expect(reports.all.count == 1)
    }

    @Test("whose making fails before anything was sent becomes one that says so, and the last")
    func failsFirst() async throws {
        struct Failure: Error {}
        let reports = Errors()
        let refused = try await reply(Self.get + Self.get, reports: reports) { _ in
            HTTPServer.Response(
                body: HTTPBody { writer in
                    try await writer.write("abc")
                    throw HTTPError(.conflict, "not now")
                })
        }
        #expect(Wire.statuses(in: refused) == [409])
        #expect(Wire.body(of: refused) == "not now\n")
        #expect(reports.all.isEmpty)
        let failed = try await reply(Self.get + Self.get, reports: reports) { _ in
            HTTPServer.Response(body: HTTPBody(length: 3) { _ in throw Failure() })
        }
        #expect(Wire.statuses(in: failed) == [500])
        #expect(reports.all.count == 1)
    }

    @Test("whose making fails breaks the connection off, in chunks too")
    func brokenChunks() async throws {
        struct Failure: Error {}
        let reports = Errors()
        let answer = try await reply(Self.get + Self.get, reports: reports) { _ in
            HTTPServer.Response(
                body: HTTPBody { writer in
                    try await writer.write("abc")
                    try await writer.flush()
                    throw Failure()
                })
        }
        #expect(Wire.statuses(in: answer).count <= 1)
        #expect(!answer.contains("0\r\n\r\n"))
        #expect(reports.all.count == 1)
    }

    @Test("takes its bytes from a file, over memory and over TCP", arguments: Setting.onRealLoop)
    func file(setting: Setting) async throws {
        let content = Bytes.pattern(300_000)
        try await withLoop(setting) { loop in
            let scratch = try Scratch()
            let path = try scratch.file("file", content)
            let handler: HTTPServer.Handler = { request in
                let file = try await File.open(path)
                return HTTPServer.Response(body: HTTPBody(file: file, range: 1..<300_000))
            }
            let answer = try await Wire.answer(to: Self.get, on: loop, handler)
            #expect(answer.contains("Content-Length: 299999\r\n"))
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            async let serving: Void = HTTPServer().serve(listener, handler)
            let client = try await TCPStream.connect(to: listener.address, on: loop)
            try await client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            var all: [UInt8] = []
            while let bytes = try await client.read() { all += bytes }
            #expect(Array(all.suffix(299_999)) == Array(content.dropFirst()))
            client.close()
            listener.shutdown()
            try await serving
        }
    }

    @Test(
        "whose file is shorter than promised breaks the connection off, and is reported",
        arguments: Setting.onRealLoop)
    func shortFile(setting: Setting) async throws {
        let reports = Errors()
        try await withLoop(setting, reports: reports) { loop in
            let scratch = try Scratch()
            let path = try scratch.file("file", Bytes.pattern(1_000))
            let handler: HTTPServer.Handler = { _ in
                HTTPServer.Response(body: HTTPBody(file: try await File.open(path), range: 0..<2_000))
            }
            let answer = try await Wire.answer(to: Self.get + Self.get, on: loop, handler)
            #expect(Wire.statuses(in: answer).count <= 1)
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            async let serving: Void = HTTPServer().serve(listener, handler)
            let client = try await TCPStream.connect(to: listener.address, on: loop)
            try await client.write(Self.get)
            await #expect(throws: IOError.self) { while try await client.read() != nil {} }
            client.close()
            listener.shutdown()
            try await serving
        }
        #expect(reports.all.count == 2)
    }

    @Test("may have interim ones before it, to those who know such")
    func interim() async throws {
        let handler: HTTPServer.Handler = { request in
            try await request.inform(.earlyHints, headerFields: [.location: "/style.css"])
            await #expect(throws: (any Error).self) { try await request.inform(.ok) }
            return .text("page")
        }
        let answer = try await reply(Self.get, handler)
        #expect(answer.hasPrefix("HTTP/1.1 103 Early Hints\r\nLocation: /style.css\r\n\r\nHTTP/1.1 200 OK\r\n"))
        #expect(Wire.statuses(in: try await reply("GET / HTTP/1.0\r\n\r\n", handler)) == [200])
    }

    @Test("goes through what secures the connection; what that throws ends it")
    func secured() async throws {
        var server = HTTPServer()
        server.secured = { stream in
            let first = try await stream.read(upTo: 1)
            guard first == [0x53] else { throw HTTPError(.badRequest, "no handshake") }
            return stream
        }
        let handler: HTTPServer.Handler = { .text("\($0.connection.isSecure)") }
        #expect(try await reply("S" + Self.get, server: server, handler).hasSuffix("true"))
        #expect(try await reply("X" + Self.get, server: server, handler).isEmpty)
    }

    @Test("is told to the access log, with its size, and through middleware in order")
    func log() async throws {
        let log = Log()
        var server = HTTPServer()
        server.onResponse = { exchange in
            log.add("\(exchange.request.target) \(exchange.status.code) \(exchange.bodySize) \(exchange.isComplete)")
        }
        server.middleware = [
            { request, next in
                log.add("outer")
                var response = try await next(request)
                response.headerFields[.vary] = "x"
                return response
            },
            { request, next in
                log.add("inner")
                return try await next(request)
            },
        ]
        let answer = try await reply(Self.get, server: server) { _ in .text("hello") }
        #expect(answer.contains("Vary: x\r\n"))
        #expect(log.lines == ["outer", "inner", "/ 200 5 true"])
    }

    private static let large = "POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"

    @Test(
        "to what is refused is told to the access log as well, with what is known of it",
        arguments: [
            (get, "GET / 200"), ("GET / HTTP/1.1\r\n\r\n", "refused GET / 400"), ("\u{16}\u{3}\r\n", "refused - - 400"),
            ("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", "refused - - 501"), (large, "refused POST /large 413"),
            ("GET /x HTTP/1.1\r\nHost: a\r\nA: \(String(repeating: "x", count: 9_000))", "refused GET /x 431"),
            ("GET /e HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", "refused GET /e 417"),
            ("GET /\(String(repeating: "x", count: 9_000)) HTTP/1.1\r\nHost: a\r\n\r\n", "refused - - 414"),
            (get + "GET /2 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET / 200, refused GET /2 400"),
            ("POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "refused POST /c 400"),
            ("GET /half HTTP/1.1\r\nHo", "refused GET /half 400"), ("", ""),
        ])
    func refusedLog(bytes: String, lines: String) async throws {
        let log = Log()
        var server = HTTPServer()
        server.limits.bodySize = 99
        server.onResponse = { exchange in
            let (request, mark) = (exchange.request, exchange.isRefused ? "refused " : "")
            log.add("\(mark)\(request.method) \(request.target) \(exchange.status.code)")
        }
        _ = try await reply(bytes, server: server) { request in
            _ = try await request.body.bytes()
            return .text("hello")
        }
        #expect(log.lines.joined(separator: ", ") == lines)
    }

    @Test("that comes too late for a head is told to the access log", arguments: Setting.timeless)
    func lateLog(setting: Setting) async throws {
        let log = Log()
        var server = HTTPServer()
        server.onResponse = { log.add("\($0.request.target) \($0.status.code) \($0.isRefused) \($0.isComplete)") }
        let made = server
        let answer = try await withLoop(setting) { loop in
            try await Wire.answer(
                to: "GET /slow HTTP/1.1\r\nHost: a\r\nA: b", on: loop, server: made, halfCloses: false)
        }
        #expect(Wire.statuses(in: answer) == [408])
        #expect(log.lines == ["/slow 408 true true"])
    }

    private struct Mistake: Error {}

    @Test(
        "has what middleware says of errors, also where the server makes it of one",
        arguments: [("error", 500), ("late", 503), ("body", 500)])
    func marks(what: String, status: Int) async throws {
        let answer = try await withLoop(Setting.timeless[0], reports: Errors()) { loop in
            var server = HTTPServer()
            server.requestTimeout = .seconds(5)
            server.middleware = [CrossOriginPolicy(origins: ["http://b"]).middleware]
            let question = "GET / HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\n\r\n"
            // Another one, of which nothing is said.
            let plain = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            return try await Wire.answer(to: question + plain, on: loop, server: server, halfCloses: false) { request in
                if request.headerFields[.origin] == nil { return .text("plain") }
                switch what {
                case "error": throw Mistake()
                case "late": try await loop.sleep(for: .seconds(9))
                default: return .init(body: HTTPBody { _ in throw Mistake() })
                }
                return .text("never")
            }
        }
        let heads = answer.split(separator: "HTTP/1.1 ")
        #expect(heads[0].hasPrefix("\(status)"))
        #expect(heads[0].contains("Access-Control-Allow-Origin: http://b\r\n") && heads[0].contains("Vary: Origin\r\n"))
        #expect(heads.dropFirst().allSatisfy { !$0.contains("Access-Control") })
    }
}

/// Lines in the order in which they came.
final class Log: Sendable {
    private let all = Locked<[String]>([])
    func add(_ line: String) { all.withLock { $0.append(line) } }
    var lines: [String] { all.withLock { $0 } }
}
#endif
