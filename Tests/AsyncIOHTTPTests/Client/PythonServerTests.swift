#if HTTP
import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import HTTPTypes
import Testing

@testable import AsyncIOHTTP

@Suite("A client and Python's server", .timeLimit(.minutes(30)))
struct PythonServerTests {
    private static let script =
        #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
        .joined(separator: "/") + "/Peers/web_server.py"

    /// Runs a body beside the server, which is where this port is.
    private func withPython(
        _ setting: Setting,
        _ body: @escaping @Sendable (HTTPClient, @escaping @Sendable (String) -> String) async throws -> Void
    ) async throws {
        var configuration = HTTPClient.Configuration.test
        // What is sent here repeats itself, as bombs do.
        configuration.decompression?.ratio = 2_000
        let chosen = configuration
        try await withLoop(setting) { loop in
            let command = Command("python3", ["-B", Self.script])
            do {
                try await Process.spawn(command, output: .pipe, on: loop) { process in
                    let lines = try process.lines.makeAsyncIterator()
                    let port = try await lines.next() ?? ""
                    try await HTTPClient.withClient(chosen, on: loop) { client in
                        try await body(client) { "http://127.0.0.1:\(port)\($0)" }
                    }
                    _ = try process.signal(.kill)
                }
            } catch let error as IOError where error.code == .noSuchFileOrDirectory {
                print("skipped: python3 is not installed")
            }
        }
    }

    /// The server's bytes; a piece of them is no longer than one read.
    private static let periods: [UInt8] = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 % 251 * 7 + 3) }

    private static let sizes = [0, 1, 65_536, 1_000_003] + (Stress.isOn ? [100 << 20] : [3 << 20])

    @Test(
        "bodies of all sizes come whole, however their end is told", arguments: Setting.all,
        ["length", "chunks", "end", "gzip"])
    func download(setting: Setting, kind: String) async throws {
        try await withPython(setting) { client, url in
            for size in Self.sizes {
                let response = try await client.get(url("/\(kind)/\(size)")).expectSuccess()
                var (count, isRight) = (0, true)
                for try await piece in response.body {
                    let start = count % 251
                    isRight = isRight && piece == Array(Self.periods[start..<start + piece.count])
                    count += piece.count
                }
                #expect(count == size && isRight, "\(size)")
                #expect((response.body.trailerFields ?? [:]).isEmpty == (kind != "chunks"))
            }
            #expect(client.statistics.connections == (kind == "end" ? 0 : 1))
            #expect(try await client.head(url("/\(kind)/1000")).body.bytes() == [])
        }
    }

    @Test("bodies of all sizes go whole, with a length and in chunks", arguments: Setting.all, ["length", "chunks"])
    func upload(setting: Setting, kind: String) async throws {
        try await withPython(setting) { client, url in
            for size in Self.sizes {
                let bytes = Bytes.pattern(size)
                let body = kind == "length" ? HTTPBody(bytes) : HTTPBody { try await $0.write(bytes) }
                let text = try await client.post(url("/"), body: body).expectSuccess().body.text()
                #expect(text == "\(size) \(Self.adler32(bytes))")
            }
            #expect(client.statistics.idle == 1)
        }
    }

    @Test("many at once", arguments: Setting.all)
    func parallel(setting: Setting) async throws {
        try await withPython(setting) { client, url in
            let sizes = try await withThrowingTaskGroup(of: Int.self) { group in
                for size in 0..<300 {
                    group.addTask { try await client.get(url("/length/\(size * 100)")).body.bytes().count }
                }
                return try await group.reduce(into: Set<Int>()) { $0.insert($1) }
            }
            #expect(sizes.count == 300 && client.statistics.connections <= 20 && client.statistics.waiting == 0)
        }
    }

    private static func adler32(_ bytes: [UInt8]) -> UInt32 {
        var (low, high): (UInt32, UInt32) = (1, 0)
        for byte in bytes {
            low = (low + UInt32(byte)) % 65_521
            high = (high + low) % 65_521
        }
        return high << 16 | low
    }
}
#endif
