import AsyncIO
import AsyncIOCommand
import AsyncIOKernel
import AsyncIOTesting

/// Clients that talk to a server through two proxies, in bad weather: losses, partitions, crashes, cancellations.
///
/// What has to hold: what a client gets is a prefix of what it has sent, all of it if both sides ended well; nobody
/// hangs; when the weather is good again, everybody is served; and nothing is left open.
struct WholeStack {
    let world: World
    let server: SimulatedHost
    let proxies: [SimulatedHost]
    let clients: [SimulatedHost]

    static func run(_ world: World) async throws {
        world.faults = .stormy
        // A proxy says so when its server is away.
        world.failsOnUnhandledErrors = false
        world.network.link =
            world.happens(0.5) ? .poor : Link { $0.latency = .uniform(.microseconds(50) ... .milliseconds(3)) }
        let scenario = try WholeStack(world)
        try scenario.start()
        try await scenario.inBadWeather()
        try await scenario.inGoodWeather()
        try await scenario.end()
    }

    private init(_ world: World) throws {
        self.world = world
        server = try world.addHost("server")
        proxies = try (1...2).map { try world.addHost("proxy-\($0)") }
        clients = try (1...3).map { try world.addHost("client-\($0)") }
    }

    private func start() throws {
        let limit = world.random(in: 2...8)
        try server.program("echo") {
            let listener = try await TCPListener.bind("0.0.0.0", 7)
            try await listener.serve(limit: limit) { connection in
                // A peer that has crashed never says goodbye, and must not keep its place for ever.
                while let bytes = try await withTimeout(.seconds(20), { _ in try await connection.read(upTo: 4096) }) {
                    try await connection.write(bytes)
                }
                try await connection.closeWriting()
            }
        }
        for (index, host) in proxies.enumerated() {
            let target = Endpoint.tcp(host: index == 0 ? "server" : "proxy-1", port: index == 0 ? 7 : 80)
            try host.program("proxy") {
                guard let loop = EventLoop.current else { throw EventLoopError.noLoop }
                let proxy = Proxy(to: target, connectTimeout: .seconds(2), idleTimeout: .seconds(20), loops: [loop])
                let listener = try await TCPListener.bind("0.0.0.0", 80)
                try await listener.serve(limit: 16) { await proxy.pass(on: $0) }
            }
        }
    }

    // MARK: The weather

    private func inBadWeather() async throws {
        let world = world
        let work = clients.map { client in
            { @Sendable in
                for _ in 0..<3 {
                    try await client.run("session") { try await Session(world).run() }
                    try await world.sleep(for: .milliseconds(world.random(in: 0...200)))
                }
            }
        }
        try await withThrowingTaskGroup { group in
            for piece in work { group.addTask(operation: piece) }
            group.addTask { try await spoilTheWeather() }
            try await group.waitForAll()
        }
    }

    private func spoilTheWeather() async throws {
        for _ in 0..<world.random(in: 0...4) {
            try await world.sleep(for: .milliseconds(world.random(in: 1...500)))
            let (one, other) = (world.pick(proxies + clients) ?? server, world.pick(proxies) ?? server)
            switch world.random(in: 0...5) {
            case 0: world.network.partition([server], proxies, clients)
            case 1 where one !== other: world.network.cut(from: one, to: other)
            case 2 where one !== other: world.network.clog(from: one, to: other)
            case 3: world.network.reset(between: server, and: proxies[0])
            case 4:
                let victim = world.pick([server] + proxies) ?? server
                victim.crash()
                try await world.sleep(for: .milliseconds(world.random(in: 1...300)))
                try victim.restart()
            default: world.network.heal()
            }
        }
        world.network.heal()
    }

    /// Everybody is served again.
    private func inGoodWeather() async throws {
        world.network.heal()
        world.network.link = Link()
        try await world.sleep(for: .seconds(60))
        for client in clients {
            let world = world
            try await client.run("last session") { try await Session(world, isCalm: true).run() }
        }
    }

    /// Nothing is left open, but for the sockets that listen.
    private func end() async throws {
        try await world.sleep(for: .seconds(60))
        for host in clients {
            world.check(host.openDescriptors == 0, "\(host) has \(host.openDescriptors) descriptors left")
        }
        for host in proxies + [server] {
            world.check(host.openDescriptors == 1, "\(host) has \(host.openDescriptors) descriptors, not one")
        }
        for host in clients + proxies.reversed() + [server] {
            try await host.shutdown(grace: .seconds(30))
        }
    }
}

/// One connection of a client.
private struct Session {
    let world: World
    let message: [UInt8]
    let isCalm: Bool
    let port: UInt16
    let host: String

    init(_ world: World, isCalm: Bool = false) {
        self.world = world
        self.isCalm = isCalm
        let first = world.random(in: UInt8.min...UInt8.max)
        let count = world.random(in: 0...world.random(in: 1...40_000))
        message = (0..<count).map { first &+ UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) }
        (host, port) = world.pick([("proxy-1", 80), ("proxy-2", 80), ("server", 7)]) ?? ("server", 7)
    }

    func run() async throws {
        let received = Received()
        var failure: (any Error)?
        do {
            let limit: Duration = isCalm ? .seconds(60) : .milliseconds(world.random(in: 1...10_000))
            try await withTimeout(limit) { try await talk(received) }
        } catch {
            failure = error
        }
        world.check(
            message.starts(with: received.bytes), "received what was not sent, after \(received.bytes.count) bytes")
        if let failure, isCalm { world.fail(SimulationError.checkFailed("in good weather: \(failure)")) }
    }

    private func talk(_ received: Received) async throws {
        let stream = try await TCPStream.connect(host, port, options: ConnectOptions(timeout: .seconds(10)))
        defer { stream.close() }
        try await withThrowingTaskGroup { group in
            group.addTask {
                var rest = message[...]
                while !rest.isEmpty {
                    let count = min(world.random(in: 1...10_000), rest.count)
                    try await stream.write(Array(rest.prefix(count)))
                    rest = rest.dropFirst(count)
                }
                try await stream.closeWriting()
            }
            group.addTask {
                while let bytes = try await stream.read(upTo: world.random(in: 1...10_000)) { received.bytes += bytes }
            }
            try await group.waitForAll()
        }
        world.check(received.bytes == message, "an end after \(received.bytes.count) of \(message.count) bytes")
    }
}

/// What a client has received so far. Touched by code of one host.
private final class Received: @unchecked Sendable {
    var bytes: [UInt8] = []
}
