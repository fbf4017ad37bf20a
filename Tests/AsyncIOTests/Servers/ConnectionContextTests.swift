import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import SystemPackage
import Testing

@Suite("What a handler is told of its connection", .timeLimit(.minutes(30)))
struct ConnectionContextTests {
    @Test("a number, both addresses, and the name of its task", arguments: Setting.all)
    func context(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind(to: .any(port: 0), on: loop)
            let port = try #require(listener.address.port)
            let (contexts, names) = (Log<ConnectionContext>(), Log<String?>())
            async let serving: Void = listener.serve { connection, context in
                #expect(context.peer == connection.peer)
                contexts.add(context)
                names.add(Task.name)
            }
            var wanted: [SocketAddress] = []
            for _ in 0..<3 {
                let peer = try Peer(to: .loopback(port: port))
                wanted.append(try peer.localAddress())
                #expect(try await onThread { try peer.receive() }.isEmpty)
            }
            #expect(contexts.all.map(\.id) == [1, 2, 3])
            #expect(contexts.all.map(\.peer) == wanted)
            // Where the client has dialled, and not the address that means all.
            #expect(contexts.all.allSatisfy { $0.local == .loopback(port: port) })
            #expect(contexts.all.map(\.name) == wanted.map { "connection \($0)" })
            #expect(names.all == contexts.all.map(\.name))
            listener.shutdown()
            try await serving
        }
    }

    @Test("a scope learns the address of a server that it starts, and ends it", arguments: Setting.all)
    func start(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            try await withTaskScope(name: "service") { scope in
                let address: SocketAddress = try await scope.start(name: "server") { started in
                    let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
                    started(listener.address)
                    try await listener.serve { connection in try await connection.write("hello") }
                }
                let peer = try Peer(to: address)
                #expect(try await onThread { try peer.receiveAll() } == Array("hello".utf8))
                scope.cancel()
            }
        }
    }

    @Test("statistics tell accepted, active and failed connections apart", arguments: Setting.all)
    func statistics(setting: Setting) async throws {
        struct Failure: Error {}
        try await withLoop(setting, reports: Errors()) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            async let serving: Void = listener.serve { connection in
                while let bytes = try await connection.read() {
                    if bytes == [0] { throw Failure() }
                    try await connection.write(bytes)
                }
            }
            let peers = try (0..<4).map { _ in try Peer(to: listener.address) }
            await until { listener.statistics.accepted == 4 }
            #expect(listener.statistics.active == 4)
            try peers[0].send([0])
            try peers[1].finishSending()
            await until { listener.statistics.active == 2 }
            let now = listener.statistics
            #expect(now.failed == 1 && now.accepted == 4 && now.refused == 0 && now.acceptErrors == 0)
            // Let go earlier, as an optimized build may, they would all have gone.
            withExtendedLifetime(peers) {}
            listener.shutdown()
            try await serving
            #expect(listener.statistics.active == 0)
        }
    }
}
