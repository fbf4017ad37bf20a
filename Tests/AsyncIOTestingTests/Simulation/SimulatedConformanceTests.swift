import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTesting
import Testing

/// A kind of simulated stream that has to pass the conformance suite.
struct SimulatedStreamKind: Sendable, CustomTestStringConvertible {
    let name: String
    var can = StreamCapabilities.all
    let makePair: @Sendable (SimulatedHost, SimulatedHost) async throws -> StreamStand.Pair

    var testDescription: String { name }

    static let all = [
        SimulatedStreamKind(name: "TCP, IPv4") { host, _ in try await tcp("127.0.0.1", host, host) },
        SimulatedStreamKind(name: "TCP, IPv6") { host, _ in try await tcp("::1", host, host) },
        SimulatedStreamKind(name: "TCP between two hosts") { try await tcp($1.addresses[0].host, $0, $1) },
        SimulatedStreamKind(name: "Unix socket", can: .closeIsSeen) { _, _ in try await UnixStream.pair() },
        SimulatedStreamKind(name: "pipes", can: .closeIsSeen) { _, _ in try await PipeStream.pair() },
    ]

    private static func tcp(
        _ address: String, _ client: SimulatedHost, _ server: SimulatedHost
    ) async throws -> StreamStand.Pair {
        let listener = try await server.run { try await TCPListener.bind(address, 0) }
        let one = try await TCPStream.connect(to: listener.address)
        let other = try await server.run {
            defer { listener.close() }
            return try await listener.accept()
        }
        return (one, other)
    }
}

@Suite("Conformance in a simulated world", .timeLimit(.minutes(30)))
struct SimulatedConformanceTests {
    @Test("Streams do what every stream does", arguments: StreamScenario.all, SimulatedStreamKind.all)
    func stream(scenario: StreamScenario, kind: SimulatedStreamKind) async throws {
        for seed in 1...3 as ClosedRange<UInt64> {
            var simulation = Simulation(seed: seed)
            if seed > 1 { simulation.faults = .stormy }
            try await simulation.run { world in
                let (one, other) = (try world.addHost("one"), try world.addHost("other"))
                try await one.run {
                    try await scenario.run(can: kind.can, bulk: 4 << 20, from: .first) {
                        try await kind.makePair(one, other)
                    }
                }
            }
        }
    }

    @Test(
        "The driver keeps the contract of drivers, also when events come that nothing has caused",
        arguments: 1...40 as ClosedRange<UInt64>)
    func driver(seed: UInt64) async throws {
        var faults = SimulationFaults()
        faults.spuriousWakeUps = seed % 2 == 0 ? 0.5 : 0
        let disturbances = faults
        try await onThread {
            let stand = DriverStand {
                try LonelySimulatedDriver(seed: seed, faults: disturbances)
            } makePair: { driver in
                guard let driver = driver as? LonelySimulatedDriver else { throw EventLoopError.noLoop }
                return try driver.makePair()
            }
            try checkDriver(stand)
        }
    }

    @Test("Names are looked up as every resolver does it", arguments: ["other", "other.", "localhost"])
    func resolver(name: String) async throws {
        try await Simulation(seed: 1).run { world in
            let (one, _) = (try world.addHost("one"), try world.addHost("other"))
            try await one.run {
                try await checkResolver(SystemResolver(), known: name)
                try await checkResolver(CachingResolver(SystemResolver()), known: name)
            }
        }
    }
}
