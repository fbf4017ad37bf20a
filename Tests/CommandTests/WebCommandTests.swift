#if HTTP
import AsyncIOHTTP
import AsyncIOTestSupport
import Testing

/// The commands that speak HTTP, as processes; their other ends are the library's own, on a loop of its own thread.
@Suite("asyncio fetch, serve files, and the doors for browsers", .serialized)
struct WebCommandTests {
    /// Runs a body on a loop of its own thread.
    private func onLoop<Success: Sendable>(
        _ body: @escaping @Sendable (EventLoop) async throws -> Success
    ) async throws -> Success {
        let thread = try LoopThread()
        let result = await Task(executorPreference: thread.loop) { try await body(thread.loop) }.result
        await thread.shutdown()
        return try result.get()
    }

    private static func port(in line: String) throws -> UInt16 {
        let match = try #require(line.firstMatch(of: #/ on 127.0.0.1:(\d+) /#), "no port in: \(line)")
        return try #require(UInt16(match.1))
    }

    private typealias End = (code: Int32, output: String, errors: String)

    private func fetch(_ arguments: [String]) async throws -> End {
        try await waiting { try RunningCommand(["fetch"] + arguments).finish() }
    }

    /// What a body returns that blocks.
    private func waiting<Success: Sendable>(_ body: @Sendable () throws -> Success) async throws -> Success {
        let outcome = Locked<Success?>(nil)
        try await blocking {
            let success = try body()
            outcome.withLock { $0 = success }
        }
        return try #require(outcome.withLock { $0 })
    }

    @Test("what one serves, the other fetches: many at once, each under its name, and what is not there is told")
    func files() async throws {
        let (site, downloads) = (try Scratch(), try Scratch())
        for number in 0..<20 { _ = try site.file("f\(number).txt", "file \(number)\n") }
        _ = try site.file(".hidden", "no")
        let server = try RunningCommand("serve", "files", site.path, "--port", "0")
        let url = "http://127.0.0.1:\(try Self.port(in: try await waiting { try server.line() }))"
        let urls = (0..<20).map { "\(url)/f\($0).txt" }
        let end = try await fetch(
            ["--into", downloads.path, "--jobs", "5"] + urls + [url + "/nope", url + "/.hidden"])
        #expect(end.code == 1)
        #expect(end.output.contains("failed  \(url)/nope: 404 Not Found"))
        #expect(end.output.contains("20 of 22 files"))
        #expect(downloads.names().count == 20)
        for number in 0..<20 { #expect(downloads.bytes("f\(number).txt") == Array("file \(number)\n".utf8)) }
        server.interrupt()
        let last = try await waiting { try server.finish() }
        #expect(last.code == 0)
        #expect(last.output.contains("404 GET /nope\n"))
        #expect(last.output.hasSuffix("files: goodbye\n"))
        #expect(last.errors == "")
    }

    @Test("what was broken off goes on where it was, if the server still has the same; and is checked")
    func goesOn() async throws {
        let downloads = try Scratch()
        let content = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let asked = Locked<[String]>([])
        let tag = "\"one\""
        let handler: HTTPServer.Handler = { request in
            let range = request.headerFields[.range]
            asked.withLock { $0.append(range ?? "all") }
            if let range, request.headerFields[.ifRange] == tag, let start = Int(range.filter(\.isNumber)) {
                let fields: HTTPFields = [
                    .contentRange: "bytes \(start)-\(content.count - 1)/\(content.count)", .eTag: tag,
                ]
                return .init(.partialContent, headerFields: fields, body: HTTPBody(Array(content[start...])))
            }
            // The first time it breaks off in the middle.
            return .init(
                headerFields: [.eTag: tag],
                body: HTTPBody(length: content.count) { writer in
                    try await writer.write(Array(content[..<100_000]))
                    try await writer.flush()
                    throw HTTPError(.conflict, "broken off")
                })
        }
        try await onLoop { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0)
            let url = "http://\(listener.address)/data.bin"
            let serving = loop.submit { try await HTTPServer().serve(listener, handler) }
            let first = try await fetch(["--into", downloads.path, url])
            #expect(first.code == 1)
            let part = downloads.bytes("data.bin.part")?.count ?? 0
            #expect(part > 0 && part <= 100_000)
            #expect(downloads.bytes("data.bin") == nil)
            let wrong = try await fetch(["--into", downloads.path, "--sha256", String(repeating: "0", count: 64), url])
            #expect(wrong.code == 1)
            #expect(wrong.output.contains("its sha256 is"))
            #expect(downloads.bytes("data.bin") == nil)
            #expect(asked.withLock { $0 } == ["all", "bytes=\(part)-"])
            serving.cancel()
            _ = try? await serving.value
        }
    }

    @Test("two URLs with one name, lengths beyond everything, and parts of something else end well")
    func hostile() async throws {
        let downloads = try Scratch()
        let content = Array("all of the new file".utf8)
        _ = try downloads.file("changed.part", "old")
        _ = try downloads.file("changed.part.etag", "\"old\"")
        _ = try downloads.file("gap.part", "old")
        _ = try downloads.file("gap.part.etag", "\"old\"")
        _ = try downloads.file("huge.part", "old")
        _ = try downloads.file("huge.part.etag", "\"old\"")
        let handler: HTTPServer.Handler = { request in
            guard request.headerFields[.range] != nil else { return .init(body: HTTPBody(content)) }
            let ranges = ["/gap": "bytes 3-4/19", "/huge": "bytes 3-9223372036854775806/*"]
            let fields: HTTPFields = [
                .contentRange: ranges[String(request.path)] ?? "bytes 3-18/19",
                .eTag: request.path == "/changed" ? "\"new\"" : "\"old\"",
            ]
            guard request.path == "/huge" else {
                return .init(.partialContent, headerFields: fields, body: HTTPBody(Array(content[3...])))
            }
            let body = HTTPBody(length: Int.max - 1) { _ in throw HTTPError(.internalServerError, "broken off") }
            return .init(.partialContent, headerFields: fields, body: body)
        }
        let end = try await onLoop { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0)
            let serving = loop.submit { try await HTTPServer().serve(listener, handler) }
            let url = "http://\(listener.address)"
            let names = ["/a/same", "/b/same", "/changed", "/gap", "/huge"]
            let end = try await fetch(["--into", downloads.path] + names.map { url + $0 } + ["http://\u{1b}[31m/"])
            serving.cancel()
            _ = try? await serving.value
            return end
        }
        #expect(end.code == 1)
        #expect(end.output.contains("the same name as another"))
        #expect(end.output.contains("asked for the bytes from 3, and got bytes 3-4/19"))
        #expect(end.output.contains("2 of 6 files"))
        #expect(!end.output.contains("\u{1b}"))
        #expect(downloads.bytes("same") == content)
        #expect(downloads.bytes("changed") == content)
    }

    @Test("a name from a URL leads nowhere else, and a file that is there stays")
    func names() async throws {
        let downloads = try Scratch()
        _ = try downloads.file("kept.txt", "mine")
        try await onLoop { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0)
            let serving = loop.submit { try await HTTPServer().serve(listener) { _ in .text("theirs") } }
            let url = "http://\(listener.address)"
            let end = try await fetch([
                "--into", downloads.path, url + "/%2e%2e%2fevil", url + "/a/.bashrc", url + "/kept.txt",
            ])
            #expect(end.code == 1)
            #expect(end.output.contains("kept.txt is there already (--overwrite replaces it)"))
            serving.cancel()
            _ = try? await serving.value
        }
        #expect(downloads.bytes("kept.txt") == Array("mine".utf8))
        #expect(Set(downloads.names()) == ["kept.txt", "_2e_2e_2fevil", "index.html"])
    }

    @Test("browsers and plain sockets are in one chat")
    func chat() async throws {
        let server = try RunningCommand("serve", "chat", "--port", "0", "--web", "0")
        let lines = try await waiting { [try server.line(), try server.line()] }
        let port = try RunningCommand.port(in: lines[0])
        let door = try #require(lines[1].split(separator: "http://").last)
        let heard = try await onLoop { _ in
            let page = try await HTTPClient().get("http://\(door)/").body.text()
            #expect(page.contains("new WebSocket"))
            return try await WebSocket.connect("ws://\(door)/chat") { socket in
                try await socket.send("anna")
                let plain = BufferedReader(try await TCPStream.connect("127.0.0.1", port))
                try await plain.stream.write("bob\n")
                while let line = try await plain.readLine(), !line.contains("You are in") {}
                try await socket.send("hello from a page")
                // Whether the page came first or second is the loop's to say.
                var first = try await plain.readLine()
                while let line = first, line.hasPrefix("-- ") { first = try await plain.readLine() }
                try await plain.stream.write("hello from a socket\n")
                for try await message in socket where message == .text("bob: hello from a socket") { return first }
                return nil
            }
        }
        #expect(heard == "anna: hello from a page")
        server.interrupt()
        #expect(try await waiting { try server.finish() }.code == 0)
    }

    @Test("the echo speaks WebSocket")
    func echo() async throws {
        let server = try RunningCommand("serve", "echo", "--port", "0", "--websocket")
        let port = try await waiting { try server.port() }
        let back = try await onLoop { _ in
            try await WebSocket.connect("ws://127.0.0.1:\(port)/") { socket in
                try await socket.send([1, 2, 3])
                return try await socket.first { _ in true }
            }
        }
        #expect(back == .binary([1, 2, 3]))
    }
}
#endif
