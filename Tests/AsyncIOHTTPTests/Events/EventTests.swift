#if HTTP
import AsyncIO
import AsyncIOTestSupport
import Testing

@testable import AsyncIOHTTP

@Suite("Server-sent events")
struct EventTests {
    @Test(
        "are written so that no text means something else",
        arguments: [
            (ServerSentEvent("a"), "data: a\n\n"), (ServerSentEvent(""), "data: \n\n"),
            (ServerSentEvent("a\nb\r\nc\rd"), "data: a\ndata: b\ndata: c\ndata: d\n\n"),
            (ServerSentEvent("\n"), "data: \ndata: \n\n"),
            (ServerSentEvent("id: 7\n\nevent: x"), "data: id: 7\ndata: \ndata: event: x\n\n"),
            (
                ServerSentEvent(" a", event: "e", id: "7", retry: .milliseconds(1_500)),
                "event: e\nid: 7\nretry: 1500\ndata:  a\n\n"
            ),
            (ServerSentEvent("x", id: ""), "id: \ndata: x\n\n"),
            (ServerSentEvent("x", event: "a\nb"), nil), (ServerSentEvent("x", event: "a\rb"), nil),
            (ServerSentEvent("x", id: "a\r\nb"), nil), (ServerSentEvent("x", id: "\0"), nil),
        ] as [(ServerSentEvent, String?)])
    func writing(_ event: ServerSentEvent, _ text: String?) throws {
        #expect(event.encoded == text)
        guard let text else { return }
        // What is written is read again, wherever it is cut.
        var expected = event
        expected.data = event.data.split(separator: "\r\n", omittingEmptySubsequences: false).joined(separator: "\n")
            .split(separator: "\r", omittingEmptySubsequences: false).joined(separator: "\n")
        for size in 1...8 {
            var parser = EventParser(limit: 1_000)
            var events: [ServerSentEvent] = []
            let bytes = Array(text.utf8)
            for start in stride(from: 0, to: bytes.count, by: size) {
                events += try parser.feed(Array(bytes[start..<min(start + size, bytes.count)]))
            }
            #expect(events == [expected])
        }
    }

    @Test(
        "are read as the standard says",
        arguments: [
            ("data: a\n\ndata: b\n\n", ["a", "b"]), ("data:a\r\n\r\ndata: b\r\rdata: c\n\n", ["a", "b", "c"]),
            ("\u{feff}data: a\n\n", ["a"]), (": comment\n\ndata: a\n: b\n\n", ["a"]), ("data\n\n", [""]),
            ("data\ndata\n\n", ["\n"]), ("data: a", []), ("data: a\n", []), ("event: x\n\n", []), ("\n\n\n", []),
            ("other: a\nData: b\ndata: c\n\n", ["c"]), ("data:  a\n\n", [" a"]), ("data: a: b\n\n", ["a: b"]),
        ])
    func reading(_ text: String, _ data: [String]) throws {
        for size in [1, 2, 3, 1_000] {
            var parser = EventParser(limit: 1_000)
            var events: [String] = []
            let bytes = Array(text.utf8)
            for start in stride(from: 0, to: bytes.count, by: size) {
                events += try parser.feed(Array(bytes[start..<min(start + size, bytes.count)])).map(\.data)
            }
            #expect(events == data)
        }
    }

    @Test("keep their last id, and forget their kind")
    func state() throws {
        var parser = EventParser(limit: 1_000)
        let text = "id: 1\nevent: a\nretry: 100\ndata: x\n\ndata: y\n\nid: b\0d\nretry: 1s\ndata: z\n\nid\ndata: w\n\n"
        let events = try parser.feed(Array(text.utf8))
        #expect(
            events == [
                ServerSentEvent("x", event: "a", id: "1", retry: .milliseconds(100)), ServerSentEvent("y", id: "1"),
                ServerSentEvent("z", id: "1"), ServerSentEvent("w", id: ""),
            ])
    }

    @Test("have a limit, with line ends and without", arguments: ["data: ", "data: aaaaaaa\n", ":"])
    func limit(_ text: String) throws {
        var parser = EventParser(limit: 100)
        #expect(throws: HTTPError.self) {
            for _ in 0...100 { _ = try parser.feed(Array(text.utf8)) }
        }
    }

    @Test("go to a client one by one, with comments where nothing happens for long", arguments: Setting.timeless)
    func streaming(setting: Setting) async throws {
        let (head, text) = try await withLoop(setting) { loop in
            let response = HTTPServer.Response.events(keepAlive: .seconds(15)) { send in
                try await send("a", event: "x", id: "1")
                try await loop.sleep(for: .seconds(40))
                try await send("b")
                try await loop.sleep(for: .seconds(14))
                try await send.comment("end")
            }
            // On the loop, whose time it is.
            let written = WrittenBody()
            try await response.body.write(to: written)
            return (response.headerFields, written.text)
        }
        #expect(head[.contentType] == "text/event-stream" && head[.cacheControl] == "no-store")
        #expect(text == "event: x\nid: 1\ndata: a\n\n: \n\n: \n\ndata: b\n\n: end\n\n")
    }

    @Test("end when nobody listens, and when their maker fails", arguments: Setting.timeless)
    func ends(setting: Setting) async throws {
        struct Broken: Error {}
        let ended = Gate()
        let failed = try await withLoop(setting) { loop in
            let response = HTTPServer.Response.events { send in
                defer { ended.open() }
                try await send("a")
                try await loop.sleep(for: .seconds(1_000_000))
            }
            do {
                // Reads one piece, and lets go.
                var pieces: HTTPBody.AsyncIterator? = response.body.makeAsyncIterator()
                _ = try await pieces?.next()
                pieces = nil
            }
            await ended.pass()
            do {
                _ = try await HTTPServer.Response.events { _ in throw Broken() }.bytes
                return false
            } catch is Broken {
                return true
            }
        }
        #expect(failed)
    }

    @Test("say where a client has come to")
    func lastID() {
        var fields = HTTPFields()
        if let name = HTTPField.Name("Last-Event-ID") { fields[name] = "7" }
        #expect(HTTPServer.Request(.get, "/", headerFields: fields).lastEventID == "7")
        #expect(HTTPServer.Request(.get, "/").lastEventID == nil)
    }

    @Test("are read from a body", arguments: Setting.onLoop)
    func body(setting: Setting) async throws {
        let events = try await withLoop(setting) { _ in
            let response = HTTPServer.Response.events { send in
                for number in 0..<100 { try await send("\(number)", id: "\(number)") }
            }
            var events: [String] = []
            for try await event in response.body.events() { events.append("\(event.id ?? "") \(event.data)") }
            return events
        }
        #expect(events == (0..<100).map { "\($0) \($0)" })
    }
}
#endif
