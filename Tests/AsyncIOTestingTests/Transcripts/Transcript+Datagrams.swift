import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import SystemPackage

extension Stage {
    /// A socket of the server's.
    func receiver(_ version: SocketAddress.IPVersion = .v4) async throws -> UDPSocket {
        let address = version == .v4 ? server.v4 : server.v6
        let socket = try await server { try await UDPSocket.bind(address, 0) }
        names.set("SERVER-PORT", for: socket.local)
        return socket
    }

    /// A socket of the client's.
    func sender(_ version: SocketAddress.IPVersion = .v4) async throws -> UDPSocket {
        let address = version == .v4 ? client.v4 : client.v6
        let socket = try await client { try await UDPSocket.bind(address, 0) }
        names.set("CLIENT-PORT", for: socket.local)
        return socket
    }

    /// Writes a datagram into the transcript.
    func tellDatagram(_ what: String, upTo limit: Int = UDPSocket.maximumLength, _ socket: UDPSocket, at side: Side)
        async
    {
        await tell(what, at: side) {
            let datagram = try await socket.receive(upTo: limit)
            let text = "\(datagram.bytes.count) bytes, sum \(Bytes.checksum(datagram.bytes)), from \(datagram.peer)"
            return "\(text), \(datagram.info.length), \(datagram.isTruncated ? "cut" : "whole")"
        }
    }
}

extension Transcript {
    static let datagrams = [
        Transcript("UDP: an echo, over both versions") { stage in
            for version in [SocketAddress.IPVersion.v4, .v6] {
                let (client, server) = (try await stage.sender(version), try await stage.receiver(version))
                stage.note("\(client), \(server)")
                await stage.tell("send") { try await client.send("ping", to: server.local) }
                await stage.tell("echo", at: stage.server) {
                    let datagram = try await server.receive()
                    try await server.send(datagram.bytes, to: datagram.peer)
                    return datagram.bytes
                }
                await stage.tellDatagram("receive", client, at: stage.client)
                client.close()
                server.close()
                await stage.tell("receive when closed") { try await client.receive().bytes }
                await stage.tell("send when closed") { try await client.send("x", to: server.local) }
            }
        },

        Transcript("UDP: datagrams of no bytes arrive, and long ones are cut to what is asked for") { stage in
            let (client, server) = (try await stage.sender(), try await stage.receiver())
            for count in [0, 1, 1_000, 9_000, 65_507] {
                await stage.tell("send \(count)") { try await client.send(Bytes.pattern(count), to: server.local) }
                await stage.tellDatagram("receive", upTo: 1_000, server, at: stage.server)
            }
            await stage.tell("send nothing") { try await client.send("", to: server.local) }
            await stage.tellDatagram("receive up to nothing", upTo: 0, server, at: stage.server)
        },

        Transcript("UDP: datagrams that are too long are refused") { stage in
            let (client, server) = (try await stage.sender(), try await stage.receiver())
            for count in [65_508, 70_000] {
                await stage.tell("send \(count)") { try await client.send(Bytes.pattern(count), to: server.local) }
            }
            await stage.tell("send") { try await client.send("after it", to: server.local) }
            await stage.tellDatagram("receive", server, at: stage.server)
        },

        Transcript("UDP: nobody is there: a connected socket hears of it, another does not") { stage in
            let server = try await stage.receiver()
            let address = server.local
            try await stage.server { server.close() }
            let connected = try await stage.client { try await UDPSocket.connect(to: address) }
            await stage.tell("send") { try await connected.send("anybody?") }
            await stage.tell("receive") { try await connected.receive().bytes }
            let reading = stage.client.start { try await connected.receive().bytes }
            try await stage.settle()
            await stage.tell("send again") { try await connected.send("anybody?") }
            await stage.tell("the receiver that waits", reading)
            let free = try await stage.sender()
            await stage.tell("send") { try await free.send("anybody?", to: address) }
            try await stage.settle()
            await stage.tell("nothing has come") { try free.tryReceive() == nil }
        },

        Transcript("UDP: a connected socket hears its peer alone, and needs no address") { stage in
            let (server, stranger) = (try await stage.receiver(), try await stage.sender())
            let connected = try await stage.client { try await UDPSocket.connect(to: server.local) }
            stage.names.set("CONNECTED-PORT", for: connected.local)
            stage.note("\(connected), \(connected.peer as Any)")
            await stage.tell("stranger sends") { try await stranger.send("listen!", to: connected.local) }
            await stage.tell("send") { try await connected.send("hello") }
            await stage.tell("answer", at: stage.server) {
                let datagram = try await server.receive()
                try await server.send("answer", to: datagram.peer)
                return datagram.bytes
            }
            await stage.tellDatagram("receive", connected, at: stage.client)
            await stage.tell("nothing else") { try connected.tryReceive() == nil }
            let address = stranger.local
            await stage.tell("send elsewhere") { try await connected.send("x", to: address) }
            await stage.tell("send without an address") { try await stranger.send("x") }
        },

        Transcript("UDP: batches keep their order, and say how many were sent") { stage in
            let (client, server) = (try await stage.sender(), try await stage.receiver())
            let chunks = (0..<50).map { Bytes.pattern($0 * 3, seed: UInt64($0)) }
            await stage.tell("send") {
                let batch = try await client.sendBatch(chunks, to: server.local)
                return "\(batch.sent), \(batch.isComplete)"
            }
            await stage.tell("receive", at: stage.server) {
                var received: [[UInt8]] = []
                while received.count < 50 { received += try await server.receiveBatch().map(\.bytes) }
                return received == chunks
            }
            await stage.tell("send with one that is too long") {
                let batch = try await client.sendBatch([[1], Bytes.pattern(70_000), [3]], to: server.local)
                return "\(batch.sent), \(batch.failure.map { "\($0)" } ?? "complete")"
            }
            await stage.tell("receive", at: stage.server) { try await server.receive().bytes.count }
        },

        Transcript("UDP: a receiver that is cancelled loses nothing, and a second one is refused") { stage in
            let (client, server) = (try await stage.sender(), try await stage.receiver())
            let receiving = stage.server.start { try await server.receive().bytes }
            try await stage.settle()
            await stage.tell("second", at: stage.server) { try await server.receive().bytes }
            receiving.cancel()
            await stage.tell("first", receiving)
            await stage.tell("send") { try await client.send("kept", to: server.local) }
            await stage.tell("receive", at: stage.server) { try await server.receive().bytes }
            let waiting = stage.server.start { try await server.receive().bytes }
            try await stage.settle()
            try await stage.server { server.close() }
            await stage.tell("closed", waiting)
        },

        Transcript("UDP: addresses in use, of others, and of the wrong family") { stage in
            let server = try await stage.receiver()
            let address = server.local
            await stage.tell("bind again", at: stage.server) { _ = try await UDPSocket.bind(to: address) }
            await stage.tell("bind to another's", at: stage.server) { _ = try await UDPSocket.bind("192.0.2.1", 0) }
            await stage.tell("bind to a path") {
                _ = try await UDPSocket.bind(to: SocketAddress.unix(path: "/tmp/x"))
            }
            let v6 = stage.server.v6
            await stage.tell("send to the other version") {
                let socket = try await UDPSocket.bind("127.0.0.1", 0)
                try await socket.send("x", to: SocketAddress(host: v6, port: 9))
            }
            await stage.tell("send to port 0") {
                let socket = try await UDPSocket.bind("127.0.0.1", 0)
                try await socket.send("x", to: SocketAddress.ipv4(127, 0, 0, 1, port: 0))
            }
        },

        Transcript("UDP: a broadcast has to be allowed") { stage in
            let client = try await stage.sender()
            await stage.tell("send") {
                try await client.send("x", to: SocketAddress.ipv4(255, 255, 255, 255, port: 9))
            }
        },
    ]
}
