#if HTTP
import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import HTTPTypes
import Testing

@testable import AsyncIOHTTP

/// E14.
@Suite("Credentials", .timeLimit(.minutes(10)))
struct CredentialTests {
    private static let secrets: HTTPFields = [.authorization: "Bearer secret", .cookie: "own=1", .accept: "*/*"]

    /// What the second of two requests carries when a server redirects to a place.
    private func second(
        _ setting: Setting, _ configuration: HTTPClient.Configuration = .test,
        to location: @escaping @Sendable (ScriptedServer, ScriptedServer) -> String
    ) async throws -> (SeenRequest?, HTTPClient.Response) {
        let place = Locked("")
        return try await withServer(setting, configuration) { guest in
            while let request = try await guest.request() {
                if request.target == "/first" {
                    try await guest.answer(
                        "302 Found", ["Location: \(place.withLock { $0 })", "Set-Cookie: set=1; Path=/"], "moved")
                } else {
                    try await guest.answer("200 OK", [], "there")
                }
            }
        } _: { server, client in
            try await ScriptedServer.run(on: server.loop) { guest in
                while try await guest.request() != nil { try await guest.answer("200 OK", [], "elsewhere") }
            } _: { other in
                place.withLock { $0 = location(server, other) }
                let response = try await client.get(server.url("/first"), headerFields: Self.secrets)
                _ = try await response.body.bytes()
                return (other.requests.first ?? server.requests.dropFirst().first, response)
            }
        }
    }

    @Test("go along to another path of the same origin, on the same connection", arguments: Setting.everywhere)
    func sameOrigin(setting: Setting) async throws {
        let (request, response) = try await second(setting) { server, _ in "/second" }
        #expect(
            request?["authorization"] == "Bearer secret" && request?["cookie"] == "own=1" && request?.connection == 0)
        #expect(response.history.map(\.status) == [.found] && response.url.path == "/second")
        #expect(response.history.first?.url.path == "/first")
    }

    @Test(
        "stay behind when it goes to another port or another host", arguments: Setting.everywhere,
        ["port", "host", "userinfo"])
    func otherOrigin(setting: Setting, kind: String) async throws {
        var configuration = HTTPClient.Configuration.test
        configuration.usesUserInfo = true
        let (request, _) = try await second(setting, configuration) { server, other in
            switch kind {
            case "port": "http://127.0.0.1:\(other.port)/second"
            case "host": "http://localhost:\(other.port)/second"
            default: "http://anna:secret@127.0.0.1:\(other.port)/second"
            }
        }
        #expect(request?.line == "GET /second HTTP/1.1" && request?["accept"] == "*/*")
        #expect(request?["authorization"] == nil && request?["cookie"] == nil)
    }

    @Test("of a jar go where they belong, redirected or not", arguments: Setting.everywhere)
    func jar(setting: Setting) async throws {
        var configuration = HTTPClient.Configuration.test
        let jar = CookieJar()
        configuration.cookies = jar
        let (request, _) = try await second(setting, configuration) { _, _ in "/second" }
        #expect(request?["cookie"] == "own=1; set=1")
        let (elsewhere, _) = try await second(setting, configuration) { _, other in
            "http://localhost:\(other.port)/second"
        }
        #expect(elsewhere?["cookie"] == nil)
        #expect(jar.cookies.map(\.name) == ["set"])
    }

    @Test("in a URL are sent when that is wished, and never told", arguments: Setting.everywhere, [true, false])
    func userInfo(setting: Setting, isWished: Bool) async throws {
        var configuration = HTTPClient.Configuration.test
        configuration.usesUserInfo = isWished
        let (request, shown) = try await withServer(setting, configuration) { guest in
            _ = try await guest.request()
            try await guest.answer("500 Internal Server Error")
        } _: { server, client in
            let url = server.url("/x?token=secret").replacing("127", with: "anna:secret@127", maxReplacements: 1)
            let response = try await client.get(url)
            let failure = await thrown { try response.expectSuccess() }
            return (server.requests.first, "\(response.url.subject) \(failure.map { "\($0)" } ?? "")")
        }
        #expect(request?["authorization"] == (isWished ? "Basic YW5uYTpzZWNyZXQ=" : nil))
        #expect(!shown.contains("secret") && request?["host"]?.contains("@") == false && shown.contains("500"))
    }

    @Test("are not sent from https to http: it is refused before anybody is asked", arguments: Setting.everywhere)
    func downgrade(setting: Setting) async throws {
        let (reason, requests) = try await withServer(setting, .pretendingTLS) { guest in
            while try await guest.request() != nil {
                try await guest.answer("302 Found", ["Location: http://127.0.0.1:\(await guest.port)/second"])
            }
        } _: { server, client in
            let url = server.url("/first").replacing("http:", with: "https:")
            return (await failureReason { try await client.get(url) }, server.requests.count)
        }
        #expect(reason == .redirectRefused && requests == 1)
    }

    @Test(
        "a redirect with a large body costs its connection, one with a small body does not",
        arguments: Setting.everywhere)
    func redirectBodies(setting: Setting) async throws {
        let connections = try await withServer(setting) { guest in
            while let request = try await guest.request() {
                switch request.target {
                case "/small": try await guest.answer("302 Found", ["Location: /large"], Bytes.pattern(10_000))
                case "/large": try await guest.answer("302 Found", ["Location: /"], Bytes.pattern(1_000_000))
                default: try await guest.answer("200 OK")
                }
            }
        } _: { server, client in
            try await client.get(server.url("/small")).expectSuccess()
            return server.requests.map(\.connection)
        }
        #expect(connections == [0, 0, 1])
    }

    @Test("a circle of redirects ends, and leaves no connection behind", arguments: Setting.everywhere)
    func circle(setting: Setting) async throws {
        let (reason, requests, open) = try await withServer(setting) { guest in
            while try await guest.request() != nil { try await guest.answer("301 Moved Permanently", ["Location: /"]) }
        } _: { server, client in
            let reason = await failureReason { try await client.get(server.url()) }
            return (reason, server.requests.count, client.statistics.connections)
        }
        #expect(reason == .tooManyRedirects && requests == 11 && open == 0)
    }
}
#endif
