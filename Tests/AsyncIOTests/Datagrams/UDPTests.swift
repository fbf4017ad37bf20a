import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import SystemPackage
import Testing

@Suite("A UDP socket", .timeLimit(.minutes(30)))
struct UDPTests {
    static let loopbacks: [SocketAddress] = [.loopback(port: 0), .loopback(port: 0, version: .v6)]

    @Test("sends and receives datagrams of every size, with their sender", arguments: Setting.everywhere, loopbacks)
    func roundTrip(setting: Setting, address: SocketAddress) async throws {
        try await withLoop(setting) { loop in
            let server = try await UDPSocket.bind(to: address, on: loop)
            let client = try await UDPSocket.bind(to: address, on: loop)
            for size in [1, 2, 512, 1_400, 9_000, 65_507] {
                let sent = Bytes.pattern(size)
                try await client.send(sent, to: server.local)
                let datagram = try await server.receive()
                #expect(datagram.bytes == sent)
                #expect(datagram.peer == client.local)
                #expect(datagram.info.length == size && !datagram.isTruncated)
                #expect(datagram.info.destination == nil)
                try await server.send(datagram.bytes, to: datagram.peer)
                #expect(try await client.receive().bytes == sent)
            }
        }
    }

    @Test("takes an empty datagram for a datagram, and receives the next one", arguments: Setting.everywhere)
    func empty(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let server = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            let client = try await UDPSocket.connect(to: server.local, on: loop)
            try await client.send([])
            try await client.send([7])
            let first = try await server.receive()
            #expect(first.bytes.isEmpty && first.info.length == 0 && !first.isTruncated)
            #expect(first.peer == client.local)
            #expect(try await server.receive().bytes == [7])

            try await client.send([])
            try await client.send([8])
            var buffer = IOBuffer(capacity: 10)
            #expect(try await server.receive(into: &buffer).length == 0)
            #expect(try await server.receive(into: &buffer).length == 1)
            #expect(buffer.count == 1)

            try await client.send([])
            try await client.send([])
            try await client.send([9])
            var all: [[UInt8]] = []
            while all.count < 3 { all += try await server.receiveBatch().map(\.bytes) }
            #expect(all == [[], [], [9]])

            // Also those that wait already when it comes.
            async let received = server.receive()
            try await client.send([])
            #expect(try await received.bytes.isEmpty)
        }
    }

    @Test("tells a datagram that was cut from one that was not", arguments: Setting.everywhere)
    func truncated(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let server = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            let client = try await UDPSocket.connect(to: server.local, on: loop)
            let sent = Bytes.pattern(1_000)
            for _ in 0..<4 { try await client.send(sent) }
            try await client.send(Array(sent.prefix(100)))

            let cut = try await server.receive(upTo: 100)
            #expect(cut.bytes == Array(sent.prefix(100)))
            #expect(cut.isTruncated && cut.info.length == 1_000)
            let batch = try await server.receiveBatch(upTo: 1, limit: 999)
            #expect(batch.map(\.isTruncated) == [true] && batch[0].bytes == Array(sent.prefix(999)))
            #expect(batch[0].info.length == 1_000)
            var buffer = IOBuffer(capacity: 10)
            unsafe buffer.append(Bytes.pattern(3).span.bytes)
            let info = try await server.receive(into: &buffer)
            #expect(info.isTruncated && info.length == 1_000 && buffer.count == 10)
            let fourth = buffer.withBytes { unsafe $0.unsafeLoad(fromByteOffset: 3, as: UInt8.self) }
            #expect(fourth == sent[0])
            #expect(try await !server.receive(upTo: 1_000).isTruncated)
            let whole = try await server.receive(upTo: 100)
            #expect(!whole.isTruncated && whole.bytes.count == 100)
        }
    }

    @Test("connected, receives from its peer alone", arguments: Setting.everywhere)
    func connected(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let server = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            let stranger = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            let client = try await UDPSocket.bind(to: .any(port: 0), on: loop)
            #expect(client.peer == nil)
            try await client.connect(to: server.local)
            #expect(client.peer == server.local)
            #expect(client.local.host == "127.0.0.1")
            #expect("\(client)" == "UDPSocket(\(client.local) → \(server.local))")
            try await stranger.send("from a stranger", to: client.local)
            try await server.send("from the server", to: client.local)
            #expect(try await client.receive().bytes == Array("from the server".utf8))
            #expect(try await client.receiveOrNothing() == nil)
        }
    }

    @Test("not connected, wants a peer", arguments: Setting.all)
    func noPeer(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let socket = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            let single = try await ioError { try await socket.send([1]) }
            #expect(single.code == .addressRequired && single.description.contains("name the peer"))
            let batch = try await ioError { try await socket.sendBatch([[1], [2]]) }
            #expect(batch.code == .addressRequired)
        }
    }

    @Test("is told once that its peer has gone, and goes on", arguments: Setting.everywhere)
    func refused(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let gone = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            let address = gone.local
            gone.close()
            let client = try await UDPSocket.connect(to: address, on: loop)
            try await until { try await !client.isOpen(address) }
            // A send is told: at once on a machine's own loopback, and on a simulated one soon.
            func hear() async throws {
                if setting.isSimulated { try await loop.sleep(for: .milliseconds(1)) }
            }
            try await hear()
            try await client.send([1])
            try await hear()
            #expect(try await ioError { try await client.send([2]) }.code == .connectionRefused)
            // So is a receive, also one that waits already.
            try await client.send([3])
            try await hear()
            #expect(try await ioError { try await client.receive() }.code == .connectionRefused)
            async let waiting = ioError { try await client.receive() }
            await Task.yield()
            try await client.send([4])
            #expect(try await waiting.code == .connectionRefused)
            // Somebody comes, and all is well.
            let back = try await UDPSocket.bind(to: address, on: loop)
            try await client.send("anybody there?")
            let question = try await back.receive()
            #expect(question.bytes == Array("anybody there?".utf8))
            try await back.send("yes", to: question.peer)
            #expect(try await client.receive().bytes == Array("yes".utf8))
        }
    }

    @Test("not connected, is not disturbed by a peer who has gone", arguments: Setting.everywhere)
    func notDisturbed(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let gone = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            gone.close()
            let server = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            let client = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            for round in 0..<5 {
                try await server.send([1], to: gone.local)
                try await server.send([UInt8(round)], to: client.local)
                #expect(try await client.receive().bytes == [UInt8(round)])
                try await client.send([UInt8(round)], to: server.local)
                #expect(try await server.receive().bytes == [UInt8(round)])
            }
        }
    }

    @Test("names the size of what is too long, and the limit", arguments: Setting.everywhere)
    func tooLong(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let socket = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            let error = try await ioError { try await socket.send(Bytes.pattern(65_508), to: socket.local) }
            #expect(error.code == .messageTooLong)
            #expect(error.description.contains("65508") && error.description.contains("65507"), "\(error)")
            try await socket.send(Bytes.pattern(65_507), to: socket.local)
            #expect(try await socket.receive().bytes.count == 65_507)
        }
    }

    @Test("refuses limits that nothing fits in", arguments: Setting.everywhere)
    func limits(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let socket = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            try await socket.send([1], to: socket.local)
            for limit in [0, -1, .min] {
                #expect(try await ioError { try await socket.receive(upTo: limit) }.code == .invalidArgument)
                #expect(try await ioError { try await socket.receiveBatch(upTo: limit) }.code == .invalidArgument)
                #expect(try await ioError { try socket.tryReceive(upTo: limit) }.code == .invalidArgument)
            }
            #expect(try await socket.receive(upTo: .max).bytes == [1])
            try await socket.send([2], to: socket.local)
            #expect(try await socket.receiveBatch(upTo: .max, limit: .max).count == 1)
        }
    }

    @Test("says what cannot be bound", arguments: Setting.everywhere)
    func unbindable(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let socket = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            let taken = try await ioError { try await UDPSocket.bind(to: socket.local, on: loop) }
            #expect(taken.code == .addressInUse && taken.description.contains("\(socket.local)"))
            let unix = try await ioError { try await UDPSocket.bind(to: .unix(path: "/tmp/x"), on: loop) }
            #expect(unix.code == .addressFamilyNotSupported && unix.description.contains("UnixDatagramSocket"))
        }
    }

    @Test("takes and sends at once, or says that it did not")
    func now() async throws {
        try await withLoop(Setting(driver: .epoll, caller: .onLoop)) { loop in
            let socket = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            let sent: [UInt8] = [1, 2]
            #expect(try socket.tryReceive() == nil)
            #expect(try unsafe socket.trySend(sent.span.bytes, to: socket.local))
            #expect(try socket.tryReceive()?.bytes == sent)
            // While another task receives, there is nothing.
            async let waiting = socket.receive()
            await EventLoop.yield()
            #expect(try socket.tryReceive() == nil)
            #expect(try unsafe socket.trySend(sent.span.bytes, to: socket.local))
            #expect(try await waiting.bytes == sent)
            #expect(try await ioError { try unsafe socket.trySend(sent.span.bytes) }.code == .addressRequired)
        }
    }

    @Test("elsewhere than on its loop takes and sends nothing at once")
    func notNow() async throws {
        try await withLoop(Setting(driver: .epoll, caller: .elsewhere)) { loop in
            let socket = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            let sent: [UInt8] = [1]
            try await socket.send(sent, to: socket.local)
            #expect(try socket.tryReceive() == nil)
            #expect(try unsafe !socket.trySend(sent.span.bytes, to: socket.local))
            #expect(try await socket.receive().bytes == [1])
        }
    }
}

extension UDPSocket {
    /// What is there after a round trip over loopback, which is instantaneous; nil if nothing is.
    func receiveOrNothing() async throws -> Datagram? {
        try await withThrowingTaskGroup(of: Datagram?.self) { group in
            group.addTask {
                do { return try await self.receive() } catch is CancellationError { return nil }
            }
            for _ in 0..<100 { await Task.yield() }
            group.cancelAll()
            return try await group.next() ?? nil
        }
    }

    /// Whether somebody is bound to the port: another socket can be bound, once nobody is.
    func isOpen(_ address: SocketAddress) async throws -> Bool {
        do {
            try await UDPSocket.bind(to: address, on: loop).close()
            return false
        } catch let error as IOError where error.code == .addressInUse {
            return true
        }
    }
}
