import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import Testing

@testable import AsyncIOTesting

@Suite("A simulation")
struct SimulationTests {
    /// Runs a body with seed 1 and returns how it failed.
    private func failure(
        _ change: (inout Simulation) -> Void = { _ in }, _ body: @escaping @Sendable (World) async throws -> Void
    ) async throws -> SimulationFailure {
        var simulation = Simulation(seed: 1)
        change(&simulation)
        guard case .failure(let error) = await simulation.report(body).result else { throw DidNotFail() }
        return try #require(error as? SimulationFailure)
    }

    private struct DidNotFail: Error {}

    @Test("lets hours pass in no time")
    func hours() async throws {
        let report = await Simulation(seed: 1).report { world in
            try await world.sleep(for: .seconds(3000))
            return world.elapsed
        }
        #expect(try report.result.get() == .seconds(3000))
    }

    @Test("keeps plain tasks, the main actor and Task.sleep on its own thread and clock")
    func plainTasks() async throws {
        let report = await Simulation(seed: 1).report { world in
            let host = try world.addHost("a")
            return try await host.run {
                let loop = try #require(EventLoop.current)
                return await Task {
                    try? await Task.sleep(for: .seconds(100))  // sleeps: on the simulated clock
                    let isHome = EventLoop.current === loop
                    let isMainHome = await Task { @MainActor in EventLoop.current === loop }.value
                    return isHome && isMainHome && world.elapsed == .seconds(100)
                }.value
            }
        }
        #expect(try report.result.get())
    }

    @Test("does the same for the same seed, and not for another")
    func determinism() async throws {
        @Sendable func hash(_ seed: UInt64) async -> UInt64 {
            var simulation = Simulation(seed: seed)
            simulation.faults = .stormy
            return await simulation.report { world in
                let (server, client) = (try world.addHost("server"), try world.addHost("client"))
                try server.program {
                    try await TCPListener.bind("0.0.0.0", 7).serve { connection in
                        while let bytes = try await connection.read() { try await connection.write(bytes) }
                    }
                }
                try await client.run {
                    let stream = try await TCPStream.connect("server", 7)
                    for _ in 0..<20 {
                        try await stream.write([UInt8](repeating: 1, count: world.random(in: 1...5000)))
                        _ = try await stream.read()
                    }
                    stream.close()
                }
            }.traceHash
        }
        let (first, again, other) = (await hash(1), await hash(1), await hash(2))
        #expect(first == again)
        #expect(first != other)
    }

    @Test("draws which task runs first, and leaves callbacks in their order")
    func order() async throws {
        var orders: Set<[Int]> = []
        for seed in 1...20 as ClosedRange<UInt64> {
            let report = await Simulation(seed: seed).report { world in
                let host = try world.addHost("a")
                return try await host.run {
                    let loop = try #require(EventLoop.current)
                    let recorder = Notes<Int>()
                    for number in 10..<13 { loop.callSoon { recorder.record(number) } }
                    await withTaskGroup { group in
                        for number in 0..<3 { group.addTask { recorder.record(number) } }
                    }
                    return recorder.all
                }
            }
            let order = try report.result.get()
            #expect(order.filter { $0 >= 10 } == [10, 11, 12])
            orders.insert(order.filter { $0 < 10 })
        }
        #expect(orders.count > 1)
    }

    @Test("says that nothing can happen any more, and who waits where")
    func deadlock() async throws {
        let failure = try await failure { world in
            let host = try world.addHost("a")
            try await host.run("the waiting one") { try await AsyncEvent().wait() }
        }
        #expect("\(failure)".contains("deadlock"))
        #expect("\(failure)".contains("a: a: the waiting one waits at a event"))
        #expect("\(failure)".contains("ASYNCIO_SEED=1"))
    }

    @Test("ends a body that takes too long, and says what it waits for")
    func outOfTime() async throws {
        let failure = try await failure({ $0.timeLimit = .seconds(10) }) { world in
            try await world.sleep(for: .seconds(11))
        }
        #expect(
            failure.error as? SimulationError == .outOfTime(.seconds(10), ["simulation: simulation waits for a timer"]))
    }

    @Test("notices tasks that only wake each other")
    func spinning() async throws {
        let failure = try await failure({ $0.turnLimit = 1000 }) { _ in
            while !Task.isCancelled { await Task.yield() }
        }
        guard case .spins = failure.error as? SimulationError else { throw failure }
    }

    @Test("refuses by name what it does not simulate")
    func notSimulated() async throws {
        let failure = try await failure { world in
            let host = try world.addHost("a")
            try await host.run { _ = try await PseudoTerminal.open() }
        }
        #expect("\(failure)".contains("openTerminal"), "\(failure)")
    }

    @Test("fails with the error of a program that nobody awaits")
    func programs() async throws {
        let failure = try await failure { world in
            try world.addHost("a").program("server") { throw IOError(.ioError, operation: "serve") }
            try await world.sleep(for: .seconds(1))
        }
        #expect("\(failure)".contains("server on a has failed: serve"))
    }

    @Test("reduces a failure to the choices that it needs")
    func shrinking() async throws {
        var simulation = Simulation(seed: 3)
        simulation.faults = .stormy
        let body: @Sendable (World) async throws -> Void = { world in
            let host = try world.addHost("a")
            try await host.run {
                // Ten tasks; it fails if the last one runs before the first one.
                let recorder = Notes<Int>()
                await withTaskGroup { group in
                    for number in 0..<10 { group.addTask { recorder.record(number) } }
                }
                let order = recorder.all
                world.check(order.firstIndex(of: 9) ?? 0 > order.firstIndex(of: 0) ?? 0, "the last was first")
            }
        }
        for seed in 1...100 as ClosedRange<UInt64> {
            simulation.seed = seed
            guard case .failure = await simulation.report(body).result else { continue }
            let failing = simulation
            let shrunk = try #require(try await onOwnThread("test") { failing.shrink(patience: .seconds(1_000), body) })
            #expect(shrunk.choices.count <= 2, "\(shrunk)")
            #expect(shrunk.count > 2)
            #expect(shrunk.text.contains("the last was first"))
            return
        }
        Issue.record("no seed puts the last before the first")
    }

    @Test("does blocking work on its own clock")
    func offloading() async throws {
        let report = await Simulation(seed: 1).report { world in
            let host = try world.addHost("a")
            return try await host.run {
                let loop = try #require(EventLoop.current)
                let isHome = try await loop.offload { EventLoop.current === loop }
                return isHome && world.elapsed > .zero
            }
        }
        #expect(try report.result.get())
    }
}

@Suite("A simulated host")
struct SimulatedHostTests {
    @Test("that crashes takes its tasks along, and begins again with its programs")
    func crash() async throws {
        let starts = Notes<Duration>()
        let report = await Simulation(seed: 1).report { world in
            let host = try world.addHost("a")
            try host.program { starts.record(world.elapsed) }
            let work = Task { try await host.run { try await world.sleep(for: .seconds(10)) } }
            try await world.sleep(for: .seconds(1))
            host.crash()
            await #expect(throws: SimulationError.hostIsDown("a")) { try await work.value }
            await #expect(throws: SimulationError.hostIsDown("a")) { try await host.run {} }
            try await world.sleep(for: .seconds(1))
            try host.restart()
            try await host.run {}
            return world.elapsed
        }
        #expect(try report.result.get() == .seconds(2))
        #expect(starts.all == [.zero, .seconds(2)])
    }

    @Test("may crash at each of its system calls in turn")
    func crashPoints() async throws {
        for calls in 0..<30 {
            let report = await Simulation(seed: 1).report { world in
                let (server, client) = (try world.addHost("server"), try world.addHost("client"))
                try server.program {
                    try await TCPListener.bind("0.0.0.0", 7).serve { connection in
                        while let bytes = try await connection.read() { try await connection.write(bytes) }
                    }
                }
                server.crash(afterCalls: calls)
                return try await client.run {
                    do {
                        return try await withTimeout(.seconds(5)) { _ in
                            let stream = try await TCPStream.connect("server", 7)
                            defer { stream.close() }
                            for _ in 0..<10 {
                                try await stream.write([1])
                                guard try await stream.read() != nil else { return false }
                            }
                            return true
                        }
                    } catch {
                        return false
                    }
                }
            }
            #expect(try !report.result.get() || calls > 20, "\(calls)")
        }
    }

    @Test("whose program is killed closes its connections, refuses new ones, and keeps what it has written")
    func killed() async throws {
        let report = await Simulation(seed: 1).report { world in
            let (server, client) = (try world.addHost("server"), try world.addHost("client"))
            try server.program {
                try await File.writeAll("/tmp/notes", [1, 2, 3])
                try await TCPListener.bind("0.0.0.0", 7).serve { connection in
                    try await connection.write([1])
                    try await world.sleep(for: .seconds(100))
                }
            }
            try await world.sleep(for: .seconds(1))
            return try await client.run { () -> [String] in
                var lines: [String] = []
                let stream = try await TCPStream.connect("server", 7)
                lines.append("\(try await stream.read() ?? [])")
                server.kill()
                lines.append("\(try await stream.read() ?? [])")
                stream.close()
                do { _ = try await TCPStream.connect("server", 7) } catch {
                    lines.append("\("\(error)".contains("refused"))")
                }
                lines.append("\(try server.disk.read("/tmp/notes"))")
                try server.restart()
                try await world.sleep(for: .seconds(1))
                lines.append("\(try await TCPStream.connect("server", 7).read() ?? [])")
                return lines
            }
        }
        #expect(try report.result.get() == ["[1]", "[]", "true", "[1, 2, 3]", "[1]"])
    }

    @Test("with a fast clock sleeps less")
    func clocks() async throws {
        let report = await Simulation(seed: 1).report { world in
            let host = try world.addHost("a")
            host.clockRate = 2
            try await host.run { try await EventLoop.current?.sleep(for: .seconds(10)) }
            let elapsed = world.elapsed
            host.clockRate = 0.5
            try await host.run { try await EventLoop.current?.sleep(for: .seconds(10)) }
            return [elapsed, world.elapsed - elapsed]
        }
        let times = try report.result.get()
        #expect(times[0] >= .seconds(5) && times[0] < .seconds(5.001))
        #expect(times[1] >= .seconds(20) && times[1] < .seconds(20.001))
    }

    @Test("that is paused does nothing meanwhile, and all of it afterwards")
    func pauses() async throws {
        let report = await Simulation(seed: 1).report { world in
            let host = try world.addHost("a")
            let work = Task { try await host.run { try await EventLoop.current?.sleep(for: .seconds(1)) } }
            try await world.sleep(for: .milliseconds(500))
            host.pause(for: .seconds(5))
            try await work.value
            return world.elapsed
        }
        #expect(try report.result.get() == .milliseconds(5500))
    }

    @Test("shuts down in good order, and says who would not stop")
    func shutdown() async throws {
        let report = await Simulation(seed: 1).report { world in
            let host = try world.addHost("a")
            try host.program("good") { try await shield { try await world.sleep(for: .seconds(1)) } }
            try await world.sleep(for: .milliseconds(1))
            try await host.shutdown()
            let time = world.elapsed
            try host.restart()
            try host.spawn("bad") {
                unsafe await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
                    _ = EventLoop.current?.callLater(.seconds(100)) { unsafe continuation.resume() }
                }
            }
            try await world.sleep(for: .milliseconds(1))
            await #expect(throws: EventLoopError.ignoredCancellation(["a: bad"])) { try await host.shutdown() }
            return time
        }
        let time = try report.result.get()
        #expect(time >= .seconds(1) && time < .seconds(2))
    }
}
