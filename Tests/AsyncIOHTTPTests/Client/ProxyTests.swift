#if HTTP
import AsyncIO
import AsyncIOTestSupport
import AsyncIOTesting
import HTTPTypes
import Testing

@testable import AsyncIOHTTP

@Suite("Through a proxy", .timeLimit(.minutes(10)))
struct ProxyTests {
    /// What a proxy sees, and how the request ends.
    private func through(
        _ setting: Setting, script: @escaping ScriptedServer.Script,
        _ body: @escaping @Sendable (HTTPClient) async throws -> String
    ) async throws -> (String, [SeenRequest], HTTPClientError.Reason?) {
        try await withLoop(setting, faults: SimulationFaults()) { loop in
            try await ScriptedServer.run(on: loop, script) { proxy in
                var configuration = HTTPClient.Configuration.pretendingTLS
                let port = proxy.port
                configuration.proxy = .environment
                configuration.environment = { name in
                    name.hasSuffix("_proxy") && name != "no_proxy" ? "http://anna:secret@127.0.0.1:\(port)" : nil
                }
                return try await HTTPClient.withClient(configuration, on: loop) { client in
                    do {
                        return (try await body(client), proxy.requests, nil)
                    } catch let error as HTTPClientError {
                        return ("\(error)", proxy.requests, error.reason)
                    }
                }
            }
        }
    }

    @Test("http is asked for by whole URLs, on one connection for all servers", arguments: Setting.everywhere)
    func absolute(setting: Setting) async throws {
        let (text, requests, _) = try await through(setting) { guest in
            while let request = try await guest.request() { try await guest.answer("200 OK", [], request.target) }
        } _: { client in
            let first = try await client.get("http://one.example/a?b").body.text()
            return try await first + " " + client.get("http://two.example:81/").body.text()
        }
        #expect(text == "http://one.example/a?b http://two.example:81/")
        #expect(
            requests.map { $0["host"] } == ["one.example", "two.example:81"] && requests.map(\.connection) == [0, 0])
        #expect(requests.allSatisfy { $0["proxy-authorization"] == "Basic YW5uYTpzZWNyZXQ=" })
    }

    @Test("https goes through a tunnel, and the proxy's password does not", arguments: Setting.everywhere)
    func tunnel(setting: Setting) async throws {
        let (text, requests, _) = try await through(setting) { guest in
            _ = try await guest.request()
            try await guest.send("HTTP/1.1 200 Connection Established\r\nX: y\r\n\r\n")
            while let request = try await guest.request() { try await guest.answer("200 OK", [], request.line) }
        } _: { client in
            let first = try await client.get("https://one.example/a").body.text()
            return try await first + "\n" + client.get("https://one.example/b").body.text()
        }
        #expect(text == "GET /a HTTP/1.1\nGET /b HTTP/1.1")
        #expect(requests.map(\.line) == ["CONNECT one.example:443 HTTP/1.1", "GET /a HTTP/1.1", "GET /b HTTP/1.1"])
        #expect(requests.map { $0["proxy-authorization"] != nil } == [true, false, false])
    }

    @Test(
        "a tunnel that is refused is an error with the proxy's status", arguments: Setting.everywhere, [403, 407, 502])
    func refused(setting: Setting, status: Int) async throws {
        let (text, _, reason) = try await through(setting) { guest in
            _ = try await guest.request()
            try await guest.answer("\(status) No", [], "not for you")
            try await guest.waitForEnd()
        } _: { client in
            try await client.get("https://one.example/a").body.text()
        }
        #expect(reason == .proxyRefused(status: status) && !text.contains("secret"))
    }

    @Test("what a proxy says behind its answer to CONNECT is not the server's word", arguments: Setting.simulated)
    func injection(setting: Setting) async throws {
        let (text, _, _) = try await through(setting) { guest in
            _ = try await guest.request()
            try await guest.send("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            try await guest.waitForEnd()
        } _: { client in
            let failure = await thrown { try await client.get("https://one.example/a") }
            return "\(failure.map { "\($0)" } ?? "none")"
        }
        #expect(text.hasPrefix("502") && text.contains("CONNECT"), "\(text)")
    }

    @Test("without TLS, https is refused before anything is connected", arguments: Setting.everywhere)
    func noTLS(setting: Setting) async throws {
        #if !TLS
        let (reason, connections) = try await withServer(setting) { guest in
            try await guest.waitForEnd()
        } _: { server, client in
            let reason = await failureReason { try await client.get(server.url().replacing("http:", with: "https:")) }
            return (reason, server.connections)
        }
        #expect(reason == .tlsIsMissing && connections == 0)
        #endif
    }
}
#endif
