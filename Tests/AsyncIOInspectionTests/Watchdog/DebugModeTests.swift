import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Testing

@testable import AsyncIOInspection

/// Debug mode on a loop of a test's own, and what it has found.
private final class TestDesk: Sendable {
    private let received = Condition<[DebugNotice]>([])
    let desk: DebugDesk

    init(_ options: Inspection.DebugOptions = Inspection.DebugOptions()) {
        var options = options
        let received = received
        options.handler = { notice in
            received.withLock { $0.append(notice) }
            received.broadcast()
        }
        desk = DebugDesk(options, period: .milliseconds(2))
    }

    var notices: [DebugNotice] { received.withLock { $0 } }

    func first(_ isMeant: (DebugNotice) -> Bool) -> DebugNotice? { notices.first(where: isMeant) }

    /// Runs a body on a loop that is looked at, until a notice of this kind has come.
    func run(
        _ driver: DriverChoice, until isMeant: @escaping @Sendable (DebugNotice) -> Bool,
        _ body: @escaping @Sendable (EventLoop) async throws -> Void
    ) async throws -> DebugNotice {
        desk.start()
        defer { desk.stop() }
        try await Guest.run(.guest(driver)) { loop in
            let inspector = LoopInspector(loop, number: 1, watchdog: LoopWatchdog(), debug: self.desk)
            defer { inspector.end() }
            try await body(loop)
            while self.first(isMeant) == nil { await Task.yield() }
        }
        return try #require(first(isMeant))
    }
}

extension DebugNotice {
    fileprivate var places: String { madeAt.map(\.description).joined(separator: "\n") }
    fileprivate var functions: String { stack.map(\.description).joined(separator: "\n") }
}

@inline(never)
private func plantedDeafness(_ gate: Gate) async { await gate.pass() }

@inline(never)
private func plantedSpawn(_ loop: EventLoop, _ gate: Gate) -> BackgroundTask<Void> {
    loop.spawn(name: "deaf") { await plantedDeafness(gate) }
}

@inline(never)
private func plantedOpening() async throws -> PipeStream {
    let (reading, writing) = try await PipeStream.oneWay()
    writing.close()
    return reading
}

@Suite("Debug mode", .serialized)
struct DebugModeTests {
    @Test("a task that ignores its cancellation is named, with where it was made and is", arguments: Drivers.available)
    func ignoredCancellation(driver: DriverChoice) async throws {
        let desk = TestDesk(.init(ignoredCancellation: .milliseconds(5)))
        let gate = Gate()
        let notice = try await desk.run(driver, until: { $0.subject.contains("deaf") }) { loop in
            let task = plantedSpawn(loop, gate)
            await Task.yield()
            task.cancel()
            while desk.first({ $0.subject.contains("deaf") }) == nil { await Task.yield() }
            gate.open()
            try await task.value
        }
        #expect(notice.kind == .ignoredCancellation)
        #expect(notice.places.contains("plantedSpawn"), "\(notice)")
        #expect(notice.functions.contains("plantedDeafness"), "\(notice)")
        #expect(notice.description.contains("was cancelled"))
    }

    @Test("a queue that stays full is named", arguments: Drivers.available)
    func fullQueue(driver: DriverChoice) async throws {
        let desk = TestDesk(.init(fullQueues: .milliseconds(5)))
        let notice = try await desk.run(driver, until: { $0.kind == .fullQueue }) { loop in
            let queue = AsyncQueue<Int>(capacity: 1, name: "letters")
            let task = loop.spawn(name: "writer") { for number in 0..<3 { try await queue.put(number) } }
            while desk.first({ $0.kind == .fullQueue }) == nil { await Task.yield() }
            for _ in 0..<3 { _ = try await queue.get() }
            try await task.value
        }
        #expect(notice.subject.contains("writer"))
        #expect(notice.finding.contains("queue \"letters\""), "\(notice)")
        #expect(notice.finding.contains("1 of 1 in it"), "\(notice)")
    }

    @Test("a wait that takes long is reported once", arguments: Drivers.available)
    func longWait(driver: DriverChoice) async throws {
        let desk = TestDesk(.init(longWaits: .milliseconds(5)))
        let event = AsyncEvent(name: "dawn")
        let notice = try await desk.run(driver, until: { $0.subject.contains("sleeper") }) { loop in
            let task = loop.spawn(name: "sleeper") { try await event.wait() }
            while desk.first({ $0.subject.contains("sleeper") }) == nil { await Task.yield() }
            let looks = loop.statisticsNow.calls
            // So many rounds later it is still the same wait.
            while loop.statisticsNow.calls < looks + 10 { await Task.yield() }
            event.set()
            try await task.value
        }
        #expect(notice.kind == .longWait)
        #expect(notice.finding.contains("event dawn"), "\(notice)")
        #expect(desk.notices.filter { $0.subject.contains("sleeper") }.count == 1)
    }

    @Test("a stream that is let go is named, with where it was opened, and no closed one", arguments: Drivers.available)
    func unclosed(driver: DriverChoice) async throws {
        let desk = TestDesk()
        // Other tests of this process open and close things, too.
        let notice = try await desk.run(driver, until: { $0.places.contains("plantedOpening") }) { _ in
            let good = try await plantedOpening()
            good.close()
            do { _ = try await plantedOpening() }
        }
        #expect(notice.kind == .unclosedResource)
        #expect(notice.subject.hasPrefix("PipeStream(pipe"))
        #expect(desk.notices.filter { $0.places.contains("plantedOpening") }.count == 1, "\(desk.notices)")
    }

    @Test("a file that is let go is named by its path", arguments: Drivers.available)
    func unclosedFile(driver: DriverChoice) async throws {
        let desk = TestDesk()
        let notice = try await desk.run(driver, until: { $0.places.contains("unclosedFile") }) { _ in
            let closed = try await File.open("/dev/null", .reading)
            try await closed.close()
            _ = try await File.open("/dev/null", .reading)
        }
        #expect(notice.kind == .unclosedResource)
        #expect(notice.subject == "File(/dev/null)")
        #expect(desk.notices.filter { $0.places.contains("unclosedFile") }.count == 1, "\(desk.notices)")
    }
}
