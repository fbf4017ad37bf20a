import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTransports
import SystemPackage
import Testing

/// Makes witnesses, and remembers them.
final class Casting: Sendable {
    private let made = Log<Witness>()
    private let script: Script
    private let keepsBytes: Bool

    init(_ script: Script = Script(), keepsBytes: Bool = true) {
        self.script = script
        self.keepsBytes = keepsBytes
    }

    func make(_ loop: EventLoop) -> Witness {
        let witness = Witness(loop: loop, script, keepsBytes: keepsBytes)
        made.add(witness)
        return witness
    }

    var all: [Witness] { made.all }

    /// Waits until so many are connected.
    func connected(_ count: Int) async {
        await until { made.count >= count }
        for witness in all { await witness.isMade.pass() }
    }
}

@Suite("A server of transports")
struct TransportServerTests {
    @Test("each connection gets a protocol of its own", arguments: Setting.everywhere)
    func ownProtocol(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let casting = Casting(.echo)
            let server = try await loop.createServer("127.0.0.1", 0) { casting.make($0) }
            #expect(server.isServing)
            var clients: [(Transport, Witness)] = []
            for _ in 0..<3 { clients.append(try await loop.createConnection(to: server.address) { Witness(loop: $0) }) }
            for (index, (transport, _)) in clients.enumerated() {
                transport.write([UInt8](repeating: 1, count: index + 1))
            }
            for (index, (transport, witness)) in clients.enumerated() {
                await until { witness.count == index + 1 }
                #expect(transport.peer == server.address)
                transport.writeEOF()
                await witness.isLost.pass()
                expectCalls([.made, .data(index + 1), .eof, .lost(nil)], of: witness)
            }
            server.close()
            try await server.waitClosed()
            #expect(casting.all.map(\.count).sorted() == [1, 2, 3])
            for witness in casting.all { expectCalls([.made, .data(witness.count), .eof, .lost(nil)], of: witness) }
        }
    }

    @Test("a transport knows both addresses", arguments: Setting.everywhere)
    func addresses(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let casting = Casting()
            let server = try await loop.createServer("127.0.0.1", 0) { casting.make($0) }
            let port = server.address.port ?? 0
            let (client, _) = try await loop.createConnection("127.0.0.1", port) { Witness(loop: $0) }
            await casting.connected(1)
            let line = try #require(casting.all.first?.line)
            #expect(line.local == server.address)
            #expect(line.peer == client.local)
            #expect(client.local?.port != server.address.port)
            #expect("\(server)" == "TransportServer(\(server.address))")
            #expect("\(client)" == "Transport(TCPStream(\(server.address)))")
            #expect(client.stream is TCPStream)
            client.abort()
            server.close()
            try await server.waitClosed()
        }
    }

    @Test("a server that starts later keeps those who come until then", arguments: Setting.everywhere)
    func startsLater(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let casting = Casting()
            let server = try await loop.createServer("127.0.0.1", 0, start: .later) { casting.make($0) }
            #expect(!server.isServing)
            let (client, _) = try await loop.createConnection(to: server.address) { Witness(loop: $0) }
            for _ in 0..<100 { await EventLoop.yield() }
            #expect(casting.all.isEmpty)
            server.startServing()
            server.startServing()
            await casting.connected(1)
            #expect(server.isServing)
            client.close()
            server.close()
            try await server.waitClosed()
        }
    }

    @Test(
        "close stops listening and leaves connections alone; waitClosed waits for them", arguments: Setting.everywhere)
    func closes(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let casting = Casting(.echo)
            let server = try await loop.createServer("127.0.0.1", 0) { casting.make($0) }
            let (client, witness) = try await loop.createConnection(to: server.address) { Witness(loop: $0) }
            await casting.connected(1)
            server.close()
            server.close()
            #expect(!server.isServing)
            let isClosed = Gate()
            let waiting = loop.spawn {
                try await server.waitClosed()
                isClosed.open()
            }
            let refused = try await ioError {
                try await loop.createConnection(to: server.address) { Witness(loop: $0) }
            }
            #expect(refused.code == .connectionRefused)
            client.write([1])
            await until { witness.count == 1 }
            #expect(!isClosed.isOpen)
            client.close()
            try await waiting.value
            #expect(server.clients.isEmpty)
            #expect(casting.all.map(\.isLost.isOpen) == [true])
        }
    }

    @Test("a server that never served is closed at once, and does not start again", arguments: Setting.everywhere)
    func closedBeforeStart(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let server = try await loop.createServer("127.0.0.1", 0, start: .later) { Witness(loop: $0) }
            server.close()
            try await server.waitClosed()
            server.startServing()
            #expect(!server.isServing)
            let error = try await ioError { try await server.serveForever() }
            #expect(error.code == .badFileDescriptor)
        }
    }

    @Test("closeClients closes each, after what it has written", arguments: Setting.everywhere)
    func closesClients(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let casting = Casting(Script(made: { $0.write("hello") }))
            let server = try await loop.createServer("127.0.0.1", 0) { casting.make($0) }
            var witnesses: [Witness] = []
            for _ in 0..<3 {
                witnesses.append(try await loop.createConnection(to: server.address) { Witness(loop: $0) }.protocol)
            }
            await casting.connected(3)
            #expect(server.clients.count == 3)
            server.closeClients()
            for witness in witnesses {
                await witness.isLost.pass()
                expectCalls([.made, .data(5), .eof, .lost(nil)], of: witness)
            }
            // Closing clients is not closing the server.
            #expect(server.isServing)
            server.close()
            try await server.waitClosed()
        }
    }

    @Test("abortClients breaks each off: the peers get a reset", arguments: Setting.all)
    func abortsClients(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let casting = Casting()
            let server = try await loop.createServer("127.0.0.1", 0) { casting.make($0) }
            let peer = try Peer(to: server.address)
            await casting.connected(1)
            server.close()
            server.abortClients()
            try await server.waitClosed()
            #expect(casting.all.map(\.calls) == [[.made, .lost(nil)]])
            await #expect(throws: Errno.connectionReset) {
                try await AsyncIOTestSupport.onThread {
                    do { _ = try peer.receive() } catch let error as IOError { throw error.code }
                }
            }
        }
    }

    @Test(
        "serveForever serves until it is cancelled; then all have ended, and it throws", arguments: Setting.everywhere)
    func servesForever(_ setting: Setting) async throws {
        let reports = Errors()
        try await withLoop(setting, reports: reports) { loop in
            let casting = Casting(Script(eof: { _ in true }))
            let server = try await loop.createServer("127.0.0.1", 0, start: .later) { casting.make($0) }
            let serving = loop.submit { try await server.serveForever() }
            let (client, witness) = try await loop.createConnection(to: server.address) { Witness(loop: $0) }
            await casting.connected(1)
            let second = try await ioError { try await server.serveForever() }
            #expect(second.code == .resourceBusy)
            client.write([1, 2, 3])
            await until { casting.all[0].count == 3 }
            serving.cancel()
            await #expect(throws: CancellationError.self) { try await serving.value }
            expectCalls([.made, .data(3), .lost(nil)], of: casting.all[0])
            #expect(!server.isServing)
            #expect(server.clients.isEmpty)
            try await server.waitClosed()
            await witness.isLost.pass()
            expectCalls([.made, .eof, .lost(nil)], of: witness)
        }
        #expect(reports.lines == [])
    }

    @Test(
        "serveForever returns when somebody closes the server, and its last connection has ended",
        arguments: Setting.everywhere)
    func returns(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let server = try await loop.createServer("127.0.0.1", 0) { Witness(loop: $0) }
            let serving = loop.submit { try await server.serveForever() }
            let (client, _) = try await loop.createConnection(to: server.address) { Witness(loop: $0) }
            await until { !server.clients.isEmpty }
            server.close()
            client.close()
            try await serving.value
        }
    }

    @Test("a factory that throws costs its connection, and the server goes on", arguments: Setting.everywhere)
    func factoryThrows(_ setting: Setting) async throws {
        let reports = Errors()
        try await withLoop(setting, reports: reports) { loop in
            let attempts = Counter()
            let casting = Casting(.echo)
            let server = try await loop.createServer("127.0.0.1", 0) { loop in
                if attempts.add() == 1 { throw Refusal() }
                return casting.make(loop)
            }
            let (_, first) = try await loop.createConnection(to: server.address) { Witness(loop: $0) }
            await first.isLost.pass()
            let (client, second) = try await loop.createConnection(to: server.address) { Witness(loop: $0) }
            client.write([1])
            await until { second.count == 1 }
            client.close()
            server.close()
            try await server.waitClosed()
        }
        #expect(reports.all.compactMap { $0.error as? Refusal } == [Refusal()])
    }

    @Test("a connection that nobody answers throws, and calls nothing", arguments: Setting.all)
    func refused(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let nobody = try Peer(boundTo: .loopback(port: 0))
            let address = try nobody.localAddress()
            let casting = Casting()
            let error = try await ioError { try await loop.createConnection(to: address) { casting.make($0) } }
            #expect(error.code == .connectionRefused)
            #expect(casting.all.isEmpty)
        }
    }

    @Test("a client's factory that throws closes the connection", arguments: Setting.everywhere)
    func clientFactoryThrows(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let casting = Casting()
            let server = try await loop.createServer("127.0.0.1", 0) { casting.make($0) }
            await #expect(throws: Refusal.self) {
                try await loop.createConnection(to: server.address) { _ -> Witness in throw Refusal() }
            }
            await until { casting.all.count == 1 && casting.all[0].isLost.isOpen }
            server.close()
            try await server.waitClosed()
        }
    }

    @Test("a Unix server serves at its path, and takes its file away", arguments: Setting.everywhere)
    func unix(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let path = "/tmp/asyncio-transports-\(UInt64.random(in: 0 ... .max)).sock"
            let casting = Casting(.echo)
            let server = try await loop.createUnixServer(path) { casting.make($0) }
            let expected = try SocketAddress.unix(path: path)
            #expect(server.address == expected)
            let (client, witness) = try await loop.createUnixConnection(path) { Witness(loop: $0) }
            #expect(client.peer == server.address)
            client.write("hello")
            await until { witness.count == 5 }
            client.writeEOF()
            await witness.isLost.pass()
            expectCalls([.made, .data(5), .eof, .lost(nil)], of: witness)
            server.close()
            try await server.waitClosed()
            let gone = try await ioError { try await loop.createUnixConnection(path) { Witness(loop: $0) } }
            #expect(gone.code == .noSuchFileOrDirectory)
        }
    }

    @Test("beyond the connection limit, those who come wait until one has gone", arguments: Setting.everywhere)
    func limited(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let casting = Casting()
            let server = try await loop.createServer("127.0.0.1", 0, connectionLimit: 1) { casting.make($0) }
            let (first, _) = try await loop.createConnection(to: server.address) { Witness(loop: $0) }
            await casting.connected(1)
            let (second, _) = try await loop.createConnection(to: server.address) { Witness(loop: $0) }
            for _ in 0..<100 { await EventLoop.yield() }
            #expect(casting.all.count == 1)
            first.close()
            await casting.connected(2)
            second.close()
            server.close()
            try await server.waitClosed()
        }
    }
}
