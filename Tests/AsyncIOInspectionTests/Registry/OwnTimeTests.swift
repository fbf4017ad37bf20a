import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTesting
import Glibc
import Synchronization
import Testing

@testable import AsyncIOInspection

/// An inspector who does to a loop all that is done from outside, from a thread that never rests.
private final class Busybody: Sendable {
    let inspector = ProcessInspector()
    private let looks = Atomic(0)
    private let isOver = Atomic(false)

    init() {
        var debug = Inspection.DebugOptions(longWaits: .zero)
        debug.handler = { _ in }
        _ = inspector.start(Inspection.Options(debug: debug))
        inspector.startThreads(debugPeriod: .microseconds(100))
    }

    func start() throws {
        try SystemThread.start(name: "busybody") { [self] in
            while !isOver.load(ordering: .relaxed) {
                Capture(of: inspector, stacks: true).run(timeout: .milliseconds(1))
                _ = LoopVisits(inspector) { _, _ in true }.run(until: .distantPast)
                looks.add(1, ordering: .relaxed)
            }
        }.detach()
    }

    /// Blocks the thread until it has looked some more.
    func wait() {
        let enough = looks.load(ordering: .relaxed) + 3
        while looks.load(ordering: .relaxed) < enough { sched_yield() }
    }

    func stop() { isOver.store(true, ordering: .relaxed) }
}

@Suite("A loop whose time is a test's")
struct OwnTimeTests {
    /// What the loop has done after a while of virtual time.
    private func virtual(_ busybody: Busybody?) async throws -> [UInt64] {
        try await withVirtualTime { time in
            busybody?.inspector.loopRuns(time.loop)
            try busybody?.start()
            defer { busybody?.stop() }
            // How the loop's thread has begun is up to the machine.
            try await time.loop.sleep(for: .seconds(1))
            let before = time.loop.statisticsNow
            try await withThrowingTaskGroup(of: Void.self) { group in
                for task in 1...5 {
                    group.addTask {
                        for _ in 0..<10 {
                            busybody?.wait()
                            try await time.loop.sleep(for: .milliseconds(task * 300))
                        }
                    }
                }
                try await group.waitForAll()
            }
            let after = time.loop.statisticsNow
            if let busybody {
                let tree = await Capture(of: busybody.inspector, stacks: true).tree(within: .seconds(60))
                #expect(tree.notes == [] && tree.tasks.count == 1, "its own thread may look")
                busybody.inspector.loopEnds(time.loop)
            }
            return [
                after.ticks - before.ticks, after.calls - before.calls, after.jobs - before.jobs,
                UInt64(time.elapsed.saturatedNanoseconds),
            ]
        }
    }

    @Test("goes its way whoever inspects it, in virtual time")
    func virtualTime() async throws {
        let alone = try await virtual(nil)
        #expect(try await virtual(Busybody()) == alone)
    }

    /// What has happened in a world.
    private func simulated(_ busybody: Busybody?) async throws -> UInt64 {
        let report = await Simulation(seed: 11).report { world in
            let server = try world.addHost("server")
            try server.program {
                let listener = try await TCPListener.bind("0.0.0.0", 7)
                while true {
                    let stream = try await listener.accept()
                    while let bytes = try await stream.read() { try await stream.write(bytes) }
                    stream.close()
                }
            }
            try await world.addHost("client").run { try await self.talk(busybody) }
        }
        try report.result.get()
        return report.traceHash
    }

    private func talk(_ busybody: Busybody?) async throws {
        let loop = try #require(EventLoop.current)
        busybody?.inspector.loopRuns(loop)
        busybody?.inspector.inspector(of: loop)?.beginTrace(TraceRing(capacity: 1_024))
        try busybody?.start()
        defer { busybody?.stop() }
        for round in 0..<10 {
            let stream = try await TCPStream.connect("server", 7)
            let reader = loop.spawn(name: "reader") { try await stream.read() }
            try await loop.sleep(for: .milliseconds(1))
            busybody?.wait()
            if let busybody {
                let tree = await Capture(of: busybody.inspector, stacks: true).tree(within: .seconds(60))
                #expect(tree.notes == [] && tree.tasks.contains { $0.wait?.kind == "read" }, "its own thread may look")
            }
            try await stream.write("round \(round)")
            #expect(try await reader.value == Array("round \(round)".utf8))
            stream.close()
            try await loop.sleep(for: .seconds(1))
        }
        busybody?.inspector.loopEnds(loop)
    }

    @Test("goes its way whoever inspects it, in a simulated world")
    func simulation() async throws {
        let alone = try await simulated(nil)
        #expect(try await simulated(nil) == alone)
        #expect(try await simulated(Busybody()) == alone)
    }

    @Test("is named in a tree that is made elsewhere, with the reason")
    func reason() async throws {
        let busybody = Busybody()
        try await withVirtualTime { time in
            busybody.inspector.loopRuns(time.loop)
            defer { busybody.inspector.loopEnds(time.loop) }
            let tree = try await Watchdog.onThread {
                let capture = Capture(of: busybody.inspector, stacks: false)
                capture.run(timeout: .seconds(60))
                return capture.tree()
            }
            #expect(tree.notes.count == 1)
            #expect(tree.notes.first?.hasPrefix("\(time.loop.name): its time is a test's") == true)
        }
    }
}
