import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Testing

@testable import AsyncIOTesting

@Suite("Blocking work in a simulation")
struct BlockingWorkTests {
    /// A world whose blocking work is done by threads.
    private var threaded: Simulation {
        var simulation = Simulation(seed: 1)
        simulation.blockingWork = .onThreads
        return simulation
    }

    @Test("is done by threads, if asked for, and time stands still until it has come home")
    func threads() async throws {
        let (wasElsewhere, isHome, elapsed) = try await threaded.run { world in
            let host = try world.addHost("a")
            return try await host.run {
                let loop = try host.loop
                let gate = Condition(false)
                // The work waits for a task of the simulation, which it can only where it has a thread of its own.
                async let wasElsewhere = loop.offload {
                    _ = gate.wait { $0 ? true : nil }
                    return EventLoop.current == nil
                }
                async let ticks: Void = loop.sleep(for: .seconds(60))
                while !loop.awaitsOffloadedWork { await EventLoop.yield() }
                gate.withLock { $0 = true }
                gate.broadcast()
                let result = (try await wasElsewhere, EventLoop.current === loop, world.elapsed)
                try await ticks
                return result
            }
        }
        #expect(wasElsewhere && isHome)
        #expect(elapsed == .zero)
    }

    @Test("brings a plain task home to its simulation")
    func plainTask() async throws {
        let isHome = try await threaded.run { world in
            let host = try world.addHost("a")
            return try await host.run {
                let loop = try host.loop
                return try await Task {
                    try await loop.offload {}
                    return EventLoop.current === loop
                }.value
            }
        }
        #expect(isHome)
    }

    @Test("that is the start of a child stays simulated")
    func children() async throws {
        let output = try await threaded.run { world in
            let host = try world.addHost("a")
            try host.install("/bin/greet") { child in
                try await child.output.write(Array("hello".utf8))
                return 0
            }
            return try await host.run {
                async let other: Void = world.sleep(for: .seconds(1))
                let output = try await Process.run("/bin/greet").output
                try await other
                return output
            }
        }
        #expect(output == Array("hello".utf8))
    }
}
