import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import Testing

@testable import AsyncIOTesting

@Suite("Plain tasks in a simulation")
struct PlainTaskTests {
    /// Runs a body on host `a`, whose event host `b` sets, for some seeds.
    private func woken(
        _ body: @escaping @Sendable (_ home: EventLoop, _ event: AsyncEvent) async -> Bool
    ) async throws -> [Bool] {
        var results: [Bool] = []
        for seed in 1...5 as ClosedRange<UInt64> {
            results.append(
                try await Simulation(seed: seed).run { world in
                    let (a, b) = (try world.addHost("a"), try world.addHost("b"))
                    let event = AsyncEvent()
                    try b.spawn {
                        try await world.sleep(for: .seconds(1))
                        event.set()
                    }
                    return try await a.run { await body(try a.loop, event) }
                })
        }
        return results
    }

    @Test("stay on the host whose code has started them, whoever wakes them")
    func home() async throws {
        let results = try await woken { home, event in
            await Task {
                try? await event.wait()
                return EventLoop.current === home
            }.value
        }
        #expect(results == [true, true, true, true, true])
    }

    @Test("and so do their children")
    func children() async throws {
        let results = try await woken { home, event in
            await Task {
                async let one = {
                    try? await event.wait()
                    return EventLoop.current === home
                }()
                let others = await withTaskGroup { group in
                    for _ in 0..<3 {
                        group.addTask {
                            try? await event.wait()
                            return EventLoop.current === home
                        }
                    }
                    return await group.allSatisfy(\.self)
                }
                return await one && others
            }.value
        }
        #expect(results == [true, true, true, true, true])
    }

    @Test("and those of the main actor")
    func mainActor() async throws {
        let results = try await woken { home, event in
            await Task { @MainActor in
                try? await event.wait()
                return EventLoop.current === home
            }.value
        }
        #expect(results == [true, true, true, true, true])
    }

    @Test("are forgotten when they end")
    func memory() async throws {
        let left = try await Simulation(seed: 1).run { world in
            let host = try world.addHost("a")
            try await host.run {
                for _ in 0..<5_000 { await Task { await EventLoop.yield() }.value }
            }
            return world.plainTaskHomes.count
        }
        #expect(left <= 1)
    }

    @Test("end with their host, although another one wakes them")
    func crash() async throws {
        let notes = Notes<String>()
        try await Simulation(seed: 1).run { world in
            let (a, b) = (try world.addHost("a"), try world.addHost("b"))
            let event = AsyncEvent()
            try await a.run {
                Task {
                    do { try await event.wait() } catch { notes.record("cancelled") }
                    notes.record(EventLoop.current === (try? b.loop) ? "moved" : "stayed")
                }
                try await world.sleep(for: .seconds(1))
            }
            a.crash()
            try await b.run { event.set() }
            try await world.sleep(for: .seconds(1))
        }
        #expect(notes.all == ["cancelled", "stayed"])
    }
}
