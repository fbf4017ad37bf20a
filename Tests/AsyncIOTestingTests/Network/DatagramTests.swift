import AsyncIO
import AsyncIOKernel
import AsyncIOTesting
import SystemPackage
import Testing

@Suite("Simulated UDP")
struct SimulatedUDPTests {
    /// Sends so many numbered datagrams from host to host, and returns what arrives, in its order.
    private func send(_ count: Int, size: Int = 4, seed: UInt64 = 1, over link: Link) async throws -> [Int] {
        try await Simulation(seed: seed).run { world in
            let scene = try Scene(world, link)
            let received = Condition<[Int]>([])
            try scene.server.program("sink") {
                let socket = try await UDPSocket.bind("0.0.0.0", 53)
                for try await datagram in socket.datagrams {
                    #expect(datagram.bytes.count == size)
                    received.withLock { $0.append(Int(datagram.bytes[0]) << 8 | Int(datagram.bytes[1])) }
                }
            }
            try await scene.client.run {
                try await world.sleep(for: .milliseconds(1))
                let socket = try await UDPSocket.connect("server", 53)
                var bytes = [UInt8](repeating: 0, count: size)
                for number in 0..<count {
                    (bytes[0], bytes[1]) = (UInt8(number >> 8), UInt8(number & 255))
                    try await socket.send(bytes)
                    try await world.sleep(for: .milliseconds(1))
                }
                try await world.sleep(for: .seconds(10))
            }
            return received.withLock { $0 }
        }
    }

    @Test("brings everything in order over a good link")
    func good() async throws {
        #expect(try await send(100, over: Link()) == Array(0..<100))
    }

    @Test("loses, doubles and reorders as often as the link says, and the same ones for the same seed")
    func statistics() async throws {
        let lossy = Link { $0.loss = 0.3 }
        let kept = try await send(2000, over: lossy)
        #expect((1300...1500).contains(kept.count))
        #expect(try await send(2000, over: lossy) == kept)
        #expect(try await send(2000, seed: 2, over: lossy) != kept)
        let doubled = try await send(1000, over: Link { $0.duplication = 0.1 })
        #expect((1060...1140).contains(doubled.count))
        #expect(Set(doubled) == Set(0..<1000))
        let mixed = try await send(
            1000,
            over: Link {
                $0.reordering = 0.1; $0.latency = .fixed(.milliseconds(10))
            })
        #expect(mixed.sorted() == Array(0..<1000))
        let overtaken = zip(mixed, mixed.dropFirst()).count { $0 > $1 }
        #expect((40...110).contains(overtaken))
    }

    @Test("loses a long datagram when one of its fragments is lost")
    func fragments() async throws {
        // Ten fragments, each lost with a probability of 5 %.
        let kept = try await send(1000, size: 14_000, over: Link { $0.loss = 0.05 })
        #expect((540...660).contains(kept.count))
    }

    @Test("tells a connected sender that nobody is there, refuses what is too long, and cuts what does not fit")
    func errors() async throws {
        try await Simulation(seed: 1).run { world in
            let scene = try Scene(world, .after(.milliseconds(5)))
            try await scene.client.run {
                let address = try #require(scene.server.addresses.first)
                let socket = try await UDPSocket.connect(to: address.with(port: 9))
                try await socket.send("anybody?")
                let refused = await #expect(throws: IOError.self) { _ = try await socket.receive() }
                #expect(refused?.code == .connectionRefused)
                #expect(world.elapsed == .milliseconds(10))
                let long = await #expect(throws: IOError.self) {
                    try await socket.send([UInt8](repeating: 0, count: 65_508))
                }
                #expect(long?.code == .messageTooLong)
                let receiver = try await UDPSocket.bind("127.0.0.1", 0)
                let sender = try await UDPSocket.bind("127.0.0.1", 0)
                try await sender.send("hello", to: receiver.local)
                let datagram = try await receiver.receive(upTo: 2)
                #expect(datagram.isTruncated && datagram.info.length == 5)
                #expect(datagram.bytes == Array("he".utf8))
                #expect(datagram.peer == sender.local)
            }
        }
    }

    @Test("goes out from the address that the sender has chosen, if that is one of the host's")
    func source() async throws {
        try await Simulation(seed: 1).run { world in
            let hosts = ["10.9.0.1", "10.9.0.2", "fd00::9:1", "fd00::9:2"]
            let many = try world.addHost("many", addresses: try hosts.map { try SocketAddress(host: $0, port: 0) })
            let other = try world.addHost("other")
            for (any, own, foreign) in [("0.0.0.0", hosts[1], "10.9.0.3"), ("::", hosts[3], "fd00::9:3")] {
                let receiver = try await other.run { try await UDPSocket.bind(any, 9) }
                let code: Errno? = try await many.run {
                    let sender = try await UDPSocket.bind(any, 10)
                    let address = other.addresses[own.contains(":") ? 1 : 0].with(port: 9)
                    try await sender.send([1], to: address, from: try SocketAddress(host: own, port: 0))
                    do {
                        try await sender.send([2], to: address, from: try SocketAddress(host: foreign, port: 0))
                        return nil
                    } catch let error as IOError { return error.code }
                }
                let sender = try await other.run { try await receiver.receive().peer }
                world.check(sender == (try SocketAddress(host: own, port: 10)), "it came from \(sender)")
                world.check(code == .invalidArgument, "\(code, default: "no error") for a foreign address")
            }
        }
    }

    @Test("reports the destination and the hop limit, and sends and receives batches")
    func control() async throws {
        try await Simulation(seed: 1).run { world in
            let scene = try Scene(world)
            try await scene.client.run {
                for host in ["127.0.0.1", "::1"] {
                    let options = UDPOptions {
                        $0.reportsDestination = true
                        $0.reportsHopLimit = true
                        $0.hopLimit = 9
                        $0.coalescesReceived = true
                    }
                    let receiver = try await UDPSocket.bind(host, 0, options: options)
                    let sender = try await UDPSocket.bind(host, 0, options: options)
                    let chunks = (0..<20).map { [UInt8](repeating: UInt8($0), count: 100) }
                    let sent = try await sender.sendBatch(chunks, to: receiver.local)
                    #expect(sent.sent == 20)
                    var received: [Datagram] = []
                    while received.count < 20 { received += try await receiver.receiveBatch() }
                    #expect(received.map(\.bytes) == chunks)
                    #expect(received.allSatisfy { $0.info.destination == receiver.local && $0.info.hopLimit == 9 })
                }
            }
        }
    }

    @Test("drops what does not fit into the receiver's buffer, and waits for bandwidth instead of dropping")
    func buffers() async throws {
        let received = try await Simulation(seed: 1).run { world in
            let scene = try Scene(world, Link { $0.bandwidth = 1_000_000 })
            let count = Condition(0)
            try scene.server.program("slow") {
                let socket = try await UDPSocket.bind(
                    "0.0.0.0", 53, options: UDPOptions { $0.receiveBuffer = 20_000 })
                try await world.sleep(for: .seconds(30))
                while true {
                    _ = try await socket.receive()
                    count.withLock { $0 += 1 }
                }
            }
            try await scene.client.run {
                try await world.sleep(for: .milliseconds(1))
                let socket = try await UDPSocket.connect("server", 53)
                let start = world.elapsed
                for _ in 0..<1000 { try await socket.send([UInt8](repeating: 1, count: 1000)) }
                #expect(world.elapsed - start > .milliseconds(700))
                try await world.sleep(for: .seconds(60))
            }
            return count.withLock { $0 }
        }
        #expect((20...40).contains(received))
    }

    @Test("says by name that groups are not simulated")
    func multicast() async throws {
        let report = await Simulation(seed: 1).report { world in
            let scene = try Scene(world)
            try await scene.client.run {
                let socket = try await UDPSocket.bind("0.0.0.0", 0)
                try await socket.send("all", to: .ipv4(224, 0, 0, 7, port: 9))
            }
        }
        let failure = #expect(throws: SimulationFailure.self) { try report.result.get() }
        #expect("\(failure.map { "\($0.error)" } ?? "")".contains("multicast"))
    }
}
