import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import Testing

@testable import AsyncIOTesting

@Suite("A simulation's watchdog")
struct StuckTaskTests {
    private func stuck(
        after limit: Duration, _ body: @escaping @Sendable (World) async throws -> Void
    ) async -> (error: SimulationError?, elapsed: Duration) {
        var simulation = Simulation(seed: 1)
        simulation.stuckAfter = limit
        let report = await simulation.report(body)
        guard case .failure(let error) = report.result else { return (nil, report.elapsed) }
        return ((error as? SimulationFailure)?.error as? SimulationError, report.elapsed)
    }

    @Test("fails a run in which a task waits for too long, although clocks tick, and names it and the place")
    func stuck() async throws {
        let (error, elapsed) = await stuck(after: .seconds(60)) { world in
            let host = try world.addHost("a")
            try host.spawn("ticker") { while true { try await world.sleep(for: .seconds(7)) } }
            try await world.sleep(for: .seconds(5))
            let semaphore = AsyncSemaphore(permits: 0, limit: 1)
            try host.spawn("worker") { try await semaphore.withPermit {} }
            try await world.sleep(for: .seconds(30))
            try host.spawn("late") { try await AsyncEvent().wait() }
            try await world.sleep(for: .seconds(3_600))
        }
        #expect(error == .stuck(.seconds(60), ["a: a: worker waits at a semaphore"]))
        #expect(elapsed >= .seconds(65) && elapsed < .seconds(72))
    }

    @Test("lets a task wait again and again, and as long as it may")
    func patience() async throws {
        let (error, elapsed) = await stuck(after: .seconds(60)) { world in
            let host = try world.addHost("a")
            let queue = AsyncQueue<Int>(capacity: 1)
            try host.spawn("producer") {
                for number in 0..<10 {
                    try await world.sleep(for: .seconds(60))
                    try await queue.put(number)
                }
            }
            try await host.run { for _ in 0..<10 { _ = try await queue.get() } }
        }
        #expect(error == nil)
        #expect(elapsed == .seconds(600))
    }

    @Test("does not count waits for the time and for the network")
    func others() async throws {
        let (error, _) = await stuck(after: .seconds(1)) { world in
            let (server, client) = (try world.addHost("server"), try world.addHost("client"))
            try server.program {
                let connection = try await TCPListener.bind("0.0.0.0", 7).accept()
                try await world.sleep(for: .seconds(1_000))
                connection.close()
            }
            let isAtEnd = try await client.run { try await TCPStream.connect("server", 7).read() == nil }
            world.check(isAtEnd, "the server has sent something")
        }
        #expect(error == nil)
    }

    @Test("a circle of locks is named in every build")
    func circle() async throws {
        let text = try await Simulation(seed: 1).run { world in
            let host = try world.addHost("a")
            return try await host.run { () -> String in
                let (one, two) = (AsyncLock(name: "one"), AsyncLock(name: "two"))
                func take(_ first: AsyncLock, _ second: AsyncLock) async -> String? {
                    do {
                        try await first.withLock {
                            try await world.sleep(for: .seconds(1))
                            try await second.withLock {}
                        }
                        return nil
                    } catch {
                        return "\(error)"
                    }
                }
                async let forth = take(one, two)
                async let back = take(two, one)
                return await [forth, back].compactMap(\.self).joined()
            }
        }
        #expect(text.contains("\"one\"") && text.contains("\"two\"") && text.contains("deadlock"))
    }
}
