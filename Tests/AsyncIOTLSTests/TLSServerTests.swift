#if TLS
import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTLS
import AsyncIOTestSupport
import AsyncIOTesting
import Testing

@Suite("A server by TLS", .timeLimit(.minutes(5)), .enabled(if: Workshop.hasOpenSSL))
struct TLSServerTests {
    @Test("and its client exchange a megabyte each, over TCP", arguments: Setting.everywhere)
    func exchange(_ setting: Setting) async throws {
        let workshop = try Workshop.shared.get()
        let (acceptor, connector) = (try workshop.acceptor("good"), try workshop.connector())
        let total = 1 << 20
        let sent = (0..<total).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 9) }
        let received = try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let server = loop.spawn(name: "server") {
                try await listener.serve(tls: acceptor) { connection in
                    while let bytes = try await connection.read() { try await connection.write(bytes) }
                }
            }
            let port = listener.address.port ?? 0
            let client = try await TLSStream.connect("127.0.0.1", port, tls: connector, on: loop)
            async let received = {
                var all: [UInt8] = []
                while let bytes = try await client.read() { all += bytes }
                return all
            }()
            try await client.write(sent)
            try await client.closeWriting()
            let bytes = try await received
            client.close()
            listener.shutdown()
            try await server.value
            return bytes
        }
        #expect(received == sent)
    }

    @Test("serves on several loops")
    func severalLoops() async throws {
        let workshop = try Workshop.shared.get()
        let (acceptor, connector) = (try workshop.acceptor("good"), try workshop.connector())
        let group = try LoopGroup(count: 2)
        let server = try await group.bind("127.0.0.1", 0)
        let port = server.addresses.first?.port ?? 0
        let serving = group.spawn(name: "server") {
            try await server.serve(tls: acceptor) { try await $0.write("hello") }
        }
        let words = try await group.loops[0].submit {
            var words: [[UInt8]?] = []
            for _ in 0..<8 {
                let client = try await TLSStream.connect("127.0.0.1", port, tls: connector)
                words.append(try await client.read())
                client.close()
            }
            return words
        }.value
        server.shutdown()
        try await serving.value
        try await group.shutdown()
        #expect(words == Array(repeating: Array("hello".utf8), count: 8))
    }

    @Test("hands over all that a handler has written, also to a client that is slow", arguments: Setting.onLoop)
    func slowClient(_ setting: Setting) async throws {
        let workshop = try Workshop.shared.get()
        let (acceptor, connector) = (try workshop.acceptor("good"), try workshop.connector())
        let count = try await withLoop(setting) { loop in
            let (near, far) = MemoryStream.pair(capacity: 500)
            let server = loop.spawn(name: "server") {
                let stream = try await TLSStream.server(over: far, tls: acceptor, on: loop)
                try await stream.use { stream in
                    _ = try unsafe stream.tryWrite([UInt8](repeating: 1, count: 10_000).span.bytes)
                }
                far.close()
            }
            let client = try await TLSStream.client(over: near, host: "localhost", tls: connector, on: loop)
            var count = 0
            while let bytes = try await client.read(upTo: 100) { count += bytes.count }
            try await server.value
            return count
        }
        #expect(count == 10_000)
    }

    @Test("hands over all to a client that has ended its side, unread", arguments: Setting.everywhere)
    func halfClosedClient(_ setting: Setting) async throws {
        let workshop = try Workshop.shared.get()
        let (acceptor, connector) = (try workshop.acceptor("good"), try workshop.connector())
        let total = 1 << 20
        for closesItself in [false, true] {
            let count = try await withLoop(setting) { loop in
                let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
                let gate = AsyncEvent()
                let server = loop.spawn(name: "server") {
                    try await listener.serve(tls: acceptor) { connection in
                        _ = try await connection.read(upTo: 7)
                        // The client's end has come, or is on its way, and nobody reads it.
                        try await gate.wait()
                        try await connection.write([UInt8](repeating: 3, count: total))
                        if closesItself { connection.close() }
                    }
                }
                let port = listener.address.port ?? 0
                let client = try await TLSStream.connect("localhost", port, tls: connector, on: loop)
                try await client.write("request")
                try await client.closeWriting()
                gate.set()
                var count = 0
                while let bytes = try await client.read() { count += bytes.count }
                client.close()
                listener.shutdown()
                try await server.value
                return count
            }
            #expect(count == total)
        }
    }

    @Test("goes on after a client that spoke HTTP, and reports why", arguments: Setting.onRealLoop)
    func wrongClients(_ setting: Setting) async throws {
        let workshop = try Workshop.shared.get()
        let (acceptor, connector) = (try workshop.acceptor("good"), try workshop.connector())
        let errors = Errors()
        let isServed = try await withLoop(setting, reports: errors) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let server = loop.spawn(name: "server") {
                try await listener.serve(tls: acceptor) { try await $0.write("hello") }
            }
            let stray = try await TCPStream.connect(to: listener.address, on: loop)
            try await stray.write("GET / HTTP/1.1\r\n\r\n")
            while let bytes = try? await stray.read(), !bytes.isEmpty {}
            let port = listener.address.port ?? 0
            let client = try await TLSStream.connect("localhost", port, tls: connector, on: loop)
            let word = try await client.read()
            client.close()
            listener.shutdown()
            try await server.value
            return word == Array("hello".utf8)
        }
        #expect(isServed)
        #expect(errors.all.contains { "\($0)".contains("spoke HTTP to a port for TLS") })
    }

    @Test("whose client is cancelled in the handshake hears of it at once", arguments: Setting.everywhere)
    func cancelledHandshake(_ setting: Setting) async throws {
        let connector = try Workshop.shared.get().connector()
        let (isCancelled, isReset) = try await withLoop(setting) { loop in
            let (near, far) = MemoryStream.pair()
            let client = Task {
                _ = try await TLSStream.client(over: near, host: "localhost", tls: connector, on: loop)
            }
            // The client's first words have come: now it waits.
            _ = try await far.read()
            client.cancel()
            var (isCancelled, isReset) = (false, false)
            do { try await client.value } catch is CancellationError { isCancelled = true }
            do { _ = try await far.read() } catch let error as AsyncIOKernel.IOError {
                isReset = error.code == .connectionReset
            }
            return (isCancelled, isReset)
        }
        #expect(isCancelled && isReset)
    }
}
#endif
