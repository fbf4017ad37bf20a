import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import SystemPackage

extension Transcript {
    static let connections = [
        Transcript("TCP: an echo, over both versions") { stage in
            for version in [SocketAddress.IPVersion.v4, .v6] {
                let (client, server) = try await stage.connection(version)
                await stage.tell("client writes") { try await client.write("ping") }
                await stage.tell("server reads", at: stage.server) { try await server.readExactly(4) }
                await stage.tell("server writes", at: stage.server) { try await server.write("pong!") }
                await stage.tell("client reads") { try await client.readExactly(5) }
                client.close()
                await stage.tell("server sees", at: stage.server) { try await server.read() }
                server.close()
            }
        },

        Transcript("TCP: the client finishes first, and still gets the answer") { stage in
            let (client, server) = try await stage.connection()
            await stage.tell("write") { try await client.write("question") }
            await stage.tell("finish") { try await client.closeWriting() }
            await stage.tell("server reads all", at: stage.server) { try await server.readAll() }
            await stage.tell("server answers", at: stage.server) { try await server.write("answer") }
            await stage.tell("server finishes", at: stage.server) { try await server.closeWriting() }
            await stage.tell("client reads all") { try await client.readAll() }
            await stage.tell("client reads again") { try await client.read() }
            await stage.tell("client writes after its end") { try await client.write("more") }
            await stage.tell("client finishes again") { try await client.closeWriting() }
        },

        Transcript("TCP: the server finishes first, and still gets the rest") { stage in
            let (client, server) = try await stage.connection()
            await stage.tell("server finishes", at: stage.server) { try await server.closeWriting() }
            await stage.tell("client reads") { try await client.read() }
            await stage.tell("client writes") { try await client.write("rest") }
            client.close()
            await stage.tell("server reads all", at: stage.server) { try await server.readAll() }
            await stage.tell("client reads when closed") { try await client.read() }
        },

        Transcript("TCP: close with unread data resets the connection") { stage in
            let (client, server) = try await stage.connection()
            await stage.tell("client writes") { try await client.write("0123456789") }
            await stage.tell("server reads a part", at: stage.server) { try await server.gather(4) }
            try await stage.server { server.close() }
            await stage.tell("client reads") { try await client.read() }
            await stage.tell("client reads again") { try await client.read() }
            await stage.tell("client writes") { try await client.write("x") }
        },

        Transcript("TCP: an abort resets, also what waits to be read") { stage in
            let (client, server) = try await stage.connection()
            let reading = stage.client.start { try await client.read() }
            try await stage.settle()
            try await stage.server { server.abort() }
            await stage.tell("client's read", reading)
            await stage.tell("client writes") { try await client.write("x") }
            await stage.tell("server reads", at: stage.server) { try await server.read() }
        },

        Transcript("TCP: nobody listens") { stage in
            let listener = try await stage.listen()
            let address = listener.address
            try await stage.server { listener.close() }
            await stage.tell("connect to the address") { _ = try await TCPStream.connect(to: address) }
            let (host, port) = (stage.server.v4, address.port ?? 0)
            await stage.tell("connect by text") { _ = try await TCPStream.connect(host, port) }
        },

        Transcript("TCP: everything after close fails") { stage in
            let (client, server) = try await stage.connection()
            client.close()
            await stage.tell("read") { try await client.read() }
            await stage.tell("write") { try await client.write("x") }
            await stage.tell("try to write") { try unsafe client.tryWrite([UInt8(1)].span.bytes) }
            await stage.tell("finish") { try await client.closeWriting() }
            await stage.tell("option") { try await client.set(noDelay: true) }
            client.close()
            client.abort()
            await stage.tell("server", at: stage.server) { try await server.read() }
        },

        Transcript("TCP: the local close ends a read and an accept that wait") { stage in
            let (client, server) = try await stage.connection()
            let reading = stage.client.start { try await client.read() }
            let listener = try await stage.listen()
            let accepting = stage.server.start { _ = try await listener.accept() }
            try await stage.settle()
            try await stage.client { client.close() }
            try await stage.server { listener.close() }
            await stage.tell("read", reading)
            await stage.tell("accept", accepting)
            await stage.tell("accept again", at: stage.server) { _ = try await listener.accept() }
            server.close()
        },

        Transcript("TCP: second readers and writers are refused, and the first ones go on") { stage in
            let (client, server) = try await stage.connection()
            let reading = stage.client.start { try await client.readExactly(4) }
            try await stage.settle()
            await stage.tell("second reader") { try await client.read() }
            await stage.tell("server writes", at: stage.server) { try await server.write("data") }
            await stage.tell("first reader", reading)
            let listener = try await stage.listen()
            let accepting = stage.server.start { _ = try await listener.accept() }
            try await stage.settle()
            await stage.tell("second accept", at: stage.server) { _ = try await listener.accept() }
            accepting.cancel()
            await stage.tell("first accept", accepting)
            let writing = stage.client.start { try await client.write(Bulk.bytes) }
            try await stage.settle()
            await stage.tell("second writer") { try await client.write("x") }
            let rest = stage.server.start { try await server.readExactly(Bulk.count) == Bulk.bytes }
            await stage.tell("first writer", writing)
            await stage.tell("received", rest)
        },

        Transcript("TCP: cancelled reads lose nothing") { stage in
            let (client, server) = try await stage.connection()
            let reading = stage.client.start { try await client.read() }
            try await stage.settle()
            reading.cancel()
            await stage.tell("read", reading)
            await stage.tell("server writes", at: stage.server) { try await server.write("kept") }
            let late = stage.client.start {
                await EventLoop.yield()
                return try await client.read()
            }
            late.cancel()
            await stage.tell("cancelled before", late)
            await stage.tell("read again") { try await client.readExactly(4) }
        },

        Transcript("TCP: a cancelled connect says so, and the next one works") { stage in
            let listener = try await stage.listen()
            let address = listener.address
            let connecting = stage.client.start { _ = try await TCPStream.connect(to: address) }
            connecting.cancel()
            await stage.tell("connect", connecting)
            await stage.tell("connect again") { try await TCPStream.connect(to: address).close() }
            try await stage.server { listener.close() }
        },

        Transcript("TCP: a cancelled accept loses no connection") { stage in
            let listener = try await stage.listen()
            let accepting = stage.server.start { _ = try await listener.accept() }
            try await stage.settle()
            accepting.cancel()
            await stage.tell("accept", accepting)
            let stream = try await stage.client { try await TCPStream.connect(to: listener.address) }
            await stage.tell("accept again", at: stage.server) {
                let server = try await listener.accept()
                try await server.write("hello")
                server.close()
            }
            await stage.tell("client reads all") { try await stream.readAll() }
        },

        Transcript("TCP: a cancelled write says so, and the stream can still be closed") { stage in
            let (client, server) = try await stage.connection()
            let writing = stage.client.start { try await client.write(Bulk.bytes) }
            try await stage.settle()
            writing.cancel()
            await stage.tell("write", writing)
            client.close()
            await stage.tell("received the beginning", at: stage.server) {
                var count = 0
                do {
                    while let bytes = try await server.read() {
                        guard bytes == Array(Bulk.bytes[count..<count + bytes.count]) else {
                            return "wrong at \(count)"
                        }
                        count += bytes.count
                    }
                } catch let error as IOError { return "\(error.code), \(count > 0)" }
                return "the end, \(count > 0 && count < Bulk.count)"
            }
        },

        Transcript("TCP: nothing is written, and nothing is read") { stage in
            let (client, server) = try await stage.connection()
            await stage.tell("write nothing") { try await client.write([UInt8]()) }
            await stage.tell("write no chunks") { try await client.write(contentsOf: []) }
            await stage.tell("write empty chunks") { try await client.write(contentsOf: [[], [], []]) }
            await stage.tell("try nothing") { try unsafe client.tryWrite([UInt8]().span.bytes) }
            await stage.tell("read up to nothing") { try await client.read(upTo: 0) }
            await stage.tell("write chunks") { try await client.write(contentsOf: [[], [65], [], [66, 67]]) }
            await stage.tell("finish") { try await client.closeWriting() }
            await stage.tell("write nothing after the end") { try await client.write([UInt8]()) }
            await stage.tell("server reads", at: stage.server) { try await server.readAll() }
        },

        Transcript("TCP: a big transfer waits for its reader, both ways at once") { stage in
            let (client, server) = try await stage.connection()
            let sent = Bytes.pattern(8 << 20, seed: 3)
            let forward = stage.client.start {
                try await client.write(sent)
                try await client.closeWriting()
            }
            let backward = stage.server.start {
                try await server.write(sent)
                try await server.closeWriting()
            }
            try await stage.settle()
            let atServer = stage.server.start { try await server.readAll() }
            let atClient = stage.client.start { try await client.readAll(upTo: 1_000) }
            await stage.tell("forward", forward)
            await stage.tell("backward", backward)
            await stage.tell("at the server", atServer)
            await stage.tell("at the client", atClient)
        },

        Transcript("TCP: a full connection takes no more at once, until somebody reads") { stage in
            let (client, server) = try await stage.connection()
            let sent = try await stage.client {
                let bytes = Bytes.pattern(1 << 16)
                var sent = 0
                while true {
                    let count = try unsafe client.tryWrite(bytes.span.bytes)
                    if count == 0, sent > 0 { return sent }
                    sent += count
                    // In a storm, the first one may be told to try again.
                    if count == 0 { try await stage.settle() }
                }
            }
            stage.note("it was full, \(sent > 0)")
            await stage.tell("close") { try await client.closeWriting() }
            await stage.tell("all arrived", at: stage.server) { try await server.readAll().count == sent }
        },

        Transcript("TCP: timeouts end a read, and nothing is lost") { stage in
            let (client, server) = try await stage.connection()
            await stage.tell("read") { try await withTimeout(.milliseconds(5)) { try await client.read() } }
            await stage.tell("server writes", at: stage.server) { try await server.write("late") }
            await stage.tell("read again") {
                try await withTimeout(.seconds(30)) { try await client.readExactly(4) }
            }
            let listener = try await stage.listen()
            await stage.tell("accept", at: stage.server) {
                try await withTimeout(.milliseconds(5)) { _ = try await listener.accept() }
            }
        },
    ]
}
