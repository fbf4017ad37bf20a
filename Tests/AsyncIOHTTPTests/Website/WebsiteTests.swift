#if HTTP
import AsyncIO
import AsyncIOTestSupport
import Testing

@testable import AsyncIOHTTP

/// A server with everything that stands on it, asked over its connection.
@Suite("A website")
struct WebsiteTests {
    private struct Greeting: Codable { var name: String }

    private static func handler(_ folder: String) throws -> HTTPServer.Handler {
        var router = Router()
        try router.get("/rooms/:id") { .text("room \($0.parameters["id"] ?? "")\n") }
        try router.post("/greetings") { request in
            let greeting = try await request.json(Greeting.self)
            return try .json(["hello": greeting.name], status: .created)
        }
        try router.post("/upload") { request in
            var lines: [String] = []
            for try await part in try request.multipart() {
                lines.append("\(part.name) \(part.safeFileName ?? "-") \(try await part.body.bytes().count)")
            }
            return .text(lines.joined(separator: "\n"))
        }
        try router.get("/events") { request in
            .events { send in
                try await send("after \(request.lastEventID ?? "nothing")", event: "hello", id: "1")
            }
        }
        try router.mount("/files", StaticFiles(folder).handler)
        return HTTPServer.chain([HTTPServer.compression(minimumSize: 100)], before: router.handler)
    }

    /// Asks, and returns the status, the fields that matter here, and the content without the chunks' frames.
    private func ask(_ head: String, _ body: String = "", on loop: EventLoop, _ folder: Scratch) async throws -> String
    {
        try folder.file("ten.txt", "0123456789")
        try folder.file("page.txt", Texts.page(20_000))
        let length = body.isEmpty ? "" : "Content-Length: \(body.utf8.count)\r\n"
        return try await Wire.answer(
            to: "\(head)\r\nHost: a\r\nConnection: close\r\n\(length)\r\n\(body)", on: loop, halfCloses: false,
            try Self.handler(folder.path))
    }

    @Test("answers what it is asked for", arguments: Setting.onRealLoop)
    func answers(setting: Setting) async throws {
        let scratch = try Scratch()
        let upload =
            "--x\r\nContent-Disposition: form-data; name=a; filename=\"../b.txt\"\r\n\r\n12345\r\n--x--\r\n"
        let requests: [(String, String, String, [String])] = [
            ("GET /rooms/7?x=1 HTTP/1.1", "", "200", ["room 7\n", "content-length: 7"]),
            ("HEAD /rooms/7 HTTP/1.1", "", "200", ["content-length: 7"]),
            ("PUT /rooms/7 HTTP/1.1", "", "405", ["allow: get, head, options"]),
            ("OPTIONS * HTTP/1.1", "", "204", ["allow: get, head, post, options"]),
            ("GET /none HTTP/1.1", "", "404", ["nothing is at /none"]),
            ("GET /files/ten.txt HTTP/1.1", "", "200", ["0123456789", "accept-ranges: bytes"]),
            (
                "GET /files/ten.txt HTTP/1.1\r\nRange: bytes=2-4", "", "206",
                ["content-range: bytes 2-4/10", "\r\n\r\n234"]
            ),
            ("HEAD /files/ten.txt HTTP/1.1", "", "200", ["content-length: 10"]),
            ("GET /files/../ten.txt HTTP/1.1", "", "400", []),
            ("GET /files HTTP/1.1", "", "308", ["location: ./files/"]),
            (
                "GET /files/page.txt HTTP/1.1\r\nAccept-Encoding: gzip", "", "200",
                ["content-encoding: gzip", "etag: w/"]
            ),
            (
                "POST /greetings HTTP/1.1\r\nContent-Type: application/json", "{\"name\":\"you\"}", "201",
                ["{\"hello\":\"you\"}"]
            ),
            ("POST /greetings HTTP/1.1\r\nContent-Type: application/json", "{}", "400", ["name is missing"]),
            ("POST /upload HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x", upload, "200", ["a b.txt 5"]),
            ("GET /events HTTP/1.1\r\nLast-Event-ID: 6", "", "200", ["event: hello\nid: 1\ndata: after 6\n\n"]),
        ]
        for (head, body, status, parts) in requests {
            let answer = try await withLoop(setting) { loop in try await self.ask(head, body, on: loop, scratch) }
            #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(head): \(answer.prefix(100))")
            for part in parts { #expect(answer.lowercased().contains(part.lowercased()), "\(head): \(answer)") }
            if head.hasPrefix("HEAD") { #expect(answer.hasSuffix("\r\n\r\n")) }
        }
    }
}
#endif
