#if HTTP
import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import HTTPTypes
import Testing

@testable import AsyncIOHTTP

@Suite("A client's connections", .timeLimit(.minutes(10)))
struct PoolTests {
    private static let answersAll: ScriptedServer.Script = { guest in
        while let request = try await guest.request() { try await guest.answer("200 OK", [], request.target) }
    }

    private static func pool(_ change: (inout HTTPClient.Pool) -> Void) -> HTTPClient.Configuration {
        var configuration = HTTPClient.Configuration.test
        change(&configuration.pool)
        return configuration
    }

    @Test("one carries request after request", arguments: Setting.everywhere)
    func reuse(setting: Setting) async throws {
        let (texts, connections, statistics) = try await withServer(setting, script: Self.answersAll) {
            server, client in
            var texts: [String] = []
            for number in 0..<20 { texts.append(try await client.get(server.url("/\(number)")).body.text()) }
            return (texts, server.connections, client.statistics)
        }
        #expect(texts == (0..<20).map { "/\($0)" } && connections == 1)
        #expect(statistics == HTTPClient.Statistics(connections: 1, idle: 1, waiting: 0))
    }

    @Test("are no more than the limit, and all requests get one in turn", arguments: Setting.everywhere)
    func limit(setting: Setting) async throws {
        let configuration = Self.pool { $0.connectionsPerServer = 3 }
        let (texts, connections) = try await withServer(setting, configuration, script: Self.answersAll) {
            server, client in
            let texts = try await withThrowingTaskGroup(of: String.self) { group in
                for number in 0..<60 {
                    group.addTask { try await client.get(server.url("/\(number)")).body.text() }
                }
                return try await group.reduce(into: Set<String>()) { $0.insert($1) }
            }
            return (texts, server.connections)
        }
        #expect(texts.count == 60 && (1...3).contains(connections))
    }

    @Test(
        "whoever waits for one gets it when a body has been read, or let go", arguments: Setting.everywhere,
        [true, false])
    func waiting(setting: Setting, reads: Bool) async throws {
        let configuration = Self.pool { $0.connectionsPerServer = 1 }
        let (waited, connections) = try await withServer(setting, configuration, script: Self.answersAll) {
            server, client in
            var first: HTTPClient.Response? = try await client.get(server.url("/first"))
            async let second = client.get(server.url("/second")).body.text()
            while client.statistics.waiting == 0 { try await server.loop.sleep(for: .milliseconds(1)) }
            if reads { _ = try await first?.body.bytes() }
            first = nil
            return (try await second, server.connections)
        }
        #expect(waited == "/second" && connections == (reads ? 1 : 2))
    }

    @Test("a cancelled wait takes nothing, and holds nobody up", arguments: Setting.everywhere)
    func cancelledWait(setting: Setting) async throws {
        let configuration = Self.pool { $0.connectionsPerServer = 1 }
        let (isCancelled, text, waiting) = try await withServer(setting, configuration, script: Self.answersAll) {
            server, client in
            let first = try await client.get(server.url("/first"))
            let second = server.loop.submit { try await client.get(server.url("/second")).body.text() }
            while client.statistics.waiting < 1 { try await server.loop.sleep(for: .milliseconds(1)) }
            let third = server.loop.submit { try await client.get(server.url("/third")).body.text() }
            while client.statistics.waiting < 2 { try await server.loop.sleep(for: .milliseconds(1)) }
            second.cancel()
            let failure = await thrown { try await second.value }
            _ = try await first.body.bytes()
            return (failure is CancellationError, try await third.value, client.statistics.waiting)
        }
        #expect(isCancelled && text == "/third" && waiting == 0)
    }

    @Test("wait in virtual time no longer than they may", arguments: Setting.simulated)
    func queueTimeout(setting: Setting) async throws {
        var configuration = Self.pool { $0.connectionsPerServer = 1 }
        configuration.timeouts.queue = .seconds(5)
        let (reason, waited) = try await withServer(setting, configuration, script: Self.answersAll) { server, client in
            let first = try await client.get(server.url("/first"))
            let start = server.loop.now
            let reason = await failureReason { try await client.get(server.url()) }
            let waited = start.duration(to: server.loop.now)
            _ = try await first.body.bytes()
            return (reason, waited)
        }
        #expect(reason == .timedOut(.queue) && waited >= .seconds(5) && waited < .seconds(6))
    }

    @Test("are closed when they have idled long enough, in virtual time", arguments: Setting.simulated)
    func idleTime(setting: Setting) async throws {
        let configuration = Self.pool { $0.idleTime = .seconds(20) }
        let (before, after, connections) = try await withServer(setting, configuration, script: Self.answersAll) {
            server, client in
            _ = try await client.get(server.url()).body.bytes()
            try await server.loop.sleep(for: .seconds(19))
            let before = client.statistics.idle
            _ = try await client.get(server.url()).body.bytes()
            try await server.loop.sleep(for: .seconds(19))
            _ = try await client.get(server.url()).body.bytes()
            try await server.loop.sleep(for: .seconds(21))
            return (before, client.statistics.connections, server.connections)
        }
        #expect(before == 1 && after == 0 && connections == 1)
    }

    @Test("make room for another server when there are as many as there may be", arguments: Setting.everywhere)
    func room(setting: Setting) async throws {
        let configuration = Self.pool { $0.connections = 1 }
        let statistics = try await withServer(setting, configuration, script: Self.answersAll) { server, client in
            _ = try await client.get(server.url()).body.bytes()
            return try await ScriptedServer.run(on: server.loop, Self.answersAll) { other in
                for _ in 0..<2 { _ = try await client.get(other.url()).body.bytes() }
                // Before the server ends, and its connections with it.
                return [client.statistics.connections, server.connections, other.connections]
            }
        }
        #expect(statistics == [1, 1, 1])
    }

    @Test("that cannot be opened leave their place to others", arguments: Setting.everywhere)
    func refused(setting: Setting) async throws {
        let configuration = Self.pool { $0.connections = 1 }
        let (failure, text) = try await withServer(setting, configuration, script: Self.answersAll) { server, client in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: server.loop)
            let port = listener.address.port ?? 0
            listener.shutdown()
            let failure = await thrown { try await client.get("http://127.0.0.1:\(port)/") }
            return (failure, try await client.get(server.url("/x")).body.text())
        }
        #expect((failure as? IOError)?.code == .connectionRefused && text == "/x")
    }

    @Test("end with the client: idle ones at once, the others behind their responses", arguments: Setting.everywhere)
    func closing(setting: Setting) async throws {
        let (text, reasons, left) = try await withServer(
            setting, Self.pool { $0.connectionsPerServer = 2 }, script: Self.answersAll
        ) {
            server, client in
            let first = try await client.get(server.url("/first"))
            let second = try await client.get(server.url("/second"))
            let third = server.loop.submit { try await client.get(server.url("/third")) }
            while client.statistics.waiting == 0 { try await server.loop.sleep(for: .milliseconds(1)) }
            client.close()
            let waiting = await failureReason { try await third.value }
            let late = await failureReason { try await client.get(server.url()) }
            let texts = [try await first.body.text(), try await second.body.text()]
            return (texts, [waiting, late], client.statistics.connections)
        }
        #expect(text == ["/first", "/second"] && reasons == [.closed, .closed] && left == 0)
    }

    @Test("over a Unix socket, the URL says what is asked of it", arguments: Setting.all)
    func unix(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            try await withTemporaryFolder(on: loop) { folder in
                let path = folder.appending("socket").string
                let listener = try await UnixListener.bind(path, on: loop)
                let serving = Task {
                    try await listener.serve { stream in
                        let head = try await stream.read(upTo: 4_096) ?? []
                        let line = String(decoding: head, as: UTF8.self).prefix { $0 != "\r\n" }
                        try await stream.write("HTTP/1.1 200 OK\r\nContent-Length: \(line.utf8.count)\r\n\r\n\(line)")
                    }
                }
                defer {
                    listener.shutdown()
                    serving.cancel()
                }
                var configuration = HTTPClient.Configuration.test
                configuration.unixPath = path
                try await HTTPClient.withClient(configuration, on: loop) { client in
                    let text = try await client.get("http://docker/v1/info").body.text()
                    #expect(text == "GET /v1/info HTTP/1.1")
                }
            }
        }
    }
}
#endif
