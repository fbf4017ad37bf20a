import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import SystemPackage

extension Transcript {
    static let endings = [
        Transcript("TCP: writing to a peer that has closed ends in EPIPE") { stage in
            let (client, server) = try await stage.connection()
            try await stage.server { server.close() }
            await stage.tell("read") { try await client.read() }
            // The first one is answered by a reset.
            await stage.tell("first write") { try await client.write("x") }
            try await stage.settle()
            await stage.tell("second write") { try await client.write("x") }
            await stage.tell("third write") { try await client.write("x") }
            await stage.tell("read") { try await client.read() }
        },

        Transcript("TCP: writing to a peer that has broken off ends in ECONNRESET, then EPIPE") { stage in
            let (client, server) = try await stage.connection()
            try await stage.server { server.abort() }
            try await stage.settle()
            await stage.tell("first write") { try await client.write("x") }
            await stage.tell("second write") { try await client.write("x") }
            await stage.tell("read") { try await client.read() }
        },

        Transcript("TCP: a reset reaches a writer that waits") { stage in
            let (client, server) = try await stage.connection()
            let writing = stage.client.start { try await client.write(Bulk.bytes) }
            try await stage.settle()
            try await stage.server { server.abort() }
            await stage.tell("write", writing)
        },

        Transcript("TCP: what was sent before the end is read after it") { stage in
            let (client, server) = try await stage.connection()
            await stage.tell("write") { try await client.write("last words") }
            client.close()
            try await stage.settle()
            await stage.tell("read", at: stage.server) { try await server.gather(4) }
            await stage.tell("read", at: stage.server) { try await server.readAll() }
            await stage.tell("write", at: stage.server) { try await server.write("too late") }
            try await stage.settle()
            await stage.tell("read", at: stage.server) { try await server.read() }
            await stage.tell("write", at: stage.server) { try await server.write("x") }
        },

        Transcript("TCP: both ends finish at once") { stage in
            let (client, server) = try await stage.connection()
            let one = stage.client.start {
                try await client.write("from the client")
                try await client.closeWriting()
                return try await client.readAll()
            }
            let other = stage.server.start {
                try await server.write("from the server")
                try await server.closeWriting()
                return try await server.readAll()
            }
            await stage.tell("client", one)
            await stage.tell("server", other)
        },

        Transcript("TCP: addresses of both ends, and what things are called") { stage in
            for version in [SocketAddress.IPVersion.v4, .v6] {
                let (client, server) = try await stage.connection(version)
                let (near, far) = (await client.local, await server.local)
                if let near { stage.names.set("CLIENT-PORT", for: near) }
                stage.note("client: \(client), \(client.peer), \(near as Any)")
                stage.note("server: \(server), \(server.peer), \(far as Any)")
                stage.note("they agree: \(near == server.peer), \(far == client.peer)")
                client.close()
                stage.note("closed: \(client), \(await client.local as Any)")
                server.close()
            }
        },

        Transcript("TCP: addresses in use, strange ones and those of others") { stage in
            let listener = try await stage.listen()
            let address = listener.address
            await stage.tell("bind again", at: stage.server) { _ = try await TCPListener.bind(to: address) }
            await stage.tell("bind with a shared port", at: stage.server) {
                _ = try await TCPListener.bind(to: address, options: TCPOptions(reusePort: true))
            }
            await stage.tell("bind to another's", at: stage.server) { _ = try await TCPListener.bind("192.0.2.1", 0) }
            await stage.tell("connect to port 0") {
                _ = try await TCPStream.connect(to: SocketAddress.ipv4(127, 0, 0, 1, port: 0))
            }
            await stage.tell("accepts", at: stage.server) { "\(listener.address)" }
            try await stage.server { listener.close() }
            await stage.tell("bind when free", at: stage.server) {
                let again = try await TCPListener.bind(to: address)
                defer { again.close() }
                return "\(again)"
            }
        },

        Transcript("TCP: two listeners share a port, if both ask for it") { stage in
            let options = TCPOptions(reusePort: true)
            let one = try await stage.listen(options: options)
            await stage.tell("second", at: stage.server) {
                let other = try await TCPListener.bind(to: one.address, options: options)
                defer { other.close() }
                return "\(other)"
            }
        },

        Transcript("TCP: options are taken") { stage in
            var options = TCPOptions(keepAlive: TCPOptions.KeepAlive(idle: .seconds(30)))
            options.noDelay = false
            options.userTimeout = .seconds(5)
            options.sendBuffer = 20_000
            options.receiveBuffer = 20_000
            let (client, server) = try await stage.connection(options: options)
            await stage.tell("set") {
                try await client.set(noDelay: true)
                try await client.set(keepAlive: nil)
                try await client.set(userTimeout: nil)
            }
            let bytes = Bytes.pattern(300_000)
            let writing = stage.client.start {
                try await client.write(bytes)
                client.close()
            }
            await stage.tell("server reads all", at: stage.server) { try await server.readAll() }
            await stage.tell("writer", writing)
        },

        Transcript("TCP: a listener of both versions, and one of IPv6 alone") { stage in
            let host = stage.server.v4
            for kind in [TCPOptions.DualStack.both, .onlyIPv6] {
                let listener = try await stage.server {
                    try await TCPListener.bind("::", 0, options: TCPOptions(dualStack: kind))
                }
                stage.names.set("SERVER-PORT", for: listener.address)
                stage.note("\(kind): \(listener)")
                let port = listener.address.port ?? 0
                await stage.tell("by IPv4") {
                    let stream = try await TCPStream.connect(host, port)
                    defer { stream.close() }
                    return "\(stream.peer)"
                }
                await stage.tell("by IPv6") {
                    let stream = try await TCPStream.connect(stage.server.v6, port)
                    defer { stream.close() }
                    return "\(stream.peer)"
                }
                try await stage.server { listener.close() }
            }
        },

        Transcript("TCP: connections wait for their accept, with what they have sent") { stage in
            let listener = try await stage.listen()
            let address = listener.address
            for number in 0..<3 {
                await stage.tell("client \(number)") {
                    let stream = try await TCPStream.connect(to: address)
                    try await stream.write("client \(number)")
                    stream.close()
                }
            }
            for _ in 0..<3 {
                await stage.tell("accepted", at: stage.server) {
                    let stream = try await listener.accept()
                    defer { stream.close() }
                    return try await stream.readAll()
                }
            }
        },

        Transcript("TCP: those who wait in the queue of a listener that closes are reset") { stage in
            let listener = try await stage.listen()
            let stream = try await stage.client { try await TCPStream.connect(to: listener.address) }
            try await stage.settle()
            try await stage.server { listener.close() }
            await stage.tell("read") { try await stream.read() }
        },
    ]
}
