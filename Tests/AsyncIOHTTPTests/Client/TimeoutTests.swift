#if HTTP
import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import HTTPTypes
import Testing

@testable import AsyncIOHTTP

@Suite("A server that takes its time, in virtual time", .timeLimit(.minutes(10)))
struct ClientTimeoutTests {
    private static func timeouts(_ change: (inout HTTPClient.Timeouts) -> Void) -> HTTPClient.Configuration {
        var configuration = HTTPClient.Configuration.test
        change(&configuration.timeouts)
        return configuration
    }

    /// How a request ends, and when.
    private func outcome(
        _ setting: Setting, _ configuration: HTTPClient.Configuration, script: @escaping ScriptedServer.Script,
        _ body: @escaping @Sendable (ScriptedServer, HTTPClient) async throws -> Void
    ) async throws -> (HTTPClientError.Reason?, Duration, open: Int) {
        try await withServer(setting, configuration, script: script) { server, client in
            let start = server.loop.now
            let reason = await failureReason { try await body(server, client) }
            return (reason, start.duration(to: server.loop.now), client.statistics.connections)
        }
    }

    @Test("is left when no byte of its response comes", arguments: Setting.simulated)
    func response(setting: Setting) async throws {
        let (reason, time, open) = try await outcome(setting, Self.timeouts { $0.response = .seconds(7) }) { guest in
            _ = try await guest.request()
            try await guest.waitForEnd()
        } _: { server, client in
            _ = try await client.get(server.url())
        }
        #expect(reason == .timedOut(.response) && time >= .seconds(7) && time < .seconds(8) && open == 0)
    }

    @Test("the response's time begins when the request has been sent", arguments: Setting.simulated)
    func responseAfterSlowBody(setting: Setting) async throws {
        let (reason, time, _) = try await outcome(setting, Self.timeouts { $0.response = .seconds(5) }) { guest in
            _ = try await guest.request()
            try await guest.waitForEnd()
        } _: { server, client in
            let body = HTTPBody { writer in
                for _ in 0..<10 {
                    try await writer.write("x")
                    try await server.loop.sleep(for: .seconds(3))
                }
            }
            _ = try await client.post(server.url(), body: body)
        }
        #expect(reason == .timedOut(.response) && time >= .seconds(35) && time < .seconds(36))
    }

    @Test("a response with 1xx begins the time of the one that counts anew", arguments: Setting.simulated)
    func informational(setting: Setting) async throws {
        let (reason, time, _) = try await outcome(setting, Self.timeouts { $0.response = .seconds(20) }) { guest in
            let isPatient = try await guest.request()?.target == "/once"
            for _ in 0..<2 {
                try await guest.send("HTTP/1.1 103 Early Hints\r\n\r\n")
                try await guest.stream.loop.sleep(for: .seconds(15))
            }
            if isPatient { try await guest.answer() } else { try await guest.waitForEnd() }
        } _: { server, client in
            _ = try await client.get(server.url("/once"))
            _ = try await client.get(server.url("/never"))
        }
        #expect(reason == .timedOut(.response) && time >= .seconds(65) && time < .seconds(66))
    }

    @Test("is left when a head comes byte by byte", arguments: Setting.simulated)
    func slowHead(setting: Setting) async throws {
        let (reason, time, _) = try await outcome(setting, .test) { guest in
            _ = try await guest.request()
            for byte in Array("HTTP/1.1 200 OK\r\nX-Long: aaaaaaaaaaaaaaaaaaaaaaaaaa".utf8) {
                try await guest.send([byte])
                try await guest.stream.loop.sleep(for: .seconds(1))
            }
        } _: { server, client in
            _ = try await client.get(server.url())
        }
        #expect(reason == .timedOut(.idle) && time >= .seconds(10) && time < .seconds(11))
    }

    @Test("is left when it pauses too long within a body, and not while it goes on", arguments: Setting.simulated)
    func idle(setting: Setting) async throws {
        let (reason, time, _) = try await outcome(setting, Self.timeouts { $0.idle = .seconds(4) }) { guest in
            _ = try await guest.request()
            try await guest.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
            for _ in 0..<10 {
                try await guest.send("x")
                try await guest.stream.loop.sleep(for: .seconds(3))
            }
            try await guest.waitForEnd()
        } _: { server, client in
            _ = try await client.get(server.url()).body.bytes()
        }
        #expect(reason == .timedOut(.idle) && time >= .seconds(31) && time < .seconds(32))
    }

    @Test("whoever reads slowly himself is not the server's fault", arguments: Setting.simulated)
    func slowReader(setting: Setting) async throws {
        let (reason, time, _) = try await outcome(setting, Self.timeouts { $0.idle = .seconds(4) }) { guest in
            while try await guest.request() != nil { try await guest.answer("200 OK", [], Bytes.pattern(300_000)) }
        } _: { server, client in
            let response = try await client.get(server.url())
            for try await _ in response.body { try await server.loop.sleep(for: .seconds(60)) }
        }
        #expect(reason == nil && time >= .seconds(240))
    }

    @Test("is left when it takes nothing of a request", arguments: Setting.simulated)
    func send(setting: Setting) async throws {
        let (reason, time, _) = try await outcome(setting, Self.timeouts { $0.send = .seconds(9) }) { guest in
            try await guest.stream.loop.sleep(for: .seconds(1_000))
        } _: { server, client in
            _ = try await client.put(server.url(), body: HTTPBody(Bytes.pattern(40 << 20)))
        }
        #expect(reason == .timedOut(.send) && time >= .seconds(9) && time < .seconds(10))
    }

    @Test("in all, redirects and body included", arguments: Setting.simulated, ["redirects", "body", "head"])
    func total(setting: Setting, kind: String) async throws {
        let (reason, time, open) = try await outcome(setting, Self.timeouts { $0.total = .seconds(10) }) { guest in
            while try await guest.request() != nil {
                try await guest.stream.loop.sleep(for: .seconds(3))
                switch kind {
                case "redirects": try await guest.answer("302 Found", ["Location: /"])
                case "body":
                    try await guest.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
                    while true {
                        try await guest.send("x")
                        try await guest.stream.loop.sleep(for: .seconds(1))
                    }
                default: try await guest.waitForEnd()
                }
            }
        } _: { server, client in
            _ = try await client.get(server.url()).body.bytes()
        }
        #expect(reason == .timedOut(.total) && time >= .seconds(10) && time < .seconds(11) && open == 0)
    }

    @Test("a request's own limits count instead of the client's", arguments: Setting.simulated)
    func ownTimeouts(setting: Setting) async throws {
        let (reason, time, _) = try await outcome(setting, .test) { guest in
            _ = try await guest.request()
            try await guest.waitForEnd()
        } _: { server, client in
            var request = try HTTPClient.Request(.get, server.url())
            request.timeouts = HTTPClient.Timeouts()
            request.timeouts?.response = .seconds(2)
            _ = try await client.send(request)
        }
        #expect(reason == .timedOut(.response) && time < .seconds(3))
    }

    @Test("TLS has a limit of its own", arguments: Setting.simulated)
    func tls(setting: Setting) async throws {
        var configuration = Self.timeouts { $0.tls = .seconds(6) }
        configuration.secure = { stream, _, _ in
            _ = try await stream.read(upTo: 1)
            return stream
        }
        let (reason, time, open) = try await outcome(setting, configuration) { guest in
            try await guest.waitForEnd()
        } _: { server, client in
            _ = try await client.get(server.url().replacing("http:", with: "https:"))
        }
        #expect(reason == .timedOut(.tls) && time >= .seconds(6) && time < .seconds(7) && open == 0)
    }
}
#endif
