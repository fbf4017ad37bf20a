#if HTTP
import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTesting

@testable import AsyncIOHTTP

/// A server that does what its script says, right or wrong, connection by connection.
final class ScriptedServer: Sendable {
    typealias Script = @Sendable (Guest) async throws -> Void

    let port: UInt16
    /// Where it and its clients run.
    let loop: EventLoop
    private let seen = Locked<[SeenRequest]>([])
    private let counter = Locked(0)

    private init(port: UInt16, on loop: EventLoop) {
        self.port = port
        self.loop = loop
    }

    /// Where it is.
    func url(_ path: String = "/") -> String { "http://127.0.0.1:\(port)\(path)" }

    /// What it was asked for, in order.
    var requests: [SeenRequest] { seen.withLock { $0 } }
    /// How many connections have come.
    var connections: Int { counter.withLock { $0 } }

    /// Runs a body beside a server. What its script throws is of no interest: clients break off, and shall.
    static func run<Result>(
        on loop: EventLoop, _ script: @escaping Script,
        _ body: nonisolated(nonsending) (ScriptedServer) async throws -> Result
    ) async throws -> Result {
        let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
        let server = ScriptedServer(port: listener.address.port ?? 0, on: loop)
        let serving = Task {
            try await listener.serve { stream in
                let number = server.counter.withLock { count in
                    defer { count += 1 }
                    return count
                }
                let guest = Guest(stream, number: number) { request in server.seen.withLock { $0.append(request) } }
                try? await script(guest)
                stream.close()
            }
        }
        defer {
            listener.shutdown()
            serving.cancel()
        }
        return try await body(server)
    }

    /// One connection of a client.
    final class Guest: Sendable {
        let stream: TCPStream
        /// Which one it is, from 0 on.
        let number: Int
        private let received = Locked<[UInt8]>([])
        private let note: @Sendable (SeenRequest) -> Void

        init(_ stream: TCPStream, number: Int, note: @escaping @Sendable (SeenRequest) -> Void) {
            self.stream = stream
            self.number = number
            self.note = note
        }

        /// The port that the client has called.
        var port: UInt16 { get async { await stream.local?.port ?? 0 } }

        func send(_ text: String) async throws { try await stream.write(text) }
        func send(_ bytes: [UInt8]) async throws { try await stream.write(bytes) }

        /// Sends a response with a length.
        func answer(_ status: String = "200 OK", _ fields: [String] = [], _ body: String = "") async throws {
            try await answer(status, fields, Array(body.utf8))
        }

        func answer(_ status: String, _ fields: [String], _ body: [UInt8]) async throws {
            let head = ["HTTP/1.1 \(status)", "Content-Length: \(body.count)"] + fields + ["", ""]
            try await stream.write(contentsOf: [Array(head.joined(separator: "\r\n").utf8), body])
        }

        private func read(exactly count: Int) async throws -> [UInt8]? {
            while received.withLock({ $0.count }) < count {
                guard let bytes = try await stream.read() else { return nil }
                received.withLock { $0 += bytes }
            }
            return received.withLock { all in
                defer { all.removeFirst(count) }
                return Array(all.prefix(count))
            }
        }

        private func readLine() async throws -> String? {
            while true {
                let end = received.withLock { all in all.indices.dropLast().first { all[$0] == 13 && all[$0 + 1] == 10 }
                }
                if let end {
                    return try await read(exactly: end + 2).map { String(decoding: $0.dropLast(2), as: UTF8.self) }
                }
                guard let bytes = try await stream.read() else { return nil }
                received.withLock { $0 += bytes }
            }
        }

        /// The head of the next request; nil at the end of the connection.
        func head() async throws -> SeenRequest? {
            guard let line = try await readLine() else { return nil }
            var request = SeenRequest(connection: number, line: line)
            while let field = try await readLine(), !field.isEmpty {
                let colon = field.firstIndex(of: ":") ?? field.endIndex
                let value = field[colon...].dropFirst().drop { $0 == " " }
                request.fields.append((field[..<colon].lowercased(), String(value)))
            }
            return request
        }

        /// The next request with its body; nil at the end of the connection.
        func request() async throws -> SeenRequest? {
            guard var request = try await head() else { return nil }
            if let length = request["content-length"].flatMap({ Int($0) }) {
                guard let body = try await read(exactly: length) else { return nil }
                request.body = body
            } else if request["transfer-encoding"] == "chunked" {
                while let chunk = try await chunk(), !chunk.isEmpty {
                    request.body += chunk
                    request.chunks += 1
                }
                while let field = try await readLine(), !field.isEmpty { request.trailers.append(field) }
            }
            note(request)
            return request
        }

        /// The next chunk; empty at the end of the body.
        func chunk() async throws -> [UInt8]? {
            guard let size = try await readLine().flatMap({ Int($0, radix: 16) }) else { return nil }
            if size == 0 { return [] }
            return try await read(exactly: size + 2).map { Array($0.dropLast(2)) }
        }

        /// Reads until the client has gone.
        func waitForEnd() async throws {
            while try await stream.read() != nil {}
        }
    }
}

/// A request as it came over a connection.
struct SeenRequest: Sendable {
    let connection: Int
    let line: String
    var fields: [(name: String, value: String)] = []
    var body: [UInt8] = []
    var chunks = 0
    var trailers: [String] = []

    init(connection: Int, line: String) {
        self.connection = connection
        self.line = line
    }

    subscript(name: String) -> String? { fields.first { $0.name == name }?.value }

    var method: String { String(line.prefix { $0 != " " }) }
    var target: String { String(line.split(separator: " ").dropFirst().first ?? "") }
    var text: String { String(decoding: body, as: UTF8.self) }
}

extension HTTPClient.Configuration {
    /// Without a look at the environment of whoever runs the tests.
    static var test: HTTPClient.Configuration {
        var configuration = HTTPClient.Configuration()
        configuration.environment = { _ in nil }
        return configuration
    }

    /// As ``test``, and what is `https` goes over the stream as it is.
    static var pretendingTLS: HTTPClient.Configuration {
        var configuration = test
        configuration.secure = { stream, _, _ in stream }
        return configuration
    }
}

/// Runs a body with a server and a client.
func withServer<Result: Sendable>(
    _ setting: Setting, _ configuration: HTTPClient.Configuration = .test, faults: Bool = false,
    script: @escaping ScriptedServer.Script,
    _ body: @escaping @Sendable (ScriptedServer, HTTPClient) async throws -> Result
) async throws -> Result {
    try await withLoop(setting, faults: faults ? .stormy : SimulationFaults()) { loop in
        try await ScriptedServer.run(on: loop, script) { server in
            try await HTTPClient.withClient(configuration, on: loop) { try await body(server, $0) }
        }
    }
}

/// What a body throws.
func thrown<Result>(_ body: () async throws -> Result) async -> (any Error)? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error
    }
}

/// The reason that a client gives for what it throws.
func failureReason<Result>(_ body: () async throws -> Result) async -> HTTPClientError.Reason? {
    (await thrown(body) as? HTTPClientError)?.reason
}
#endif
