import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import AsyncIOTesting
import SystemPackage
import Testing

/// What a simulated host does with the world outside, cancelled at every await.
struct SweptWork: Sendable, CustomTestStringConvertible {
    let name: String
    let sweep: @Sendable (CancellationPoint.Moment, UInt64) async throws -> CancellationSweep

    var testDescription: String { name }

    init<Subject: Sendable>(
        _ name: String, accepting: @escaping @Sendable (any Error) -> Bool = { _ in false },
        on setUp: @escaping @Sendable (World, SimulatedHost) async throws -> Subject,
        _ body: @escaping @concurrent @Sendable (Subject) async throws -> Void,
        then check: @escaping @concurrent @Sendable (Subject) async throws -> Void = { _ in }
    ) {
        self.name = name
        sweep = { moment, seed in
            try await Simulation(seed: seed).cancelAtEveryAwait(
                at: [moment], accepting: accepting, setUp: setUp, body: body,
                check: { subject, _ in try await check(subject) })
        }
    }

    static let all = networking + filesAndChildren

    /// Another host, which gives back what comes, and closes what is closed.
    @Sendable static func echo(_ world: World, _ host: SimulatedHost) async throws -> SocketAddress {
        let server = try world.addHost("server")
        let listener = try await server.run { try await TCPListener.bind("0.0.0.0", 7) }
        try server.spawn("echo") {
            try await listener.serve { stream in
                // A client that is cancelled breaks off in the midst of a write.
                do {
                    while let bytes = try await stream.read() { try await stream.write(bytes) }
                } catch is IOError {}
            }
        }
        return server.addresses[0].with(port: 7)
    }

    /// A connection to such a host.
    @Sendable static func connected(_ world: World, _ host: SimulatedHost) async throws -> TCPStream {
        try await TCPStream.connect(to: echo(world, host))
    }

    static let networking = [
        SweptWork("TCPStream.connect to an address", on: echo) { address in
            try await TCPStream.connect(to: address).close()
        },

        SweptWork("TCPStream.connect to a name, of which one address is silent", on: echo) { address in
            let addresses = [
                try SocketAddress(host: "fd00::dead", port: 0), address,
            ]
            let options = ConnectOptions(resolver: StaticResolver(["both.test": addresses]))
            try await TCPStream.connect("both.test", 7, options: options).close()
        },

        SweptWork("TCPStream.connect to a name, and lookUp", on: echo) { _ in
            _ = try await lookUp("server", 7)
            try await TCPStream.connect("server", 7).close()
        },

        SweptWork("TCPStream.write, closeWriting, read", on: connected) { stream in
            try await stream.write("hello")
            try await stream.write(contentsOf: [[1, 2], [3]])
            try await stream.closeWriting()
            while try await stream.read() != nil {}
        } then: { stream in
            stream.close()
        },

        SweptWork("TCPStream.read loses nothing") { world, host in
            let server = try world.addHost("server")
            let listener = try await server.run { try await TCPListener.bind("0.0.0.0", 7) }
            try server.spawn {
                let stream = try await listener.accept()
                for byte in 0..<6 as Range<UInt8> {
                    try await stream.write([byte, byte])
                    try await world.sleep(for: .seconds(1))
                }
                stream.close()
            }
            return (try await TCPStream.connect("server", 7), Log<UInt8>())
        } _: { stream, log in
            for _ in 0..<4 { for byte in try await stream.read(upTo: 3) ?? [] { log.add(byte) } }
        } then: { stream, log in
            while let bytes = try await stream.read() { for byte in bytes { log.add(byte) } }
            stream.close()
            try expect(log.all == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5], "\(log.all)")
        },

        SweptWork(
            "TCPStream.write against a peer that reads late",
            on: { world, host in
                let server = try world.addHost("server")
                let listener = try await server.run { try await TCPListener.bind("0.0.0.0", 7) }
                let received = Log<Int>()
                try server.spawn {
                    let stream = try await listener.accept()
                    try await world.sleep(for: .seconds(1))
                    var count = 0
                    while let bytes = try await stream.read() {
                        if let place = Bytes.difference(bytes, at: count) { throw Broken("wrong at \(place)") }
                        count += bytes.count
                    }
                    received.add(count)
                }
                return (try await TCPStream.connect("server", 7), received, world)
            }
        ) { stream, _, _ in
            try await stream.write(Bytes.pattern(4 << 20))
        } then: { stream, received, world in
            stream.close()
            try await world.sleep(for: .seconds(60))
            try expect(received.count == 1 && (received.all.first ?? 0) > 0, "\(received.all)")
        },

        SweptWork("TCPListener.accept loses no connection") { world, host in
            let listener = try await TCPListener.bind("0.0.0.0", 7)
            let client = try world.addHost("client")
            for number in 0..<4 as Range<UInt8> {
                try client.spawn {
                    try await world.sleep(for: .seconds(Int(number)))
                    let stream = try await TCPStream.connect("host", 7)
                    try await stream.write([number])
                    while try await stream.read() != nil {}
                }
            }
            return (listener, Log<TCPStream>())
        } _: { listener, streams in
            for _ in 0..<3 { streams.add(try await listener.accept()) }
        } then: { listener, streams in
            while streams.count < 4 { streams.add(try await listener.accept()) }
            var numbers: [UInt8] = []
            for stream in streams.all {
                numbers += try await stream.read() ?? []
                stream.close()
            }
            listener.close()
            try expect(numbers.sorted() == [0, 1, 2, 3], "\(numbers)")
        },

        SweptWork("TCPListener.serve, with handlers under way") { world, host in
            let client = try world.addHost("client")
            try client.spawn {
                for _ in 0..<3 {
                    try await world.sleep(for: .milliseconds(20))
                    do {
                        let stream = try await TCPStream.connect("host", 7)
                        try await stream.write("hello")
                        while try await stream.read() != nil {}
                    } catch is ConnectError {} catch is IOError {}
                }
            }
            return world
        } _: { world in
            let listener = try await TCPListener.bind("0.0.0.0", 7)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    try await listener.serve(limit: 1) { stream in
                        if let bytes = try await stream.read() { try await stream.write(bytes) }
                    }
                }
                try await world.sleep(for: .milliseconds(100))
                try await listener.shutdown(drain: .seconds(1), grace: .seconds(1))
                try await group.waitForAll()
            }
        },

        SweptWork("UDPSocket.send, receive, connect") { world, host in
            let server = try world.addHost("server")
            let socket = try await server.run { try await UDPSocket.bind("0.0.0.0", 53) }
            try server.spawn {
                for try await datagram in socket.datagrams { try await socket.send(datagram.bytes, to: datagram.peer) }
            }
            return ()
        } _: { _ in
            let socket = try await UDPSocket.connect("server", 53)
            defer { socket.close() }
            for number in 0..<3 as Range<UInt8> {
                try await socket.send([number])
                _ = try await socket.receive()
            }
            _ = try await socket.sendBatch([[1], [2]])
            _ = try await socket.receiveBatch()
        },

        SweptWork("UnixListener.bind, UnixStream.connect, accept, UnixDatagramSocket") { world, _ in
            world
        } _: { world in
            let listener = try await UnixListener.bind("/run/socket")
            defer { listener.close() }
            let client = try await UnixStream.connect("/run/socket")
            let server = try await listener.accept()
            async let received = server.read()
            try await world.sleep(for: .seconds(1))
            try await client.write("hello")
            _ = try await received
            let socket = try await UnixDatagramSocket.bind("/run/datagrams")
            defer { socket.close() }
            async let datagram = socket.receive()
            try await world.sleep(for: .seconds(1))
            try await socket.send("to itself", to: socket.local)
            _ = try await datagram
        } then: { _ in
            try expect(try await !File.exists(at: "/run/socket"), "the listener's file is left")
            try expect(try await !File.exists(at: "/run/datagrams"), "the socket's file is left")
        },

        SweptWork("copyBidirectional between two connections") { world, host in
            let address = try await echo(world, host)
            let far = try await TCPStream.connect(to: address)
            let (one, near) = try await UnixStream.pair()
            return (one, near, far)
        } _: { one, near, far in
            async let copied = copyBidirectional(near, far)
            try await one.write("through the proxy")
            _ = try await one.read()
            try await one.closeWriting()
            _ = try await copied
        } then: { one, near, far in
            for stream in [one, near] { stream.close() }
            far.close()
        },
    ]
}

@Suite("What reaches the world outside is cancelled at every await", .timeLimit(.minutes(10)))
struct EveryOutsideAwaitTests {
    @Test(arguments: SweptWork.all, CancellationPoint.Moment.allCases)
    func work(_ work: SweptWork, at moment: CancellationPoint.Moment) async throws {
        for seed in [1, 2] as [UInt64] {
            let sweep = try await work.sweep(moment, seed)
            #expect(sweep.cancellations > 0, "\(work.name): \(sweep)")
        }
    }
}

@Suite("Cancelled at every await, in a simulated world")
struct SimulatedCancellationSweepTests {
    @Test("a descriptor that a cancelled body leaves open is named")
    func leak() async throws {
        let kept = Log<UDPSocket>()
        let failures = await #expect(throws: CancellationFailures.self) {
            try await Simulation(seed: 1).cancelAtEveryAwait(
                setUp: { world, _ in world },
                body: { world in
                    let socket = try await UDPSocket.bind("127.0.0.1", 53)
                    kept.add(socket)
                    // Not closed when this throws.
                    try await world.sleep(for: .seconds(1))
                    socket.close()
                })
        }
        #expect(failures?.failures.isEmpty == false)
        #expect(failures?.failures.allSatisfy { $0.detail.contains("UDP") } == true, "\(failures as Any)")
    }

    @Test("a body that hangs when it is cancelled is found, in simulated time")
    func hung() async throws {
        let failures = await #expect(throws: CancellationFailures.self) {
            try await Simulation(seed: 1).cancelAtEveryAwait(
                setUp: { world, _ in world },
                body: { world in do { try await world.sleep(for: .seconds(1)) } catch { await Gate().pass() } })
        }
        #expect(failures?.failures.first?.detail.contains("hangs") == true, "\(failures as Any)")
    }
}
