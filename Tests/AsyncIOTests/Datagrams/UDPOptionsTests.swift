import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@Suite("A UDP socket's options", .timeLimit(.minutes(30)))
struct UDPOptionsTests {
    @Test(
        "tell where a datagram was sent to, and what the network said", arguments: Setting.everywhere,
        UDPTests.loopbacks)
    func reports(setting: Setting, address: SocketAddress) async throws {
        try await withLoop(setting) { loop in
            let all = UDPOptions { options in
                options.reportsDestination = true
                options.reportsHopLimit = true
                options.reportsCongestion = true
            }
            let version: SocketAddress.IPVersion = address.family == .ipv6 ? .v6 : .v4
            let server = try await UDPSocket.bind(to: .any(port: 0, version: version), options: all, on: loop)
            let port = try #require(server.local.port)
            let client = try await UDPSocket.bind(to: address, options: UDPOptions { $0.hopLimit = 77 }, on: loop)
            try await client.send([1], to: address.with(port: port))
            let info = try await server.receive().info
            #expect(info.destination == address.with(port: port))
            #expect(info.interface?.name == "lo")
            #expect(info.hopLimit == 77)
            #expect(info.congestion == .notCapable)
            // Also of a batch, into a buffer, and at once.
            try await client.send([1], to: address.with(port: port))
            #expect(try await server.receiveBatch().map(\.info) == [info])
            var buffer = IOBuffer(capacity: 10)
            try await client.send([1], to: address.with(port: port))
            #expect(try await server.receive(into: &buffer) == info)
        }
    }

    @Test("let one socket take both families, or one", arguments: Setting.all)
    func bothFamilies(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let all = UDPOptions { options in
                options.onlyIPv6 = false
                options.reportsDestination = true
                options.reportsHopLimit = true
            }
            let server = try await UDPSocket.bind(to: .any(port: 0, version: .v6), options: all, on: loop)
            let port = try #require(server.local.port)
            let client = try await UDPSocket.bind("127.0.0.1", 0, options: UDPOptions { $0.hopLimit = 9 }, on: loop)
            try await client.send("over IPv4", to: .loopback(port: port))
            let datagram = try await server.receive()
            #expect(datagram.peer.host == "::ffff:127.0.0.1")
            #expect(datagram.info.destination?.host == "::ffff:127.0.0.1")
            #expect(datagram.info.hopLimit == 9)
            try await server.send("back", to: datagram.peer)
            #expect(try await client.receive().peer == .loopback(port: port))

            let strict = UDPOptions { $0.onlyIPv6 = true }
            let other = try await UDPSocket.bind(to: .any(port: 0, version: .v6), options: strict, on: loop)
            let otherPort = try #require(other.local.port)
            let narrow = try await UDPSocket.connect(to: .loopback(port: otherPort), on: loop)
            try await narrow.send([1])
            #expect(try await ioError { try await narrow.send([1]) }.code == .connectionRefused)
        }
    }

    @Test("let a server answer from the address that it was asked at", arguments: Setting.everywhere)
    func source(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let server = try await UDPSocket.bind(
                to: .any(port: 0), options: UDPOptions { $0.reportsDestination = true }, on: loop)
            let port = try #require(server.local.port)
            let other = SocketAddress.ipv4(127, 0, 0, 42, port: port)
            let client = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            try await client.send("question", to: other)
            let question = try await server.receive()
            #expect(question.info.destination == other)
            try await server.send(question.bytes, to: question.peer, from: try #require(question.info.destination))
            #expect(try await client.receive().peer == other)
            let error = try await ioError {
                try await server.send([1], to: client.local, from: .ipv4(192, 0, 2, 200, port: 0))
            }
            #expect(error.operation == "send")
        }
    }

    @Test("make it a member of a group, and end that", arguments: Setting.all)
    func multicast(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let loopback = try NetworkInterface(named: "lo")
            #expect(loopback.name == "lo" && "\(loopback)" == "lo")
            let group = SocketAddress.ipv4(239, 255, 7, UInt8.random(in: 1...254), port: 0)
            let shared = UDPOptions { $0.reuseAddress = true }
            let first = try await UDPSocket.bind(to: .any(port: 0), options: shared, on: loop)
            let second = try await UDPSocket.bind(to: first.local, options: shared, on: loop)
            let target = group.with(port: try #require(first.local.port))
            let sending = UDPOptions { options in
                options.multicastInterface = loopback
                options.multicastLoopback = true
                options.multicastHopLimit = 0
            }
            let sender = try await UDPSocket.bind("127.0.0.1", 0, options: sending, on: loop)
            try await first.join(group, on: loopback)
            try await second.join(group, on: loopback)
            #expect(try await ioError { try await second.join(group, on: loopback) }.code == .addressInUse)
            try await sender.send("to all", to: target)
            #expect(try await first.receive().bytes == Array("to all".utf8))
            #expect(try await second.receive().bytes == Array("to all".utf8))

            try await second.leave(group, on: loopback)
            #expect(try await ioError { try await second.leave(group, on: loopback) }.code == .addressNotAvailable)
            // Of one source alone: the first one's is another.
            try await first.leave(group, on: loopback)
            try await first.join(group, on: loopback, from: .ipv4(127, 0, 0, 9, port: 0))
            try await second.join(group, on: loopback, from: sender.local)
            try await sender.send("to some", to: target)
            #expect(try await second.receive().bytes == Array("to some".utf8))
            try await second.leave(group, on: loopback, from: sender.local)

            let error = try await ioError { try await first.join(.loopback(port: 0)) }
            #expect(error.code == .invalidArgument && error.description.contains("127.0.0.1"))
        }
    }

    @Test("make it a member of an IPv6 group", arguments: Setting.all)
    func multicastV6(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let loopback = try NetworkInterface(named: "lo")
            let server = try await UDPSocket.bind(to: .any(port: 0, version: .v6), on: loop)
            let groups: InlineArray<8, UInt16> = [0xff01, 0, 0, 0, 0, 0, 0, .random(in: 0x1000...0xf000)]
            let group = SocketAddress.ipv6(groups, port: try #require(server.local.port), scope: loopback.index)
            try await server.join(group, on: loopback)
            #expect(try await ioError { try await server.join(group, on: loopback) }.code == .addressInUse)
            let sending = UDPOptions { $0.multicastInterface = loopback }
            let sender = try await UDPSocket.bind(to: .any(port: 0, version: .v6), options: sending, on: loop)
            do {
                try await sender.send("to all", to: group)
                #expect(try await server.receive().bytes == Array("to all".utf8))
            } catch let error as IOError where error.code == .networkUnreachable {
                // Not every machine routes IPv6 groups over loopback; joining and leaving work all the same.
            }
            try await server.leave(group, on: loopback)
        }
    }

    @Test("share a port, refuse what makes no sense, and allow broadcasts when asked", arguments: Setting.all)
    func others(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let shared = UDPOptions { $0.reusePort = true }
            let first = try await UDPSocket.bind("127.0.0.1", 0, options: shared, on: loop)
            _ = try await UDPSocket.bind(to: first.local, options: shared, on: loop)
            for count in [0, 256, -1] {
                let options = UDPOptions { $0.hopLimit = count }
                let error = try await ioError { try await UDPSocket.bind("127.0.0.1", 0, options: options, on: loop) }
                #expect(error.code == .invalidArgument && error.description.contains("\(count)"))
            }
            let broadcast = SocketAddress.ipv4(127, 255, 255, 255, port: try #require(first.local.port))
            let plain = try await UDPSocket.bind("127.0.0.1", 0, on: loop)
            #expect(try await ioError { try await plain.send([1], to: broadcast) }.code == .permissionDenied)
            let allowed = try await UDPSocket.bind(
                to: .any(port: 0), options: UDPOptions { $0.broadcast = true }, on: loop)
            try await allowed.send([1], to: broadcast)
            let error = try await ioError { _ = try NetworkInterface(named: "no such one") }
            #expect(error.description.contains("no such one") && error.description.contains("ip link"))
        }
    }
}
