#if HTTP
import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import HTTPTypes
import Testing

@testable import AsyncIOHTTP

@Suite("Waiting for leave, cancelling, progress, other protocols", .timeLimit(.minutes(10)))
struct ExpectationTests {
    private func request(_ server: ScriptedServer, _ body: HTTPBody) throws -> HTTPClient.Request {
        var request = try HTTPClient.Request(.post, server.url(), body: body)
        request.expectsContinue = true
        return request
    }

    @Test("a body is sent when the server says 100", arguments: Setting.everywhere)
    func permitted(setting: Setting) async throws {
        let (status, expectation, before) = try await withServer(setting) { guest in
            let head = try await guest.head()
            try await guest.send("HTTP/1.1 100 Continue\r\n\r\n")
            let chunk = try await guest.chunk() ?? []
            _ = try await guest.chunk()
            try await guest.answer("200 OK", [], "\(head?["expect"] ?? "none") \(chunk.count)")
        } _: { server, client in
            let response = try await client.send(request(server, HTTPBody { try await $0.write("hello") }))
            return (response.status, try await response.body.text(), 0)
        }
        #expect(status == .ok && expectation == "100-continue 5" && before == 0)
    }

    @Test("a body is not sent when the server says no", arguments: Setting.everywhere)
    func refused(setting: Setting) async throws {
        let (status, text, wasMade) = try await withServer(setting) { guest in
            _ = try await guest.head()
            try await guest.answer("401 Unauthorized", [], "who?")
            try await guest.waitForEnd()
        } _: { server, client in
            let wasMade = Locked(false)
            let body = HTTPBody { _ in wasMade.withLock { $0 = true } }
            let response = try await client.send(request(server, body))
            return (response.status, try await response.body.text(), wasMade.withLock { $0 })
        }
        #expect(status == .unauthorized && text == "who?" && !wasMade)
    }

    @Test("a body is sent after a while to a server that says nothing", arguments: Setting.simulated)
    func silent(setting: Setting) async throws {
        let (text, time) = try await withServer(setting) { guest in
            let request = try await guest.request()
            try await guest.answer("200 OK", [], request?.text ?? "")
        } _: { server, client in
            let start = server.loop.now
            let text = try await client.send(request(server, "hello")).body.text()
            return (text, start.duration(to: server.loop.now))
        }
        #expect(text == "hello" && time >= .seconds(1) && time < .seconds(2))
    }

    @Test("a server that does not know the question is not asked it again", arguments: Setting.everywhere)
    func unknown(setting: Setting) async throws {
        let (text, expectations) = try await withServer(setting) { guest in
            guard let head = try await guest.head() else { return }
            if head["expect"] != nil { return try await guest.answer("417 Expectation Failed", ["Connection: close"]) }
            let chunk = try await guest.chunk()
            _ = try await guest.chunk()
            try await guest.answer("200 OK", [], String(decoding: chunk ?? [], as: UTF8.self))
        } _: { server, client in
            let response = try await client.send(request(server, HTTPBody { try await $0.write("hello") }))
            return (try await response.body.text(), server.connections)
        }
        #expect(text == "hello" && expectations == 2)
    }

    @Test(
        "a cancelled request breaks its connection off at once", arguments: Setting.everywhere,
        ["head", "body", "upload"])
    func cancelled(setting: Setting, what: String) async throws {
        let (isCancelled, open) = try await withServer(setting) { guest in
            _ = try await guest.head()
            if what == "body" { try await guest.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123") }
            // Without a look at it: nothing more is taken either.
            try await guest.stream.loop.sleep(for: .seconds(1_000))
        } _: { server, client in
            let hasBegun = Gate()
            let task = server.loop.submit {
                let body = what == "upload" ? HTTPBody(Bytes.pattern(64 << 20)) : .empty
                var request = try HTTPClient.Request(.post, server.url(), body: body)
                request.progress = { if $0.sent > 0 || $0.received > 0 { hasBegun.open() } }
                let response = try await client.send(request)
                return try await response.body.bytes()
            }
            if what == "head" {
                while server.connections == 0 { try await server.loop.sleep(for: .milliseconds(1)) }
            } else {
                await hasBegun.pass()
            }
            task.cancel()
            let failure = await thrown { try await task.value }
            return (failure is CancellationError, client.statistics.connections)
        }
        #expect(isCancelled && open == 0)
    }

    @Test("progress is told with totals, both ways", arguments: Setting.everywhere)
    func progress(setting: Setting) async throws {
        let seen = try await withServer(setting) { guest in
            _ = try await guest.request()
            try await guest.answer("200 OK", [], Bytes.pattern(200_000))
        } _: { server, client in
            let seen = Locked<[HTTPClient.Progress]>([])
            var request = try HTTPClient.Request(.post, server.url(), body: HTTPBody(Bytes.pattern(150_000)))
            request.progress = { now in seen.withLock { $0.append(now) } }
            _ = try await client.send(request).body.bytes()
            return seen.withLock { $0 }
        }
        #expect(seen.last?.sent == 150_000 && seen.last?.sentTotal == 150_000)
        #expect(seen.last?.received == 200_000 && seen.last?.receivedTotal == 200_000)
        #expect(
            seen.count >= 4
                && zip(seen, seen.dropFirst()).allSatisfy { $0.sent <= $1.sent && $0.received <= $1.received })
    }

    @Test(
        "a server that agrees goes on with another protocol, and nothing of it is lost", arguments: Setting.everywhere)
    func upgrade(setting: Setting) async throws {
        let (words, fields, open) = try await withServer(setting) { guest in
            let head = try await guest.head()
            let fields = "\(head?["connection"] ?? "") \(head?["upgrade"] ?? "")"
            try await guest.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: \(fields.count)\r\n\r\nfirst")
            let word = try await guest.stream.read() ?? []
            try await guest.send(word)
        } _: { server, client -> ([String], String?, Int) in
            let upgrade = try await client.upgrade(HTTPClient.Request(.get, server.url()), to: "word/1")
            guard let stream = upgrade.stream else { return ([], nil, 0) }
            var words = [String(decoding: try await stream.read(upTo: 100) ?? [], as: UTF8.self)]
            try await stream.write("second")
            words.append(String(decoding: try await stream.read(upTo: 100) ?? [], as: UTF8.self))
            stream.close()
            return (words, upgrade.response.headerFields[.upgrade], client.statistics.connections)
        }
        #expect(words == ["first", "second"] && fields == "\("Upgrade word/1".count)" && open == 0)
    }

    @Test("a server that does not agree has its answer read", arguments: Setting.everywhere)
    func noUpgrade(setting: Setting) async throws {
        let (status, text) = try await withServer(setting) { guest in
            _ = try await guest.request()
            try await guest.answer("426 Upgrade Required", [], "no")
        } _: { server, client in
            let upgrade = try await client.upgrade(HTTPClient.Request(.get, server.url()), to: "word/1")
            return (upgrade.response.status, try await upgrade.response.body.text())
        }
        #expect(status.code == 426 && text == "no")
    }

    @Test(
        "what contradicts itself is refused before anybody is asked",
        arguments: [
            ("Transfer-Encoding", "chunked"), ("Content-Length", "3"), ("Connection", "keep-alive, x"),
            ("Expect", "200-ok"),
            ("TE", "trailers"), ("Proxy-Authorization", "Basic x"), ("Upgrade", "h2c"),
        ])
    func contradictions(name: String, value: String) async throws {
        let reason = try await withServer(Setting.simulated[0]) { guest in
            try await guest.waitForEnd()
        } _: { server, client in
            var fields = HTTPFields()
            if let name = HTTPField.Name(name) { fields[name] = value }
            let request = fields
            return await failureReason { try await client.post(server.url(), body: "four", headerFields: request) }
        }
        #expect(reason == .invalidRequest)
    }
}
#endif
