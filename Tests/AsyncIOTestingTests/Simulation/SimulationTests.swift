import AsyncIO
import AsyncIOTestSupport
import AsyncIOTesting
import Testing

@Suite("A simulation")
struct SimulationTests {
    @Test("lets hours pass in no time")
    func hours() async throws {
        let report = await Simulation(seed: 1).report { world in
            try await world.sleep(for: .seconds(3000))
            return world.elapsed
        }
        #expect(try report.result.get() == .seconds(3000))
    }

    @Test("keeps plain tasks, actors, the main actor and Task.sleep on its own thread and clock")
    func plainTasks() async throws {
        let report = await Simulation(seed: 1).report { world in
            let host = try world.addHost("a")
            return try await host.run {
                let loop = try #require(EventLoop.current)
                return await Task {
                    try? await Task.sleep(for: .seconds(100))
                    let isHome = EventLoop.current === loop
                    let isMainHome = await Task { @MainActor in EventLoop.current === loop }.value
                    return isHome && isMainHome && world.elapsed >= .seconds(100)
                }.value
            }
        }
        #expect(try report.result.get())
    }

    @Test("says that nothing can happen any more, and who waits")
    func deadlock() async throws {
        let report = await Simulation(seed: 1).report { world in
            let event = AsyncEvent()
            try await event.wait()
        }
        #expect(throws: SimulationFailure.self) { try report.result.get() }
    }
}
