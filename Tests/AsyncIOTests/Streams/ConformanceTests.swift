import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTesting
import Testing

/// A kind of stream that has to pass the conformance suite: how its connected pairs are made, and what it can do.
struct StreamKind: Sendable, CustomTestStringConvertible {
    let name: String
    var can = StreamCapabilities.all
    /// More than all that lies between the ends holds: the kernel lets its buffers grow to some 10 MiB for TCP.
    var bulk = 4 << 20
    /// Whether its two ends differ.
    var isLopsided = false
    let makePair: @Sendable (EventLoop) async throws -> StreamStand.Pair

    var testDescription: String { name }

    static let all = [
        StreamKind(name: "memory") { _ in MemoryStream.pair() },
        StreamKind(name: "memory, 64 bytes", bulk: 200_000) { _ in MemoryStream.pair(capacity: 64) },
        StreamKind(name: "memory, 1,000 bytes", bulk: 1 << 20) { _ in MemoryStream.pair(capacity: 1_000) },
        StreamKind(name: "TCP, IPv4", bulk: 24 << 20) { try await tcp("127.0.0.1", on: $0) },
        StreamKind(name: "TCP, IPv6", bulk: 24 << 20) { try await tcp("::1", on: $0) },
        StreamKind(name: "Unix socket", can: .closeIsSeen) { try await UnixStream.pair(on: $0) },
        StreamKind(name: "pipes", can: .closeIsSeen) { try await PipeStream.pair(on: $0) },
        StreamKind(name: "TCP through a proxy", bulk: 48 << 20, isLopsided: true) { loop in
            let (client, near) = try await tcp("127.0.0.1", on: loop)
            let (far, server) = try await tcp("127.0.0.1", on: loop)
            proxy(near, far, on: loop)
            return (client, server)
        },
        StreamKind(name: "memory through a proxy", bulk: 1 << 20, isLopsided: true) { loop in
            let (client, near) = MemoryStream.pair(capacity: 5_000)
            let (far, server) = MemoryStream.pair(capacity: 1_000)
            proxy(near, far, on: loop)
            return (client, server)
        },
    ]

    private static func tcp(_ host: String, on loop: EventLoop) async throws -> (TCPStream, TCPStream) {
        let listener = try await TCPListener.bind(host, 0, on: loop)
        let client = try await TCPStream.connect(to: listener.address, on: loop)
        let server = try await listener.accept()
        listener.close()
        return (client, server)
    }

    /// Stands between two connections until both directions have ended, or one has failed.
    private static func proxy<Near: ByteStream, Far: ByteStream>(_ near: Near, _ far: Far, on loop: EventLoop) {
        loop.spawn(name: "proxy") {
            defer {
                near.close()
                far.close()
            }
            do { _ = try await copyBidirectional(near, far) } catch is IOError {}
        }
    }
}

@Suite("Conformance: what every stream does", .timeLimit(.minutes(30)))
struct ConformanceTests {
    @Test(
        arguments: StreamScenario.all, Setting.all.flatMap { setting in StreamKind.all.map { (setting, $0) } })
    func scenario(_ scenario: StreamScenario, on stand: (setting: Setting, kind: StreamKind)) async throws {
        try await withLoop(stand.setting, limit: .seconds(60)) { loop in
            try await Watchdog.watch("\(scenario), on \(stand.kind.name)", limit: .seconds(60)) {
                let ends = stand.kind.isLopsided || Stress.isOn ? StreamScenario.Ends.both : .first
                try await scenario.run(can: stand.kind.can, bulk: stand.kind.bulk, from: ends) {
                    try await stand.kind.makePair(loop)
                }
            }
        }
    }
}
