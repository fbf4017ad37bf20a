import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import AsyncIOTesting
import SystemPackage
import Testing

@Suite("Simulated TCP")
struct SimulatedTCPTests {
    @Test("connects in a round trip, and echoes in one more")
    func latency() async throws {
        let times = try await Simulation(seed: 1).run { world in
            let scene = try Scene(world, .after(.milliseconds(30)))
            try scene.serveEcho()
            return try await scene.client.run {
                try await world.sleep(for: .milliseconds(10))
                let start = world.elapsed
                let address = try #require(scene.server.addresses.first)
                let stream = try await TCPStream.connect(to: address.with(port: 7))
                let connected = world.elapsed - start
                try await stream.write("hello")
                let answer = try await stream.readAll(5)
                #expect(answer == Array("hello".utf8))
                let echoed = world.elapsed - start
                #expect(stream.peer == address.with(port: 7))
                stream.close()
                return [connected, echoed]
            }
        }
        #expect(times == [.milliseconds(60), .milliseconds(120)])
    }

    @Test("ends one direction while the other goes on")
    func halfClose() async throws {
        try await Simulation(seed: 1).run { world in
            let scene = try Scene(world)
            try scene.serveOnce { stream in
                let bytes = try await stream.readToEnd()
                try await world.sleep(for: .seconds(1))
                try await stream.write(bytes + bytes)
                stream.close()
            }
            try await scene.client.run {
                let stream = try await scene.dial()
                try await stream.write("once")
                try await stream.closeWriting()
                let answer = try await stream.readToEnd()
                #expect(String(decoding: answer, as: UTF8.self) == "onceonce")
            }
        }
    }

    @Test("stops a writer whose peer does not read, and lets it go on when it does")
    func backpressure() async throws {
        try await Simulation(seed: 1).run { world in
            let scene = try Scene(world)
            let received = Condition(0)
            try scene.serveOnce { stream in
                try await world.sleep(for: .seconds(50))
                let count = try await stream.readToEnd().count
                received.withLock { $0 = count }
            }
            try await scene.client.run {
                let stream = try await scene.dial()
                try await stream.write([UInt8](repeating: 7, count: 4 << 20))
                #expect(world.elapsed > .seconds(50))
                stream.close()
                try await world.sleep(for: .seconds(1))
            }
            #expect(received.withLock { $0 } == 4 << 20)
        }
    }

    @Test("loses no byte and keeps their order over links that lose packets, and takes its time", arguments: [1, 2, 3])
    func loss(seed: UInt64) async throws {
        try await Simulation(seed: seed).run { world in
            let scene = try Scene(
                world,
                Link {
                    $0.loss = 0.2; $0.latency = .uniform(.zero ... .milliseconds(50))
                })
            try scene.serveEcho()
            try await scene.client.run {
                let stream = try await scene.dial()
                let bytes = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
                let start = world.elapsed
                async let all = stream.readToEnd()
                for piece in stride(from: 0, to: bytes.count, by: 10_000) {
                    try await stream.write(Array(bytes[piece..<piece + 10_000]))
                }
                try await stream.closeWriting()
                let same = try await all == bytes
                #expect(same)
                #expect(world.elapsed - start > .milliseconds(200))
            }
        }
    }

    @Test("is refused where nobody listens, after a round trip")
    func refused() async throws {
        try await Simulation(seed: 1).run { world in
            let scene = try Scene(world, .after(.milliseconds(20)))
            try await scene.client.run {
                let address = try #require(scene.server.addresses.first)
                let error = await #expect(throws: IOError.self) {
                    _ = try await TCPStream.connect(to: address.with(port: 9))
                }
                #expect(error?.code == .connectionRefused)
                #expect(world.elapsed == .milliseconds(40))
            }
        }
    }

    @Test("gives a silent host up after 127 seconds")
    func silence() async throws {
        try await Simulation(seed: 1).run { world in
            let scene = try Scene(world)
            scene.server.crash()
            try await scene.client.run {
                let address = try #require(scene.server.addresses.first)
                let error = await #expect(throws: IOError.self) {
                    _ = try await TCPStream.connect(to: address.with(port: 7))
                }
                #expect(error?.code == .timedOut)
                #expect(world.elapsed == .seconds(127))
            }
        }
    }

    @Test("connects at the next question, after answers were lost for longer than they are repeated")
    func lostAnswers() async throws {
        try await Simulation(seed: 1).run { world in
            let scene = try Scene(world)
            try scene.serveEcho()
            world.network.cut(from: scene.server, to: scene.client)
            async let healing: Void = {
                try await world.sleep(for: .seconds(40))
                world.network.heal()
            }()
            try await scene.client.run {
                _ = try await scene.dial()
                // The seventh question comes after 1 + 2 + 4 + 8 + 16 + 32 seconds.
                guard (Duration.seconds(63)..<Duration.seconds(64)).contains(world.elapsed) else {
                    throw SimulationError.checkFailed("connected after \(world.elapsed)")
                }
            }
            try await healing
        }
    }

    @Test("stalls in a partition, and goes on when it is healed")
    func partition() async throws {
        try await Simulation(seed: 1).run { world in
            let scene = try Scene(world)
            try scene.serveEcho()
            try await scene.client.run {
                let stream = try await scene.dial()
                try await stream.write("a")
                _ = try await stream.readAll(1)
                world.network.partition([scene.server], [scene.client])
                let start = world.elapsed
                try await stream.write("b")
                await #expect(throws: TimeoutError.self) {
                    try await withTimeout(.seconds(20)) { _ = try await stream.read() }
                }
                world.network.heal()
                let answer = try await stream.readAll(1)
                #expect(answer == Array("b".utf8))
                // The retransmissions were half a minute apart by then.
                #expect(world.elapsed - start < .seconds(60))
                stream.close()
            }
        }
    }

    @Test("gives up a peer that nothing reaches after a quarter of an hour, or after the user's timeout")
    func patience() async throws {
        try await Simulation(seed: 1).run { world in
            let scene = try Scene(world)
            try scene.serveEcho()
            try await scene.client.run {
                for (timeout, expected) in [(nil, 924.6), (Duration.seconds(30), 30.0)] {
                    let stream = try await scene.dial(options: TCPOptions(userTimeout: timeout))
                    world.network.cut(from: scene.client, to: scene.server)
                    let start = world.elapsed
                    try await stream.write("b")
                    let error = await #expect(throws: IOError.self) { _ = try await stream.read() }
                    #expect(error?.code == .timedOut)
                    #expect(abs((world.elapsed - start) / .seconds(1) - expected) < 0.001)
                    world.network.heal()
                }
            }
        }
    }

    @Test("is reset by a host that has crashed and runs again, and hears nothing from one that is down")
    func crash() async throws {
        try await Simulation(seed: 1).run { world in
            let scene = try Scene(world)
            try scene.serveEcho()
            try await scene.client.run {
                let stream = try await scene.dial()
                try await stream.write("a")
                _ = try await stream.readAll(1)
                scene.server.crash()
                try await stream.write("b")
                try await world.sleep(for: .seconds(5))
                try scene.server.restart()
                let error = await #expect(throws: IOError.self) { _ = try await stream.read() }
                #expect(error?.code == .connectionReset)
            }
        }
    }

    @Test("is reset when the network says so, and when a peer closes with bytes unread")
    func resets() async throws {
        try await Simulation(seed: 1).run { world in
            let scene = try Scene(world)
            try scene.server.program("rude") {
                let listener = try await TCPListener.bind("0.0.0.0", 7)
                try await listener.serve { stream in
                    try await world.sleep(for: .seconds(1))
                    stream.close()
                }
            }
            try await scene.client.run {
                let first = try await scene.dial()
                try await first.write("unread")
                let error = await #expect(throws: IOError.self) { _ = try await first.read() }
                #expect(error?.code == .connectionReset)
                let second = try await scene.dial()
                world.network.reset(between: scene.client, and: scene.server)
                let other = await #expect(throws: IOError.self) { _ = try await second.read() }
                #expect(other?.code == .connectionReset)
            }
        }
    }

    @Test("holds back what is clogged, and delivers it at once afterwards")
    func clog() async throws {
        try await Simulation(seed: 1).run { world in
            let scene = try Scene(world)
            try scene.serveEcho()
            try await scene.client.run {
                let stream = try await scene.dial()
                try await stream.write("a")
                _ = try await stream.readAll(1)
                world.network.clog(from: scene.client, to: scene.server)
                try await stream.write("b")
                try await world.sleep(for: .seconds(100))
                world.network.unclog(from: scene.client, to: scene.server)
                let start = world.elapsed
                _ = try await stream.readAll(1)
                #expect(world.elapsed - start == .microseconds(500))
                stream.close()
            }
        }
    }

    @Test("needs the time that a bandwidth asks for")
    func bandwidth() async throws {
        try await Simulation(seed: 1).run { world in
            let scene = try Scene(world, Link { $0.bandwidth = 1_000_000 })
            try scene.serveOnce { stream in _ = try await stream.readToEnd() }
            try await scene.client.run {
                let stream = try await scene.dial()
                let start = world.elapsed
                try await stream.write([UInt8](repeating: 1, count: 1_000_000))
                try await stream.closeWriting()
                _ = try await stream.readToEnd()
                let seconds = (world.elapsed - start) / .seconds(1)
                #expect((1.0...1.2).contains(seconds))
            }
        }
    }

    @Test("does the same for the same seed, and something else for another", arguments: [false, true])
    func determinism(isStormy: Bool) async throws {
        func hash(_ seed: UInt64) async throws -> UInt64 {
            var simulation = Simulation(seed: seed)
            if isStormy { simulation.faults = .stormy }
            let report = await simulation.report { world in
                let scene = try Scene(world, .poor)
                try scene.serveEcho()
                try await scene.client.run {
                    let stream = try await scene.dial()
                    for size in [1, 10, 5000, 100_000] {
                        let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7) }
                        async let answer = stream.readAll(size)
                        try await stream.write(bytes)
                        let same = try await answer == bytes
                        #expect(same)
                    }
                    stream.close()
                }
            }
            try report.result.get()
            return report.traceHash
        }
        let first = try await hash(5)
        #expect(try await hash(5) == first)
        #expect(try await hash(6) != first)
    }

    @Test("takes a port once, lets the kernel choose one, and accepts as many as its queue holds")
    func ports() async throws {
        try await Simulation(seed: 1).run { world in
            let scene = try Scene(world)
            try await scene.server.run {
                let listener = try await TCPListener.bind("0.0.0.0", 0, options: TCPOptions(backlog: 2))
                let port = try #require(listener.address.port)
                #expect(port >= 32_768)
                let error = await #expect(throws: IOError.self) { _ = try await TCPListener.bind("127.0.0.1", port) }
                #expect(error?.code == .addressInUse)
                let away = await #expect(throws: IOError.self) { _ = try await TCPListener.bind("10.9.9.9", 1) }
                #expect(away?.code == .addressNotAvailable)
                // The queue holds one more than the backlog says.
                var streams: [TCPStream] = []
                for _ in 0..<3 { streams.append(try await TCPStream.connect("127.0.0.1", port)) }
                let full = await #expect(throws: TimeoutError.self) {
                    try await withTimeout(.seconds(10)) { _ = try await TCPStream.connect("127.0.0.1", port) }
                }
                #expect(full != nil)
                for _ in 0..<3 { try await listener.accept().close() }
                streams.append(try await TCPStream.connect("127.0.0.1", port))
                for stream in streams { stream.close() }
                listener.close()
            }
        }
    }
}
