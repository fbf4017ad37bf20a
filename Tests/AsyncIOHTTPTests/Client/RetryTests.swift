#if HTTP
import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import HTTPTypes
import Testing

@testable import AsyncIOHTTP

/// E12.
@Suite("A connection that dies between two requests", .timeLimit(.minutes(10)))
struct RetryTests {
    /// Answers one request on each connection, keeps it open, and closes it when the next one has come: too late for
    /// the client to know.
    private static let closesOnSecond: ScriptedServer.Script = { guest in
        _ = try await guest.request()
        try await guest.answer("200 OK", [], "\(guest.number)")
        _ = try await guest.request()
    }

    @Test("costs a GET nothing: it is sent once more, on a fresh connection", arguments: Setting.everywhere)
    func getIsRepeated(setting: Setting) async throws {
        let (texts, requests) = try await withServer(setting, script: Self.closesOnSecond) { server, client in
            var texts: [String] = []
            for _ in 0..<3 { texts.append(try await client.get(server.url()).body.text()) }
            return (texts, server.requests.map(\.connection))
        }
        #expect(texts == ["0", "1", "2"] && requests == [0, 0, 1, 1, 2])
    }

    @Test("is an error for a POST, which is never sent again", arguments: Setting.everywhere, ["bytes", "made"])
    func postIsNotRepeated(setting: Setting, kind: String) async throws {
        let (reason, requests) = try await withServer(setting, script: Self.closesOnSecond) { server, client in
            _ = try await client.get(server.url()).body.text()
            let body = kind == "bytes" ? HTTPBody("x") : HTTPBody(length: 1) { try await $0.write([120]) }
            let reason = await failureReason { try await client.post(server.url(), body: body) }
            return (reason, server.requests.map(\.method))
        }
        #expect(reason == .noResponse && requests == ["GET", "POST"])
    }

    @Test("repeats a PUT whose body is all there, and not one whose body was made", arguments: Setting.everywhere)
    func putIsRepeated(setting: Setting) async throws {
        let (reason, bodies) = try await withServer(setting, script: Self.closesOnSecond) { server, client in
            _ = try await client.get(server.url()).body.text()
            _ = try await client.put(server.url(), body: "bytes").expectSuccess().body.text()
            let made = HTTPBody(length: 4) { try await $0.write("made") }
            let reason = await failureReason { try await client.put(server.url(), body: made) }
            return (reason, server.requests.map(\.text))
        }
        #expect(reason == .noResponse && bodies == ["", "bytes", "bytes", "made"])
    }

    @Test(
        "a server that never answers is asked once on a fresh connection, and twice in all",
        arguments: Setting.everywhere)
    func onceOnly(setting: Setting) async throws {
        let (reasons, requests) = try await withServer(setting) { guest in
            _ = try await guest.request()
            if guest.number > 0 { return }
            try await guest.answer()
            _ = try await guest.request()
        } _: { server, client in
            _ = try await client.get(server.url()).body.bytes()
            let first = await failureReason { try await client.get(server.url()) }
            let second = await failureReason { try await client.get(server.url()) }
            return ([first, second], server.requests.map(\.connection))
        }
        #expect(reasons == [.noResponse, .noResponse] && requests == [0, 0, 1, 2])
    }

    @Test("after the first byte of a response, nothing is sent again", arguments: Setting.everywhere)
    func notWithinResponse(setting: Setting) async throws {
        let (failure, requests) = try await withServer(setting) { guest in
            _ = try await guest.request()
            try await guest.answer()
            _ = try await guest.request()
            try await guest.send("HTTP/1.1 2")
        } _: { server, client in
            _ = try await client.get(server.url()).body.bytes()
            let failure = await thrown { try await client.get(server.url()) }
            return (failure, server.requests.count)
        }
        #expect((failure as? HTTPError)?.status == .badGateway && requests == 2)
    }

    @Test(
        "one that the server has closed, or sent something on, is not used again", arguments: Setting.everywhere,
        ["close", "speak"])
    func notReused(setting: Setting, what: String) async throws {
        let (texts, methods) = try await withServer(setting) { guest in
            _ = try await guest.request()
            try await guest.answer("200 OK", [], "\(guest.number)")
            if what == "speak" {
                try await guest.send("HTTP/1.1 408 Request Timeout\r\nContent-Length: 3\r\n\r\nbad")
                try await guest.waitForEnd()
            }
        } _: { server, client in
            let first = try await client.post(server.url(), body: "1").body.text()
            while client.statistics.idle > 0 { try await server.loop.sleep(for: .milliseconds(1)) }
            let second = try await client.post(server.url(), body: "2").body.text()
            return ([first, second], server.requests.map(\.connection))
        }
        #expect(texts == ["0", "1"] && methods == [0, 1])
    }

    @Test("one whose response has more bytes than it said is not used again", arguments: Setting.everywhere)
    func surplus(setting: Setting) async throws {
        let (texts, connections) = try await withServer(setting) { guest in
            while try await guest.request() != nil {
                try await guest.send(
                    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            }
        } _: { server, client in
            var texts: [String] = []
            for _ in 0..<3 { texts.append(try await client.post(server.url(), body: "x").body.text()) }
            return (texts, server.connections)
        }
        #expect(texts == ["ok", "ok", "ok"] && connections == 3)
    }

    @Test("one whose response nobody has read to its end is closed", arguments: Setting.everywhere)
    func unread(setting: Setting) async throws {
        let (connections, open) = try await withServer(setting) { guest in
            while try await guest.request() != nil { try await guest.answer("200 OK", [], Bytes.pattern(100_000)) }
        } _: { server, client in
            for _ in 0..<3 {
                let response = try await client.get(server.url())
                for try await _ in response.body { break }
            }
            let open = client.statistics.connections
            return (server.connections, open)
        }
        #expect(connections == 3 && open == 0)
    }

    @Test("'Connection: close' and HTTP/1.0 are believed, on both sides", arguments: Setting.everywhere)
    func close(setting: Setting) async throws {
        let numbers = try await withServer(setting) { guest in
            while let request = try await guest.request() {
                switch request.target {
                case "/close": try await guest.answer("200 OK", ["Connection: close"])
                case "/old": try await guest.send("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")
                default: try await guest.answer()
                }
            }
        } _: { server, client in
            for path in ["/", "/close", "/", "/old", "/"] { _ = try await client.get(server.url(path)).body.bytes() }
            _ = try await client.get(server.url(), headerFields: [.connection: "close"]).body.bytes()
            _ = try await client.get(server.url()).body.bytes()
            return server.requests.map(\.connection)
        }
        #expect(numbers == [0, 0, 1, 1, 2, 2, 3])
    }
}
#endif
