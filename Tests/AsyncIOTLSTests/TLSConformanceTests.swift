#if TLS
import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTLS
import AsyncIOTestSupport
import AsyncIOTesting
import Testing

/// Two ends that have shaken hands over two ends of another stream.
func safePair(
    over ends: (any ByteStream, any ByteStream), host: String = "localhost", tls acceptor: TLSAcceptor,
    _ connector: TLSConnector, on loop: EventLoop
) async throws -> (client: TLSStream, server: TLSStream) {
    async let server = TLSStream.server(over: ends.1, tls: acceptor, on: loop)
    let client = try await TLSStream.client(over: ends.0, host: host, tls: connector, on: loop)
    return (client, try await server)
}

func tcpPair(on loop: EventLoop) async throws -> (TCPStream, TCPStream) {
    let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
    let client = try await TCPStream.connect(to: listener.address, on: loop)
    let server = try await listener.accept()
    listener.close()
    return (client, server)
}

@Suite("A TLS stream is a byte stream", .timeLimit(.minutes(10)), .enabled(if: Workshop.hasOpenSSL))
struct TLSConformanceTests {
    enum Ground: CaseIterable { case memory, narrow, tcp }

    @Test(arguments: StreamScenario.all, Setting.all.flatMap { setting in Ground.allCases.map { (setting, $0) } })
    func scenario(_ scenario: StreamScenario, on stand: (setting: Setting, ground: Ground)) async throws {
        let workshop = try Workshop.shared.get()
        let (acceptor, connector) = (try workshop.acceptor("good"), try workshop.connector())
        try await withLoop(stand.setting, limit: .seconds(60)) { loop in
            try await Watchdog.watch("\(scenario), over \(stand.ground)", limit: .seconds(60)) {
                let bulk = [Ground.memory: 4 << 20, .narrow: 1 << 20, .tcp: 24 << 20][stand.ground] ?? 0
                try await scenario.run(can: .all, bulk: bulk, from: .both) {
                    let ends: (any ByteStream, any ByteStream) =
                        switch stand.ground {
                        case .memory: MemoryStream.pair()
                        case .narrow: MemoryStream.pair(capacity: 1_000)
                        case .tcp: try await tcpPair(on: loop)
                        }
                    return try await safePair(over: ends, tls: acceptor, connector, on: loop)
                }
            }
        }
    }
}
#endif
