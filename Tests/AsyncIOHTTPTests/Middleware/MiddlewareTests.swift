#if HTTP
import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import Testing

@testable import AsyncIOHTTP

@Suite("Middleware")
struct MiddlewareTests {
    private struct Mistake: Error {}

    @Test("the access log's lines keep what clients send within its quotes")
    func combined() throws {
        let connection = HTTPServer.Connection(peer: try SocketAddress(parsing: "10.0.0.1:80"))
        let request = HTTPServer.Request(
            .get, "/a\"b\\\u{1b}[31m ü", headerFields: [.userAgent: "x\" 200 \ty"], version: .http1_0,
            connection: connection)
        let exchange = HTTPServer.Exchange(
            request: request, status: .ok, bodySize: 7, duration: .zero, isComplete: true)
        #expect(
            exchange.combinedLogLine(time: HTTPDate(secondsSinceEpoch: 784_111_777))
                == #"10.0.0.1 - - [06/Nov/1994:08:49:37 +0000] "GET /a\x22b\x5c\x1b[31m \xc3\xbc HTTP/1.0" 200 7 "#
                + #""-" "x\x22 200 \x09y""#)
        #expect(exchange.combinedLogLine.hasSuffix(#""-" "x\x22 200 \x09y""#))
        let refused = HTTPServer.Exchange(
            request: HTTPServer.Request(.unknown, "-", connection: connection), status: .badRequest, bodySize: 0,
            duration: .zero, isComplete: true, isRefused: true)
        #expect(refused.combinedLogLine.hasSuffix(#" "-" 400 0 "-" "-""#))
    }

    @Test("a deadline ends a handler that takes too long, and nothing else", arguments: Setting.timeless)
    func deadline(setting: Setting) async throws {
        let result = try await withLoop(setting) { loop in
            let quick = HTTPServer.chain([HTTPServer.deadline(.seconds(5))]) { _ in
                try await loop.sleep(for: .seconds(4))
                return .text("in time")
            }
            let late = HTTPServer.chain([HTTPServer.deadline(.seconds(5))]) { _ in
                try await loop.sleep(for: .seconds(6))
                return .text("late")
            }
            let own = HTTPServer.chain([HTTPServer.deadline(.seconds(5))]) { _ in
                try await withTimeout(.seconds(1)) { try await loop.sleep(for: .seconds(2)) }
                return .text("late")
            }
            let isOwn: Bool
            do {
                _ = try await ask(own, .get, "/")
                isOwn = false
            } catch is TimeoutError {
                isOwn = true
            }
            return (try await ask(quick, .get, "/").status, try await ask(late, .get, "/").status, isOwn)
        }
        #expect(result.0 == .ok && result.1 == .serviceUnavailable && result.2)
    }

    @Test("a body's limit holds with a length and without one", arguments: [(9, true), (10, true), (11, false)])
    func bodyLimit(_ count: Int, _ isTaken: Bool) async throws {
        let handler = HTTPServer.chain([HTTPServer.bodyLimit(10)]) { request in
            .text("\(try await request.body.bytes().count)")
        }
        let bytes = Texts.page(count)
        let chunks = HTTPBody { writer in for byte in bytes { try await writer.write([byte]) } }
        for body in [HTTPBody(bytes), chunks] {
            let response = try await ask(handler, .post, "/", body: body)
            #expect(response.status == (isTaken ? .ok : .contentTooLarge))
            if isTaken { #expect(try await response.text == "\(count)") }
        }
    }

    @Test("error pages stand for errors; what is the program's own is told to it, and not to clients")
    func errorPages() async throws {
        let reported = Locked(0)
        let pages = HTTPServer.errorPages(report: { _, _ in reported.withLock { $0 += 1 } }) { error, _ in
            .html("<h1>\(error.status.code)</h1> \(error.reason)", status: error.status)
        }
        let refused = HTTPServer.chain([pages]) { _ in
            throw HTTPError(.methodNotAllowed, "no", headerFields: [.allow: "GET"])
        }
        let response = try await ask(refused, .get, "/")
        #expect(response.status == .methodNotAllowed && response.headerFields[.allow] == "GET")
        #expect(try await response.text == "<h1>405</h1> no")
        let mistaken = try await ask(HTTPServer.chain([pages]) { _ in throw Mistake() }, .get, "/")
        #expect(mistaken.status == .internalServerError && reported.withLock { $0 } == 1)
        #expect(try await !mistaken.text.contains("Mistake"))
        await #expect(throws: CancellationError.self) {
            try await ask(HTTPServer.chain([pages]) { _ in throw CancellationError() }, .get, "/")
        }
        #expect(try await ask(HTTPServer.chain([pages]) { _ in .text("x") }, .get, "/").status == .ok)
    }

    @Test("other origins get what the policy says, also with errors")
    func crossOrigin() async throws {
        var policy = CrossOriginPolicy(origins: ["https://a.example"])
        policy.allowsCredentials = true
        let handler = HTTPServer.chain([policy.middleware]) { request in
            if request.path == "/none" { throw HTTPError(.notFound, "none") }
            return .text("x")
        }
        let good: HTTPFields = [.origin: "https://a.example"]
        for target in ["/", "/none"] {
            let response = try await ask(handler, .get, target, good)
            #expect(response.headerFields[.accessControlAllowOrigin] == "https://a.example")
            #expect(response.headerFields[.accessControlAllowCredentials] == "true")
            #expect(response.headerFields[.vary] == "Origin")
            let bad = try await ask(handler, .get, target, [.origin: "https://b.example"])
            #expect(bad.headerFields[.accessControlAllowOrigin] == nil && bad.headerFields[.vary] == "Origin")
        }
        #expect(try await ask(handler, .get, "/").headerFields[.vary] == "Origin")
        var question = good
        question[.accessControlRequestMethod] = "PUT"
        let answer = try await ask(handler, .options, "/", question)
        #expect(answer.status == .noContent && answer.headerFields[.accessControlAllowMethods]?.contains("PUT") == true)
        #expect(answer.headerFields[.accessControlMaxAge] == "600")
        let open = HTTPServer.chain([CrossOriginPolicy(origins: nil).middleware]) { _ in .text("x") }
        let everywhere = try await ask(open, .get, "/", good)
        #expect(everywhere.headerFields[.accessControlAllowOrigin] == "*" && everywhere.headerFields[.vary] == nil)
    }
}
#endif
