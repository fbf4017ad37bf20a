import AsyncIOHTTP
import Testing

/// Runs the programs as people do, and asks them.
@Suite("The web examples", .serialized, .timeLimit(.minutes(2)))
struct WebExamplesTests {
    @Test("hello answers with the path", arguments: ["26-hello-http"])
    func hello(program: String) async throws {
        let text = try await asking(program) { client, place in try await client.get(place + "/tea").body.text() }
        #expect(text == "hello, you asked for /tea\n")
    }

    @Test(
        "other people's servers and handlers answer from our loop",
        arguments: [
            "31-nio-handlers", "32-hummingbird", "33-flyingfox",
        ])
    func others(program: String) async throws {
        let text = try await asking(program) { client, place in try await client.get(place + "/").body.text() }
        #expect(text.hasPrefix("hello"))
        #expect(text.contains("epoll") || text.contains("io_uring"), "\(text)")
    }

    @Test("the API makes, shows, lists and removes notes, and says what is wrong")
    func notes() async throws {
        try await asking("27-json-api") { client, place in
            let json: HTTPFields = [.contentType: "application/json"]
            let made = try await client.post(place + "/notes", body: #"{"title":"tea"}"#, headerFields: json)
            #expect(made.status == .created)
            #expect(made.headerFields[.location] == "/notes/1")
            let shown = try await client.get(place + "/notes/1").body.text()
            #expect(shown.contains(#""title":"tea""#))
            // JSON's members have no order, not even the same one twice.
            let all = try await client.get(place + "/notes").body.text()
            #expect(all.utf8.count == "[\(shown)]".utf8.count)
            #expect(all.contains(#""title":"tea""#) && all.contains(#""id":1"#))
            let wrong = try await client.post(place + "/notes", body: #"{"tit":"tea"}"#, headerFields: json)
            #expect(wrong.status == .badRequest)
            #expect(try await wrong.body.text().contains("title"))
            #expect(try await client.delete(place + "/notes/1").status == .noContent)
            #expect(try await client.get(place + "/notes/1").status == .notFound)
        }
    }

    @Test("the proxy passes requests and bodies on, both ways")
    func proxy() async throws {
        try await EventLoop.onTestLoop {
            let listener = try await TCPListener.bind("127.0.0.1", 0)
            let back = "http://\(listener.address)"
            try await withThrowingTaskGroup { group in
                group.addTask {
                    try await HTTPServer().serve(listener) { request in
                        var response = HTTPServer.Response(body: request.body)
                        response.headerFields[.eTag] = "\"\(request.target)\""
                        return response
                    }
                }
                try await Program.ask("28-reverse-proxy", before: [back]) { client, place in
                    let body = [UInt8](repeating: 7, count: 3_000_000)
                    let answer = try await client.post(place + "/a?b=c", body: HTTPBody(body))
                    #expect(answer.headerFields[.eTag] == "\"/a?b=c\"")
                    #expect(try await answer.body.bytes(upTo: 4_000_000) == body)
                }
                group.cancelAll()
            }
        }
    }

    @Test("the crawler visits each page of the site once, and none of another")
    func crawler() async throws {
        try await EventLoop.onTestLoop {
            let listener = try await TCPListener.bind("127.0.0.1", 0)
            let asked = Asked()
            try await withThrowingTaskGroup { group in
                group.addTask {
                    try await HTTPServer().serve(listener) { request in
                        await asked.add("\(request.path)")
                        let page = #"<a href="/a">a</a> <a href="b/">b</a> <a href="http://other.example/">c</a>"#
                        return .html(page + #"<a href="/">d</a>"#)
                    }
                }
                let result = try await Process.run(
                    Command(Program.path("29-crawler"), ["http://\(listener.address)/", "5"]))
                #expect(result.status.isSuccess)
                group.cancelAll()
            }
            let paths = await asked.paths
            #expect(Set(paths).count == paths.count)
            #expect(paths.count == 5)
            #expect(paths.contains("/a") && paths.contains("/b/") && paths.contains("/b/b/"))
        }
    }

    @Test("the clock ticks, and goes on from where a page was")
    func clock() async throws {
        let ticks = try await asking("30-sse-clock") { client, place in
            let fields: HTTPFields = [.init("Last-Event-ID") ?? .from: "41"]
            let response = try await client.get(place + "/ticks", headerFields: fields)
            var ticks: [String] = []
            for try await event in response.body.events() {
                ticks.append("\(event.id ?? "") \(event.data)")
                if ticks.count == 2 { break }
            }
            return ticks
        }
        #expect(ticks == ["42 tick 42", "43 tick 43"])
    }

    private func asking<Success: Sendable>(
        _ program: String, _ body: @escaping @Sendable (HTTPClient, String) async throws -> Success
    ) async throws -> Success {
        try await EventLoop.onTestLoop { try await Program.ask(program, body) }
    }

    private actor Asked {
        var paths: [String] = []

        func add(_ path: String) { paths.append(path) }
    }
}

extension EventLoop {
    /// Runs a body on a loop of its own thread.
    static func onTestLoop<Success: Sendable>(
        _ body: @escaping @Sendable () async throws -> Success
    ) async throws -> Success {
        let thread = try LoopThread()
        let result = await Task(executorPreference: thread.loop) { try await body() }.result
        await thread.shutdown()
        return try result.get()
    }
}
