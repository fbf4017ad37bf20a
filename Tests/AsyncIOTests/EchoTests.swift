import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import SystemPackage
import Testing

@Suite("Bytes through a connection", .timeLimit(.minutes(30)))
struct EchoTests {
    static let sizes = [1, 2, 1_000, 4_096, 65_535, 65_536, 65_537, 1_000_003, 8 * 1024 * 1024]

    @Test("come back from an echo server as they were sent", arguments: Setting.everywhere)
    func echo(setting: Setting) async throws {
        let all = Bytes.pattern(Self.sizes.max() ?? 0)
        try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            async let serving: Void = listener.serve { connection in
                while let bytes = try await connection.read() { try await connection.write(bytes) }
            }
            for size in Self.sizes {
                let sent = Array(all.prefix(size))
                let stream = try await TCPStream.connect(to: listener.address, on: loop)
                async let writing: Void = stream.write(sent)
                let back = try await stream.readExactly(size)
                try await writing
                #expect(Bytes.checksum(back) == Bytes.checksum(sent), "\(size) bytes")
                #expect(back.count == size)
                try await stream.closeWriting()
                #expect(try await stream.read() == nil)
                stream.close()
            }
            listener.shutdown()
            try await serving
        }
    }

    @Test("go both ways at the same time", arguments: Setting.everywhere)
    func bothWays(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let connection = try await Connection(on: loop)
            let (up, down) = (Bytes.pattern(4 << 20, seed: 2), Bytes.pattern(4 << 20, seed: 3))
            async let first: Void = connection.client.write(up)
            async let second: Void = connection.server.write(down)
            async let received = connection.server.readExactly(up.count)
            let back = try await connection.client.readExactly(down.count)
            _ = try await (first, second)
            #expect(back == down)
            #expect(try await received == up)
        }
    }

    @Test("are read in pieces of at most the limit, in order", arguments: Setting.all, [1, 7, 4_096, 1 << 30])
    func limits(setting: Setting, limit: Int) async throws {
        try await withLoop(setting) { loop in
            let (stream, peer) = try await streamWithPeer(on: loop)
            let sent = Bytes.pattern(limit == 1 ? 500 : 100_000)
            try await onThread {
                try peer.send(sent)
                try peer.finishSending()
            }
            var back: [UInt8] = []
            while let bytes = try await stream.read(upTo: limit) {
                #expect(!bytes.isEmpty && bytes.count <= min(limit, TCPStream.maximumRead))
                back += bytes
            }
            #expect(back == sent)
        }
    }

    @Test("fill a buffer of the caller's behind what it holds", arguments: Setting.everywhere)
    func intoBuffer(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let connection = try await Connection(on: loop)
            let sent = Bytes.pattern(10_000)
            try await connection.client.write(sent)
            try await connection.client.closeWriting()
            var buffer = IOBuffer(capacity: 20_000)
            let head: [UInt8] = [9, 9, 9]
            unsafe buffer.append(head.span.bytes)
            while try await connection.server.read(into: &buffer) > 0 {}
            let back = buffer.withBytes { unsafe $0.withUnsafeBytes { unsafe [UInt8]($0) } }
            #expect(back == head + sent)
            #expect(try await connection.server.read(into: &buffer) == 0, "the end is told again")
        }
    }

    @Test("are not asked for without room for one", arguments: Setting.everywhere)
    func noRoom(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let connection = try await Connection(on: loop)
            for limit in [0, -1, Int.min] {
                let error = try await ioError { try await connection.client.read(upTo: limit) }
                #expect(error.code == .invalidArgument)
            }
            try await connection.server.write("x")
            let content: [UInt8] = [1, 2, 3]
            var full = unsafe IOBuffer(copying: content.span.bytes)
            do {
                _ = try await connection.client.read(into: &full)
                Issue.record("read into a full buffer")
            } catch let error as IOError {
                #expect(error.code == .invalidArgument)
            }
            #expect(try await connection.client.read() == Array("x".utf8), "the refused reads took nothing")
        }
    }

    @Test("are written from arrays, spans, buffers and texts", arguments: Setting.everywhere)
    func writeForms(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let connection = try await Connection(on: loop)
            try await connection.client.write([1, 2])
            let array: [UInt8] = [0, 3, 4, 0]
            try unsafe await connection.client.write(array.span.bytes.extracting(1..<3))
            try await connection.client.write("grün")
            try await connection.client.closeWriting()
            #expect(try await connection.server.readAll() == [1, 2, 3, 4] + Array("grün".utf8))
        }
    }

    @Test("nothing to write is no operation, also when the peer takes nothing", arguments: Setting.all)
    func emptyWrite(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (stream, peer) = try await streamWithPeer(on: loop, receiveBuffer: 4_096)
            try await stream.write([])
            try await stream.write("")
            // Fill the kernel's buffers until a write has to wait, and give that one up.
            let writer = Task.detached(executorPreference: setting.caller == .onLoop ? loop : nil) {
                while true { try await stream.write([UInt8](repeating: 0, count: 1 << 20)) }
            }
            await until { await loop.statistics.waitingOperations > 0 }
            try await stream.write([])
            writer.cancel()
            _ = await writer.result
            try await stream.write([])
            try await stream.write("")
            withExtendedLifetime(peer) {}
        }
    }

    @Test("texts say which connection it is")
    func descriptions() async throws {
        try await withLoop(Setting.all[0]) { loop in
            let connection = try await Connection(on: loop)
            let local = try #require(await connection.client.local)
            #expect(connection.server.peer == local)
            #expect("\(connection.server)" == "TCPStream(\(local))")
            connection.client.close()
            #expect(await connection.client.local == nil)
        }
    }
}
