import AsyncIO
import AsyncIOKernel
import AsyncIOTesting
import SystemPackage
import Testing

@Suite("Simulated connections")
struct SimulatedConnectionTests {
    @Test("fall back to the next address when the first one says nothing (Happy Eyeballs), after 250 ms")
    func happyEyeballs() async throws {
        try await Simulation(seed: 1).run { world in
            let scene = try Scene(world, .after(.milliseconds(10)))
            try scene.serveEcho()
            try await scene.client.run {
                try await world.sleep(for: .milliseconds(1))
                let silent = try SocketAddress(host: "fd00::dead", port: 0)
                let resolver = FixedResolver([silent, try #require(scene.server.addresses.first)])
                let start = world.elapsed
                let stream = try await TCPStream.connect("server", 7, options: ConnectOptions(resolver: resolver))
                #expect(world.elapsed - start == .milliseconds(270))
                #expect(stream.peer == scene.server.addresses.first?.with(port: 7))
                stream.close()
            }
        }
    }

    @Test("reach a listener of both versions by either, and one of IPv6 alone by IPv6 alone")
    func versions() async throws {
        try await Simulation(seed: 1).run { world in
            let scene = try Scene(world)
            try await scene.server.run {
                let both = try await TCPListener.bind("::", 7, options: TCPOptions(dualStack: .both))
                let one = try await TCPListener.bind("::", 8, options: TCPOptions(dualStack: .onlyIPv6))
                let v4 = try await TCPStream.connect("127.0.0.1", 7)
                let accepted = try await both.accept()
                #expect(accepted.peer.host == "::ffff:127.0.0.1")
                let v6 = try await TCPStream.connect("::1", 8)
                let refused = await #expect(throws: IOError.self) { _ = try await TCPStream.connect("127.0.0.1", 8) }
                #expect(refused?.code == .connectionRefused)
                for stream in [v4, accepted, v6] { stream.close() }
                one.close()
            }
        }
    }

    @Test("that one side alone has closed are forgotten there a minute later, and not by the other side")
    func orphans() async throws {
        try await Simulation(seed: 1).run { world in
            let scene = try Scene(world)
            try scene.server.program("keeper") {
                let listener = try await TCPListener.bind("0.0.0.0", 7)
                try await listener.serve { _ in try await world.sleep(for: .seconds(3_600)) }
            }
            try await scene.client.run {
                for _ in 0..<20 { try await scene.dial().close() }
                world.check(scene.client.openConnections == 20, "\(scene.client.openConnections) before")
                try await world.sleep(for: .seconds(61))
                let last = try await scene.dial()
                world.check(scene.client.openConnections == 1, "\(scene.client.openConnections) afterwards")
                world.check(scene.server.openConnections == 21, "\(scene.server.openConnections) at the server")
                last.close()
            }
        }
    }

    @Test("leave their port waiting at the side that has closed first, and free at the other one")
    func lingering() async throws {
        try await Simulation(seed: 1).run { world in
            let scene = try Scene(world)
            let options = TCPOptions(reuseAddress: false)
            for isFirst in [false, true] {
                let server = try await scene.server.run {
                    let listener = try await TCPListener.bind("0.0.0.0", isFirst ? 8 : 7, options: options)
                    async let connection = scene.client.run {
                        try await TCPStream.connect("server", isFirst ? 8 : 7)
                    }
                    let (server, client) = (try await listener.accept(), try await connection)
                    listener.close()
                    if isFirst { server.close() } else { client.close() }
                    try await world.sleep(for: .milliseconds(10))
                    if isFirst { client.close() } else { server.close() }
                    try await world.sleep(for: .milliseconds(10))
                    do {
                        try await TCPListener.bind("0.0.0.0", isFirst ? 8 : 7, options: options).close()
                        return true
                    } catch let error as IOError where error.code == .addressInUse {
                        return false
                    }
                }
                world.check(server != isFirst, "closed first: \(isFirst), free: \(server)")
            }
        }
    }

    @Test("that are clogged notice a peer of whom nothing comes: idle ones that ask, and those that wait for word")
    func clogged() async throws {
        try await Simulation(seed: 1).run { world in
            let scene = try Scene(world)
            try scene.serveEcho()
            try await scene.client.run {
                let schedule = TCPOptions.KeepAlive(idle: .seconds(60), interval: .seconds(10), count: 6)
                let idle = try await scene.dial(options: TCPOptions(keepAlive: schedule))
                let busy = try await scene.dial(options: TCPOptions(userTimeout: .seconds(30)))
                let start = world.elapsed
                world.network.clog(from: scene.server, to: scene.client)
                try await busy.write("a")
                let impatient = await #expect(throws: IOError.self) { _ = try await busy.read() }
                world.check(impatient?.code == .timedOut, "\(impatient, default: "nothing") for the busy one")
                let seconds = (world.elapsed - start) / .seconds(1)
                world.check((30.0...31.0).contains(seconds), "\(seconds) seconds for the busy one")
                let error = await #expect(throws: IOError.self) { _ = try await idle.read() }
                world.check(error?.code == .timedOut, "\(error, default: "nothing") for the idle one")
                let all = (world.elapsed - start) / .seconds(1)
                world.check((119.0...121.0).contains(all), "\(all) seconds for the idle one")
            }
        }
    }

    @Test("that are idle notice a peer that is gone, if they ask from time to time")
    func keepAlive() async throws {
        try await Simulation(seed: 1).run { world in
            let scene = try Scene(world)
            try scene.serveEcho()
            try await scene.client.run {
                let schedule = TCPOptions.KeepAlive(idle: .seconds(60), interval: .seconds(10), count: 6)
                let stream = try await scene.dial(options: TCPOptions(keepAlive: schedule))
                let start = world.elapsed
                world.network.cut(from: scene.server, to: scene.client)
                let error = await #expect(throws: IOError.self) { _ = try await stream.read() }
                #expect(error?.code == .timedOut)
                #expect((119.0...121.0).contains((world.elapsed - start) / .seconds(1)))
            }
        }
    }

    @Test("hear what comes one way, and have nobody hear them, while the other way is cut")
    func oneWay() async throws {
        try await Simulation(seed: 1).run { world in
            let scene = try Scene(world)
            try scene.serveOnce { stream in
                for number in 0..<3 {
                    try await stream.write([UInt8(number)])
                    try await world.sleep(for: .seconds(1))
                }
                let answer = try await stream.read()
                #expect(answer == Array("late".utf8))
                #expect(world.elapsed > .seconds(100))
                stream.close()
            }
            try await scene.client.run {
                let stream = try await scene.dial()
                try await world.sleep(for: .milliseconds(1))
                world.network.cut(from: scene.client, to: scene.server)
                let bytes = try await stream.readAll(3)
                #expect(bytes == [0, 1, 2])
                try await stream.write("late")
                try await world.sleep(for: .seconds(100))
                world.network.heal()
                let end = try await stream.read()
                #expect(end == nil)
            }
        }
    }

    @Test("survive every fault that a storm deals out, byte for byte", arguments: 1...20 as ClosedRange<UInt64>)
    func storm(seed: UInt64) async throws {
        var simulation = Simulation(seed: seed)
        simulation.faults = .stormy
        try await simulation.run { world in
            let scene = try Scene(world, .poor)
            try scene.serveEcho()
            try await scene.client.run {
                try await world.sleep(for: .milliseconds(10))
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<5 {
                        group.addTask {
                            let stream = try await TCPStream.connect("server", 7)
                            let bytes = (0..<30_000).map { UInt8(truncatingIfNeeded: $0 &* (number + 3)) }
                            async let all = stream.readToEnd()
                            try await stream.write(bytes)
                            try await stream.closeWriting()
                            let same = try await all == bytes
                            world.check(same, "connection \(number) got other bytes")
                        }
                    }
                    for _ in 0..<3 {
                        try await world.sleep(for: .milliseconds(300))
                        world.network.partition([scene.client], [scene.server])
                        try await world.sleep(for: .milliseconds(world.random(in: 10...3000)))
                        world.network.heal()
                    }
                    try await group.waitForAll()
                }
            }
        }
    }

    @Test("leave nothing behind: a thousand of them, one after the other, need few descriptors and ports")
    func churn() async throws {
        try await Simulation(seed: 1).run { world in
            let scene = try Scene(world)
            try scene.serveEcho()
            try await scene.client.run {
                try await world.sleep(for: .milliseconds(10))
                let address = try #require(scene.server.addresses.first)
                for number in 0..<1000 {
                    let stream = try await TCPStream.connect(to: address.with(port: 7))
                    try await stream.write([UInt8(truncatingIfNeeded: number)])
                    _ = try await stream.readAll(1)
                    stream.close()
                }
            }
            try await world.sleep(for: .seconds(1))
            try await scene.server.run {
                let listener = try await TCPListener.bind("0.0.0.0", 8)
                listener.close()
            }
        }
    }
}

/// Knows the same addresses for every name.
private struct FixedResolver: Resolver {
    let known: [SocketAddress]
    init(_ known: [SocketAddress]) { self.known = known }
    func addresses(of host: String, version: SocketAddress.IPVersion?) async throws -> [SocketAddress] { known }
}
