import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import CAsyncIO
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Batches of datagrams", .timeLimit(.minutes(30)))
struct UDPBatchTests {
    /// With and without the kernel's help: the same has to come out.
    static let offloads = [(false, false), (true, false), (false, true), (true, true)]

    private func sockets(
        _ offload: (sends: Bool, receives: Bool), on loop: EventLoop
    ) async throws -> (server: UDPSocket, client: UDPSocket) {
        let options = UDPOptions { $0.segmentsSent = offload.sends }
        let receiving = UDPOptions { options in
            options.coalescesReceived = offload.receives
            options.receiveBuffer = 8 << 20
        }
        let server = try await UDPSocket.bind("127.0.0.1", 0, options: receiving, on: loop)
        let client = try await UDPSocket.connect(to: server.local, options: options, on: loop)
        return (server, client)
    }

    @Test("arrive as they were sent, with and without offload", arguments: Setting.everywhere, offloads)
    func roundTrip(setting: Setting, offload: (Bool, Bool)) async throws {
        try await withLoop(setting) { loop in
            let (server, client) = try await sockets(offload, on: loop)
            var random = Randomness()
            for _ in 0..<10 {
                // What a receiver has no room for is dropped; a simulated one has what programs without rights get.
                let batch = Self.draw(&random, atMost: setting.isSimulated ? 400_000 : .max)
                let sent = try await client.sendBatch(batch)
                #expect(sent.sent == batch.count && sent.isComplete)
                var received: [[UInt8]] = []
                while received.count < batch.count {
                    switch random.next() % 4 {
                    case 0: received.append(try await server.receive().bytes)
                    case 1:
                        var buffer = IOBuffer(capacity: 65_535)
                        let info = try await server.receive(into: &buffer)
                        #expect(info.length == buffer.count && info.peer == client.local)
                        received.append(buffer.withBytes { unsafe $0.withUnsafeBytes { unsafe [UInt8]($0) } })
                    default:
                        let some = try await server.receiveBatch(upTo: Int(random.next() % 70) + 1)
                        #expect(some.allSatisfy { $0.peer == client.local && !$0.isTruncated })
                        received += some.map(\.bytes)
                    }
                }
                #expect(received == batch, "\(random.note)")
            }
            #expect(try await server.receiveOrNothing() == nil)
        }
    }

    /// Runs of one size, empty ones, odd ones, more than one call takes.
    private static func draw(_ random: inout Randomness, atMost limit: Int = .max) -> [[UInt8]] {
        var batch: [[UInt8]] = []
        for _ in 0..<(random.next() % 6 + 1) {
            let size = [0, 1, 100, 1_200, 1_400, 9_000, 65_507][Int(random.next() % 7)]
            let run = Int(random.next() % (size > 10_000 ? 3 : 150)) + 1
            for index in 0..<run { batch.append(Bytes.pattern(size, seed: UInt64(index))) }
            if random.next() % 2 == 0 { batch.append(random.bytes(Int(random.next() % 1_400))) }
        }
        // A datagram takes room beside its bytes.
        var cost = 0
        return Array(
            batch.prefix { datagram in
                cost += datagram.count + 1_000
                return cost <= limit
            })
    }

    @Test("go to the peers that they name", arguments: Setting.everywhere)
    func peers(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let servers = try await (
                UDPSocket.bind("127.0.0.1", 0, on: loop), UDPSocket.bind("127.0.0.1", 0, on: loop)
            )
            let client = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            let batch = (0..<60).map { number in
                Datagram([UInt8(number)], to: number % 7 < 4 ? servers.0.local : servers.1.local)
            }
            #expect(try await client.sendBatch(batch).sent == 60)
            for server in [servers.0, servers.1] {
                let expected = batch.filter { $0.peer == server.local }.map(\.bytes)
                var received: [Datagram] = []
                while received.count < expected.count { received += try await server.receiveBatch() }
                #expect(received.map(\.bytes) == expected)
                // What was received can be sent as it is: it goes back.
                #expect(try await server.sendBatch(received).isComplete)
            }
            var back = 0
            while back < 60 { back += try await client.receiveBatch().count }
        }
    }

    @Test("say how many were sent when one in the middle cannot be", arguments: Setting.everywhere, [true, false])
    func partial(setting: Setting, segments: Bool) async throws {
        try await withLoop(setting) { loop in
            let (server, client) = try await sockets((segments, false), on: loop)
            let short = Bytes.pattern(100)
            let batch = [short, short, short, Bytes.pattern(65_508), short]
            let sent = try await client.sendBatch(batch)
            #expect(sent.sent == 3 && !sent.isComplete)
            let failure = try #require(sent.failure as? IOError)
            #expect(failure.code == .messageTooLong && failure.description.contains("65508"), "\(failure)")
            #expect(try await ioError { try await client.sendBatch(Array(batch[3...])) }.code == .messageTooLong)
            #expect(try await client.sendBatch(Array(batch[4...])).isComplete)
            for _ in 0..<4 { #expect(try await server.receive().bytes == short) }
            #expect(try await server.receiveOrNothing() == nil)
        }
    }

    @Test("are told once that the peer has gone", arguments: Setting.all)
    func refused(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (server, client) = try await sockets((true, true), on: loop)
            server.close()
            try await until { try await !client.isOpen(server.local) }
            // Different sizes leave one by one. sendmmsg(2) keeps an error in the middle to itself, and is asked to go
            // on: that of the last datagram is told for sure.
            let sent = try await client.sendBatch([[1], [1, 2], [1, 2, 3]])
            #expect(sent.isComplete || (sent.failure as? IOError)?.code == .connectionRefused)
            if sent.isComplete {
                #expect(try await ioError { try await client.sendBatch([[1]]) }.code == .connectionRefused)
            }
            #expect(try await client.sendBatch([[1]]).isComplete)
            #expect(try await ioError { try await client.receiveBatch() }.code == .connectionRefused)
        }
    }

    @Test("leave one by one where the kernel refuses to cut them", arguments: Setting.all)
    func refusedSegments(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (server, client) = try await sockets((true, true), on: loop)
            // Without checksums there is no segmentation: EINVAL, as for datagrams longer than the link's packets.
            let one = CInt(1).optionBytes
            let outcome = await loop.perform(
                .setOption(client.core.handle, level: SOL_SOCKET, name: SO_NO_CHECK, value: one))
            #expect(outcome.result == 0)
            let batch = (0..<100).map { Bytes.pattern($0 % 50 == 49 ? 500 : 1_000, seed: UInt64($0)) }
            for _ in 0..<2 {
                #expect(try await client.sendBatch(batch).isComplete)
                for bytes in batch { #expect(try await server.receive().bytes == bytes) }
            }
            #expect(client.core.state.withLock { $0.segmentLimit } < 1_000)
        }
    }

    @Test("to where nothing can be sent do not keep the kernel from cutting others", arguments: Setting.everywhere)
    func refusedDestination(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let server = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            let options = UDPOptions { $0.segmentsSent = true }
            let client = try await UDPSocket.bind("127.0.0.1", 0, options: options, on: loop)
            let limit = client.core.state.withLock { $0.segmentLimit }
            let nowhere = Array(repeating: Datagram(Bytes.pattern(100), to: .loopback(port: 0)), count: 10)
            #expect(try await ioError { try await client.sendBatch(nowhere) }.code == .invalidArgument)
            #expect(client.core.state.withLock { $0.segmentLimit } == limit)
            let batch = Array(repeating: Datagram(Bytes.pattern(100), to: server.local), count: 10)
            #expect(try await client.sendBatch(batch).isComplete)
            for _ in 0..<10 { #expect(try await server.receive().bytes == Bytes.pattern(100)) }
        }
    }

    @Test("of none are no operation", arguments: Setting.everywhere)
    func none(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let socket = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            #expect(try await socket.sendBatch([] as [Datagram]).sent == 0)
            #expect(try await socket.sendBatch([] as [[UInt8]]).isComplete)
        }
    }

    @Test("coalesced by the kernel, are cut at the limit one by one", arguments: Setting.everywhere, [true, false])
    func limits(setting: Setting, coalesces: Bool) async throws {
        try await withLoop(setting) { loop in
            let (server, client) = try await sockets((true, coalesces), on: loop)
            let batch = (0..<10).map { Bytes.pattern($0 == 9 ? 40 : 100, seed: UInt64($0)) }
            for limit in [1, 50, 100] {
                #expect(try await client.sendBatch(batch).isComplete)
                for bytes in batch {
                    let datagram = try await server.receive(upTo: limit)
                    #expect(datagram.bytes == Array(bytes.prefix(limit)))
                    #expect(datagram.info.length == bytes.count && datagram.isTruncated == (bytes.count > limit))
                }
            }
        }
    }

    @Test("are shown in place, and what a body did not see comes next", arguments: Setting.everywhere, [true, false])
    func inPlace(setting: Setting, coalesces: Bool) async throws {
        struct Enough: Error {}
        try await withLoop(setting) { loop in
            let (server, client) = try await sockets((true, coalesces), on: loop)
            let batch = (0..<20).map { Bytes.pattern(64, seed: UInt64($0)) }
            #expect(try await client.sendBatch(batch).isComplete)
            var seen: [[UInt8]] = []
            while seen.count < 20 {
                do {
                    let before = seen.count
                    let count = try await server.receiveBatch(upTo: 50) { _, bytes in
                        seen.append(unsafe bytes.withUnsafeBytes { unsafe [UInt8]($0) })
                        if seen.count % 3 == 0 { throw Enough() }
                    }
                    #expect(count == seen.count - before)
                } catch is Enough {}
            }
            #expect(seen == batch)
        }
    }

    @Test("are gone with their socket", arguments: Setting.everywhere)
    func closed(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (server, client) = try await sockets((true, true), on: loop)
            #expect(try await client.sendBatch(Array(repeating: [1, 2, 3], count: 10)).isComplete)
            _ = try await server.receive()
            server.close()
            #expect(try await ioError { try await server.receive() }.code == .badFileDescriptor)
        }
    }

    @Test("use their memory again")
    func memory() async throws {
        try await withLoop(Setting(driver: .epoll, caller: .onLoop)) { loop in
            let (server, client) = try await sockets((true, false), on: loop)
            let batch = Array(repeating: Bytes.pattern(100), count: 64)
            var rooms: Set<ObjectIdentifier> = []
            for _ in 0..<50 {
                #expect(try await client.sendBatch(batch).isComplete)
                var count = 0
                while count < 64 { count += try await server.receiveBatch(upTo: 64) { _, _ in } }
                server.core.state.withLock { state in
                    #expect(state.incoming.count == 1)
                    rooms.formUnion(state.incoming.map(ObjectIdentifier.init))
                }
            }
            #expect(rooms.count == 1)
        }
    }
}
