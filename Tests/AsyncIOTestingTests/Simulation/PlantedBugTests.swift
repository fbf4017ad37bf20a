import AsyncIO
import Testing

@testable import AsyncIOTesting

@Suite("Within a thousand seeds, a simulation finds")
struct PlantedBugTests {
    /// How many seeds it takes; nil if a thousand are not enough.
    private func seedsNeeded(
        _ body: @escaping @Sendable (World) async throws -> Void
    ) async throws -> (seed: UInt64, error: any Error)? {
        for seed in 1...UInt64(1000) {
            var simulation = Simulation(seed: seed)
            simulation.faults = .stormy
            simulation.timeLimit = .seconds(60)
            if case .failure(let error) = await simulation.report(body).result { return (seed, error) }
        }
        return nil
    }

    @Test("a lost wake-up", arguments: [true, false])
    func lostWakeUp(isPlanted: Bool) async throws {
        let found = try await seedsNeeded { world in
            let host = try world.addHost("a")
            try await host.run {
                let queue = HandmadeQueue(forgetsWakeUps: isPlanted)
                try await withThrowingTaskGroup { group in
                    group.addTask {
                        for number in 0..<3 {
                            for _ in 0..<world.random(in: 0...3) { await Task.yield() }
                            await queue.put(number)
                        }
                    }
                    group.addTask {
                        for number in 0..<3 { world.check(try await queue.take() == number, "another item") }
                    }
                    try await group.waitForAll()
                }
            }
        }
        #expect((found != nil) == isPlanted)
        if let found { #expect("\(found.error)".contains("deadlock")) }
    }

    @Test("an item that is lost when its taker is cancelled", arguments: [true, false])
    func lostItem(isPlanted: Bool) async throws {
        let found = try await seedsNeeded { world in
            let host = try world.addHost("a")
            try await host.run {
                let queue = HandmadeQueue(losesItems: isPlanted)
                for number in 0..<3 { await queue.put(number) }
                let taker = Task { try await queue.take() }
                for _ in 0..<world.random(in: 0...3) { await Task.yield() }
                taker.cancel()
                let taken = (try? await taker.value) == nil ? 0 : 1
                let left = await queue.count
                world.check(taken + left == 3, "\(taken) taken and \(left) left of 3")
            }
        }
        #expect((found != nil) == isPlanted)
        if let found { #expect("\(found.error)".contains("0 taken and 2 left of 3")) }
    }

    @Test("an event that reaches the next owner of a descriptor's number", arguments: [true, false])
    func staleEvent(isPlanted: Bool) async throws {
        let found = try await seedsNeeded { world in
            world.network.link = Link { $0.latency = .fixed(.milliseconds(1)) }
            // The server writes to clients that have gone.
            world.failsOnUnhandledErrors = false
            let (server, client, nowhere) = (
                try world.addHost("server"), try world.addHost("client"), try world.addHost("nowhere")
            )
            try server.program("clock") {
                let listener = try await TCPListener.bind("0.0.0.0", 7)
                try await listener.serve { connection in
                    for _ in 0..<50 {
                        try await world.sleep(for: .milliseconds(1))
                        try await connection.write([1])
                    }
                }
            }
            nowhere.crash()
            client.life?.driver.forgetsGenerations = isPlanted
            let address = nowhere.addresses[0].with(port: 7)
            try await client.run {
                for _ in 0..<3 {
                    let stream = try await TCPStream.connect("server", 7)
                    do {
                        try await withTimeout(.milliseconds(world.random(in: 1...20))) { _ in
                            while try await stream.read() != nil {}
                        }
                    } catch is TimeoutError {}
                    stream.close()
                    do {
                        try await withTimeout(.milliseconds(500)) { _ in
                            try await TCPStream.connect(to: address).close()
                        }
                        world.check(false, "connected to a host that is down")
                    } catch is TimeoutError {}
                }
            }
        }
        #expect((found != nil) == isPlanted)
        if let found { #expect("\(found.error)".contains("connected to a host that is down")) }
    }
}

/// A queue as one might write it in an evening, and get it wrong.
private actor HandmadeQueue {
    private var items: [Int] = []
    private var taker: CheckedContinuation<Void, Never>?
    private let forgetsWakeUps: Bool
    private let losesItems: Bool

    init(forgetsWakeUps: Bool = false, losesItems: Bool = false) {
        self.forgetsWakeUps = forgetsWakeUps
        self.losesItems = losesItems
    }

    var count: Int { items.count }

    func put(_ item: Int) {
        items.append(item)
        taker?.resume()
        taker = nil
    }

    func take() async throws -> Int {
        while items.isEmpty {
            // Between the look and the wait, somebody else may have its turn.
            if forgetsWakeUps { await Task.yield() }
            if forgetsWakeUps || items.isEmpty { await withCheckedContinuation { taker = $0 } }
        }
        guard losesItems else {
            try Task.checkCancellation()
            return items.removeFirst()
        }
        let item = items.removeFirst()
        await Task.yield()
        try Task.checkCancellation()
        return item
    }
}
