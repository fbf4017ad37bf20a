import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTransports
import SystemPackage
import Testing

@Suite("Flow control")
struct FlowControlTests {
    private static let ten = [UInt8](repeating: 1, count: 10)

    @Test("the protocol is paused inside the write that crosses the high-water mark", arguments: Drivers.available)
    func pausesInside(_ driver: DriverChoice) async throws {
        try await withLoop(Setting(driver: driver, caller: .onLoop)) { loop in
            let stage = try await Stage(on: loop, limits: WriteBufferLimits(high: 20, low: 5)) { $0.jam() }
            stage.transport.write(Self.ten)
            stage.transport.write(Self.ten)
            #expect(stage.witness.calls == [.made])
            stage.transport.write([1])
            #expect(stage.witness.calls == [.made, .pause])
            #expect(stage.transport.writeBufferSize == 21)
            stage.transport.abort()
            await stage.expect(.made, .pause, .lost(nil))
        }
    }

    @Test("it is resumed once, when no more than the low-water mark is left", arguments: Setting.everywhere)
    func resumes(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let stage = try await Stage(on: loop, limits: WriteBufferLimits(high: 100_000, low: 50_000)) { $0.jam() }
            // Chunks of this size are not copied together.
            for _ in 0..<10 { stage.transport.write([UInt8](repeating: 1, count: 20_000)) }
            await until { stage.witness.calls.contains(.pause) && stage.transport.writeBufferSize == 200_000 }
            stage.stream.take(140_000)
            await until { stage.transport.writeBufferSize == 60_000 }
            #expect(stage.witness.calls == [.made, .pause])
            stage.stream.take(20_000)
            await until { stage.transport.writeBufferSize == 40_000 }
            await until { stage.witness.calls == [.made, .pause, .resume] }
            stage.stream.take(40_000)
            stage.transport.close()
            await stage.expect(.made, .pause, .resume, .lost(nil))
        }
    }

    @Test("a producer that listens keeps the buffer small and is never told twice", arguments: Setting.everywhere)
    func producer(_ setting: Setting) async throws {
        actor Producer: StreamProtocol {
            nonisolated let loop: EventLoop
            nonisolated let isLost = Gate()
            nonisolated let peak = Log<Int>()
            private var transport: Transport?
            private var left = 5_000
            private var isPaused = false
            private(set) var faults = 0

            init(loop: EventLoop) { self.loop = loop }

            func connectionMade(_ transport: Transport) {
                self.transport = transport
                produce()
            }

            func pauseWriting() {
                if isPaused { faults += 1 }
                isPaused = true
            }

            func resumeWriting() {
                if !isPaused { faults += 1 }
                isPaused = false
                produce()
            }

            func connectionLost(_ error: (any Error)?) {
                transport = nil
                isLost.open()
            }

            private func produce() {
                guard let transport else { return }
                while !isPaused && left > 0 {
                    left -= 1
                    transport.write([UInt8](repeating: 3, count: 1_000))
                    peak.add(transport.writeBufferSize)
                }
                if left == 0 { transport.close() }
            }
        }
        try await withLoop(setting) { loop in
            let stream = ScriptedStream()
            stream.jam()
            let producer = Producer(loop: loop)
            try await loop.attach(stream, to: producer)
            var random = Randomness()
            await until {
                stream.take(Int.random(in: 0...9_000, using: &random))
                return producer.isLost.isOpen
            }
            #expect(await producer.faults == 0)
            #expect((producer.peak.all.max() ?? 0) <= WriteBufferLimits.standard.high + 1_000)
            #expect(stream.written.count == 5_000_000)
        }
    }

    @Test("a high-water mark of zero pauses at any byte that waits, and at no other", arguments: Setting.everywhere)
    func zero(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let script = Script(made: { try $0.setWriteBufferLimits(high: 0) }, data: { $0.write($1) })
            let stage = try await Stage(on: loop, script)
            #expect(stage.transport.writeBufferLimits.low == 0)
            stage.stream.feed([1, 2])
            await until { stage.stream.written == [1, 2] }
            #expect(stage.witness.calls == [.made, .data(2)])
            stage.stream.jam()
            stage.transport.write([3])
            await until { stage.witness.calls.last == .pause }
            stage.stream.take(1)
            await until { stage.witness.calls.last == .resume }
            stage.transport.close()
            await stage.expect(.made, .data(2), .pause, .resume, .lost(nil))
        }
    }

    @Test("moving a mark over the buffer's size tells the protocol", arguments: Setting.everywhere)
    func movesMarks(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let stage = try await Stage(on: loop) { $0.jam() }
            stage.transport.write([UInt8](repeating: 1, count: 1_000))
            try stage.transport.setWriteBufferLimits(high: 999)
            await until { stage.witness.calls == [.made, .pause] }
            try stage.transport.setWriteBufferLimits(low: 1_000)
            await until { stage.witness.calls == [.made, .pause, .resume] }
            #expect(try stage.transport.writeBufferLimits == WriteBufferLimits(high: 4_000, low: 1_000))
            stage.transport.abort()
            await stage.expect(.made, .pause, .resume, .lost(nil))
        }
    }

    @Test("without one mark it follows from the other")
    func marks() throws {
        #expect(try WriteBufferLimits() == .standard)
        #expect(try WriteBufferLimits(high: 100).low == 25)
        #expect(try WriteBufferLimits(low: 100).high == 400)
        #expect(try WriteBufferLimits(high: 0).low == 0)
        #expect(try WriteBufferLimits(low: Int.max / 2, hard: .max).high == .max)
    }

    @Test("marks in the wrong order are refused", arguments: [[-1, 0], [1, 2], [0, -1], [Int.max, 0]])
    func wrongMarks(_ marks: [Int]) async throws {
        let error = try await ioError { try WriteBufferLimits(high: marks[0], low: marks[1]) }
        #expect(error.code == .invalidArgument)
        #expect("\(error)".contains("hard"))
    }

    @Test(
        "a peer that never reads costs the hard limit and no more: the connection is broken off",
        arguments: Setting.everywhere)
    func hardLimit(_ setting: Setting) async throws {
        let reports = Errors()
        try await withLoop(setting, reports: reports) { loop in
            let limits = try WriteBufferLimits(high: 1_000, hard: 100_000)
            let stage = try await Stage(on: loop, limits: limits) { $0.jam() }
            // The protocol does not care.
            for _ in 0..<102 { stage.transport.write([UInt8](repeating: 1, count: 1_000)) }
            await stage.witness.isLost.pass()
            #expect(stage.stream.isAborted)
            #expect(stage.transport.writeBufferSize == 0)
            #expect(stage.witness.calls.count == 3)
            guard case .lost(let error?) = stage.witness.calls.last else {
                Issue.record("lost without an error: \(stage.witness.calls)")
                return
            }
            #expect(error.contains("hard limit of 100000"))
            #expect(stage.witness.faults == [])
        }
        #expect(reports.all.compactMap { ($0.error as? IOError)?.code } == [.noBufferSpace])
    }

    @Test("a single write of any size is taken", arguments: Setting.everywhere)
    func largeWrite(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let limits = try WriteBufferLimits(high: 10, hard: 100)
            let stage = try await Stage(on: loop, limits: limits) { $0.jam() }
            stage.transport.write(Bytes.pattern(1_000_000))
            stage.transport.close()
            await until { stage.stream.isFull }
            stage.stream.take(1_000_000)
            await stage.expect(.made, .pause, .resume, .lost(nil))
            #expect(stage.stream.written == Bytes.pattern(1_000_000))
        }
    }

    @Test("bytes on their way from another thread count as buffered", arguments: Drivers.available)
    func countsInbox(_ driver: DriverChoice) async throws {
        let reports = Errors()
        try await withLoop(Setting(driver: driver, caller: .elsewhere), reports: reports) { loop in
            let stage = try await Stage(on: loop, limits: WriteBufferLimits(high: 10, hard: 1_000))
            let (isBlocked, release) = (Gate(), Gate())
            loop.callSoon {
                isBlocked.open()
                release.block()
            }
            await isBlocked.pass()
            for _ in 0..<1_000 { stage.transport.write(Self.ten) }
            // The loop has seen none of them, and most are not kept.
            #expect(stage.transport.writeBufferSize == 1_010)
            release.open()
            await stage.witness.isLost.pass()
            #expect(stage.stream.written.count <= 1_020)
            await until { stage.transport.writeBufferSize == 0 }
        }
        #expect(reports.all.count == 1)
    }
}
