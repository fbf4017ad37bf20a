import AsyncIO
import AsyncIOKernel
import AsyncIOTesting
import SystemPackage
import Testing

@Suite("Simulated Unix sockets and pipes")
struct SimulatedLocalTests {
    @Test("connect by path and by abstract name, and tell who the peer is")
    func streams() async throws {
        try await Simulation(seed: 1).run { world in
            let host = try world.addHost("host")
            try await host.run {
                for address in [try SocketAddress.unix(path: "/run/app.sock"), try .unix(abstract: "app")] {
                    let listener = try await UnixListener.bind(to: address)
                    let client = try await UnixStream.connect(to: address)
                    let server = try await listener.accept()
                    try await client.write("ping")
                    #expect(try await server.read() == Array("ping".utf8))
                    try await server.write("pong")
                    try await server.closeWriting()
                    #expect(try await client.read() == Array("pong".utf8))
                    #expect(try await client.read() == nil)
                    #expect(try await client.peerCredentials.userID == 1000)
                    server.close()
                    let broken = await #expect(throws: IOError.self) { try await client.write("x") }
                    #expect(broken?.code == .brokenPipe)
                    client.close()
                    listener.close()
                }
            }
        }
    }

    @Test("leave no file behind, replace what a crash has left, and refuse a path in use")
    func files() async throws {
        try await Simulation(seed: 1).run { world in
            let host = try world.addHost("host")
            try await host.run {
                let listener = try await UnixListener.bind("/run/app.sock")
                let error = await #expect(throws: IOError.self) { _ = try await UnixListener.bind("/run/app.sock") }
                #expect(error?.code == .addressInUse)
                listener.close()
                let gone = await #expect(throws: IOError.self) { _ = try await UnixStream.connect("/run/app.sock") }
                #expect(gone?.code == .noSuchFileOrDirectory)
            }
            try host.spawn { _ = try await UnixListener.bind("/run/app.sock").accept() }
            try await world.sleep(for: .seconds(1))
            host.crash()
            try host.restart()
            try await host.run {
                let orphan = await #expect(throws: IOError.self) { _ = try await UnixStream.connect("/run/app.sock") }
                #expect(orphan?.code == .connectionRefused)
                let listener = try await UnixListener.bind("/run/app.sock")
                let client = try await UnixStream.connect("/run/app.sock")
                client.close()
                listener.close()
            }
        }
    }

    @Test("carry as much as their buffers hold, and go on when somebody reads")
    func pressure() async throws {
        try await Simulation(seed: 1).run { world in
            let host = try world.addHost("host")
            try await host.run {
                let (one, other) = try await UnixStream.pair()
                let bytes = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 &* 13) }
                async let sent: Void = {
                    try await one.write(bytes)
                    one.close()
                }()
                try await world.sleep(for: .seconds(1))
                var received: [UInt8] = []
                while let more = try await other.read() { received += more }
                try await sent
                #expect(received == bytes)
            }
        }
    }

    @Test("bring datagrams whole, and make senders wait for a full queue")
    func datagrams() async throws {
        try await Simulation(seed: 1).run { world in
            let host = try world.addHost("host")
            try await host.run {
                let receiver = try await UnixDatagramSocket.bind("/run/log")
                let named = try await UnixDatagramSocket.bind("/run/me")
                try await named.send("hello", to: receiver.local)
                let first = try await receiver.receive()
                #expect(first.bytes == Array("hello".utf8) && first.peer == named.local)
                let sender = try await UnixDatagramSocket.connect("/run/log")
                async let all: Void = {
                    for number in 0..<100 { try await sender.send([UInt8(number)]) }
                }()
                try await world.sleep(for: .seconds(1))
                for number in 0..<100 { #expect(try await receiver.receive().bytes == [UInt8(number)]) }
                try await all
                receiver.close()
                let refused = await #expect(throws: IOError.self) { try await sender.send("?") }
                #expect(refused?.code == .connectionRefused)
            }
        }
    }

    @Test("pipes take what is short whole or not at all, also in several pieces (PIPE_BUF)")
    func wholePieces() async throws {
        let counts = try await Simulation(seed: 1).run { world in
            try await world.addHost("host").run {
                let (reader, writer) = try await PipeStream.oneWay()
                try await writer.write([UInt8](repeating: 1, count: 65_436))
                let piece = [UInt8](repeating: 2, count: 60)
                async let sent: Void = writer.write(contentsOf: [piece, piece])
                try await world.sleep(for: .seconds(1))
                var counts: [Int] = []
                while counts.reduce(0, +) < 65_556 { counts.append(try await reader.read(upTo: 100_000)?.count ?? 0) }
                try await sent
                return counts
            }
        }
        #expect(counts == [65_436, 120])
    }

    @Test("pipes hold 64 KiB, end with their writer, and break with their reader")
    func pipes() async throws {
        try await Simulation(seed: 1).run { world in
            let host = try world.addHost("host")
            try await host.run {
                let (reader, writer) = try await PipeStream.oneWay()
                let bytes = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 17) }
                async let sent: Void = {
                    try await writer.write(bytes)
                    writer.close()
                }()
                try await world.sleep(for: .seconds(1))
                var received: [UInt8] = []
                while let more = try await reader.read() { received += more }
                try await sent
                #expect(received == bytes)
                let (closed, lonely) = try await PipeStream.oneWay()
                closed.close()
                let error = await #expect(throws: IOError.self) { try await lonely.write("x") }
                #expect(error?.code == .brokenPipe)
                lonely.close()
                reader.close()
            }
        }
    }
}
