import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import SystemPackage
import Testing

@Suite("The end of a stream", .timeLimit(.minutes(30)))
struct EndOfStreamTests {
    /// A9: data and FIN may arrive as one edge; a short read must not hide the end.
    @Test("is seen behind any number of bytes, by a reader that waits", arguments: Setting.all)
    func waitingReader(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            for count in stride(from: 1, through: 70_000, by: 997) {
                let (stream, peer) = try await streamWithPeer(on: loop)
                async let reading = stream.readAll(upTo: 4_096)
                try await onThread {
                    try peer.send(Bytes.pattern(count))
                    try peer.finishSending()
                }
                let back = try await reading
                #expect(back.count == count)
                #expect(Bytes.difference(back, at: 0) == nil)
                stream.close()
            }
        }
    }

    @Test("is seen behind any number of bytes, by a reader that comes later", arguments: Setting.everywhere)
    func lateReader(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            for count in stride(from: 1, through: 70_000, by: 997) {
                let connection = try await Connection(on: loop)
                try await connection.client.write(Bytes.pattern(count))
                connection.client.close()
                #expect(try await connection.server.readAll(upTo: 4_096).count == count)
                #expect(try await connection.server.read() == nil, "the end is told again")
                connection.server.close()
            }
        }
    }

    /// The short read comes first, the FIN as an edge of its own afterwards.
    @Test("is seen when it comes just after a short read", arguments: Setting.all)
    func justAfter(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            for _ in 0..<500 {
                let (stream, peer) = try await streamWithPeer(on: loop)
                try peer.send([1])
                #expect(try await stream.read(upTo: 4_096) == [1])
                try peer.send([2])
                #expect(try await stream.read(upTo: 4_096) == [2])
                try peer.finishSending()
                #expect(try await stream.read(upTo: 4_096) == nil)
                stream.close()
            }
        }
    }

    /// A5: the peer sends no more, but reads on.
    @Test("of one direction leaves the other one open", arguments: Setting.all)
    func halfClose(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (stream, peer) = try await streamWithPeer(on: loop)
            let (question, answer) = (Bytes.pattern(1 << 20, seed: 5), Bytes.pattern(1 << 20, seed: 6))
            async let client = onThread {
                try peer.send(question)
                try peer.finishSending()
                return try peer.receiveAll()
            }
            #expect(try await stream.readAll() == question)
            try await stream.write(answer)
            try await stream.closeWriting()
            try await stream.closeWriting()
            #expect(try await client == answer)
        }
    }

    /// A5, the other way round: a writer that waits is not disturbed by the peer's FIN.
    @Test("of the peer's data does not end a write that waits", arguments: Setting.all)
    func finWhileWriting(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (stream, peer) = try await streamWithPeer(on: loop, receiveBuffer: 4_096)
            let sent = Bytes.pattern(8 << 20)
            async let writing: Void = stream.write(sent)
            await until { await loop.statistics.waitingOperations > 0 }
            try peer.finishSending()
            #expect(try await stream.read() == nil)
            async let received = onThread { try peer.receiveAll() }
            try await writing
            try await stream.closeWriting()
            #expect(try await received == sent)
        }
    }

    /// A17: what was written is still delivered.
    @Test("comes after everything that was written", arguments: Setting.all, ["close", "close writing", "let go"])
    func nothingDropped(setting: Setting, way: String) async throws {
        try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let peer = try Peer(to: listener.address)
            let sent = Bytes.pattern(16 << 20)
            async let received = onThread { try peer.receiveAll() }
            do {
                let stream = try await listener.accept()
                try await stream.write(sent)
                if way == "close" { stream.close() }
                if way == "close writing" { try await stream.closeWriting() }
            }
            let back = try await received
            #expect(back.count == sent.count)
            #expect(back == sent)
        }
    }

    @Test("of writing refuses further writes, and reading goes on", arguments: Setting.everywhere)
    func writeAfterEnd(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let connection = try await Connection(on: loop)
            try await connection.client.closeWriting()
            let error = try await ioError { try await connection.client.write("more") }
            #expect(error.code == .brokenPipe)
            #expect("\(error)" == "write \(connection.client.peer): Broken pipe")
            try await connection.server.write("reply")
            #expect(try await connection.client.read() == Array("reply".utf8))
        }
    }
}
