#if TLS
import AsyncIO
import AsyncIOLoop
@testable import AsyncIOTLS
import AsyncIOTestSupport
import Testing

@Suite("A connection by TLS that rests", .timeLimit(.minutes(5)), .enabled(if: Workshop.hasOpenSSL))
struct RestTests {
    /// Both ends of a connection, in virtual time.
    private func withPair<Result: Sendable>(
        _ setting: Setting,
        _ body: @escaping @Sendable (TLSStream, TLSStream, AsyncIOLoop.EventLoop) async throws -> Result
    ) async throws -> Result {
        let workshop = try Workshop.shared.get()
        let (connector, acceptor) = (try workshop.connector(), try workshop.acceptor("good"))
        return try await withLoop(setting) { loop in
            let (client, server) = try await safePair(over: MemoryStream.pair(), tls: acceptor, connector, on: loop)
            return try await body(client, server, loop)
        }
    }

    /// Bytes that are all others in other places.
    private static func bytes(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) } }

    @Test("gives back the memory of a long message, on both ends, and carries the next", arguments: Setting.virtual)
    func givesBack(_ setting: Setting) async throws {
        let (long, rested, answers) = try await withPair(setting) { client, server, loop in
            var answers: [[UInt8]] = []
            let answering = loop.spawn(name: "answering") {
                while let bytes = try await server.read() { try await server.write(bytes) }
            }
            let reader = BufferedReader(client)
            var used: [[Int]] = []
            for size in [20_000, 100, 50_000] {
                try await client.write(Self.bytes(size))
                answers.append(try await reader.read(exactly: size))
                used.append([client, server].map { $0.core.ask(\.usedMemory) })
                // Somebody waits on both ends.
                let waiting = loop.spawn(name: "waiting") { try await client.read() }
                try await loop.sleep(for: .seconds(3))
                used.append([client, server].map { $0.core.ask(\.usedMemory) })
                waiting.cancel()
                _ = try? await waiting.value
            }
            try await client.closeWriting()
            try await answering.value
            return ([used[0], used[4]], [used[1], used[3], used[5]], answers)
        }
        #expect(long.joined().allSatisfy { $0 >= 20_000 })
        #expect(rested.joined().allSatisfy { $0 < 8_192 })
        #expect(answers == [20_000, 100, 50_000].map(Self.bytes))
    }

    @Test("keeps what nobody has taken yet", arguments: Setting.virtual)
    func keeps(_ setting: Setting) async throws {
        let (received, used) = try await withPair(setting) { client, server, loop in
            // The first is taken as a whole, and has the connection watched; of the second some is left.
            try await client.write(Self.bytes(20_000))
            var count = 0
            while count < 20_000, let bytes = try await server.read() { count += bytes.count }
            let second = loop.spawn(name: "second") { try await server.read(upTo: 1_000) }
            try await loop.sleep(for: .milliseconds(10))
            try await client.write(Self.bytes(20_000))
            var received = try await second.value ?? []
            try await loop.sleep(for: .seconds(5))
            let used = server.core.ask(\.usedMemory)
            client.close()
            while let bytes = try await server.read(upTo: 3_000) { received += bytes }
            return (received, used)
        }
        #expect(received == Self.bytes(20_000) && used >= 16_384)
    }

    @Test("is watched until it is closed", arguments: Setting.virtual)
    func isWatched(_ setting: Setting) async throws {
        let watched = try await withPair(setting) { client, server, loop in
            try await client.write(Self.bytes(20_000))
            let before = client.core.restTimer != nil
            client.abort()
            return [before, client.core.restTimer != nil]
        }
        #expect(watched == [true, false])
    }
}
#endif
