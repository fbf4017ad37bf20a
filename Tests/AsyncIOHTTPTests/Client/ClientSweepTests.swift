#if HTTP
import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTesting
import HTTPTypes
import Testing

@testable import AsyncIOHTTP

@Suite("A client that is cancelled at every await", .timeLimit(.minutes(10)))
struct ClientSweepTests {
    private struct Held: Error {
        let statistics: HTTPClient.Statistics
    }

    /// A client whose connections lead to a server in the same process, without a network.
    private static func client(on loop: EventLoop, connections: Int = 1) -> HTTPClient {
        var configuration = HTTPClient.Configuration.test
        configuration.pool.connectionsPerServer = connections
        configuration.dial = { _ in
            let (ours, theirs) = MemoryStream.pair(capacity: 4_096)
            loop.spawn(name: "server") { try? await serve(theirs) }
            try await loop.sleep(for: .milliseconds(1))
            return ours
        }
        return HTTPClient(configuration, on: loop)
    }

    /// Answers each request with a redirect or a text, in two pieces.
    private static func serve(_ stream: MemoryStream) async throws {
        let parser = HTTPParser(.requests)
        while true {
            switch try parser.next() {
            case .end:
                if parser.requestHead?.target == "/first" {
                    try await stream.write("HTTP/1.1 307 Moved\r\nLocation: /\r\nContent-Length: 5\r\n\r\n")
                } else {
                    try await stream.write("HTTP/1.1 100 Continue\r\n\r\n")
                    try await stream.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
                }
                await EventLoop.yield()
                try await stream.write("hello")
            case .needsBytes:
                guard let bytes = try await stream.read() else { return stream.close() }
                parser.feed(bytes)
            default: break
            }
        }
    }

    /// What every run has to leave: nothing in use, nobody waiting, and a client that works.
    private static func check(_ client: HTTPClient) async throws {
        let statistics = client.statistics
        guard statistics.connections == statistics.idle, statistics.waiting == 0 else {
            throw Held(statistics: statistics)
        }
        let text = try await client.get("http://server/").body.text()
        guard text == "hello" else { throw Held(statistics: client.statistics) }
        client.close()
        while client.statistics.connections > 0 { await EventLoop.yield() }
        for _ in 0..<20 { await EventLoop.yield() }
    }

    @Test("loses no connection, whatever it was doing", arguments: ["bytes", "made", "large", "queue"])
    func sweep(kind: String) async throws {
        let sweep = try await cancelAtEveryAwait { time in
            Self.client(on: time.loop)
        } body: { client in
            switch kind {
            case "queue":
                async let first = client.get("http://server/").body.text()
                async let second = client.get("http://server/").body.text()
                _ = try await (first, second)
            default:
                let bytes = Bytes.pattern(kind == "large" ? 20_000 : 100)
                let body = kind == "made" ? HTTPBody(length: 100) { try await $0.write(bytes) } : HTTPBody(bytes)
                let path = kind == "made" ? "/" : "/first"
                let response = try await client.post("http://server\(path)", body: body)
                _ = try await response.body.bytes()
                _ = try await client.get("http://server/").body.text()
            }
        } check: { client, _ in
            try await Self.check(client)
        }
        #expect(sweep.cancellations >= (kind == "queue" ? 2 : 5), "\(sweep)")
    }
}
#endif
