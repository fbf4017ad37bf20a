import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTransports
import SystemPackage
import Testing

/// The callbacks, for tests that do the same in each.
enum Callback: String, CaseIterable, Sendable {
    case made, data, eof, pause, resume

    /// A script whose callback of this name runs the body, beside what makes the others come.
    func script(_ body: @escaping @Sendable (Transport) throws -> Void) -> Script {
        var script = Script(eof: { _ in true })
        switch self {
        case .made: script.made = body
        case .data: script.data = { transport, _ in try body(transport) }
        case .eof:
            script.eof = { transport in
                try body(transport)
                return true
            }
        case .pause: script.pause = body
        case .resume: script.resume = body
        }
        return script
    }

    /// Makes every callback come, in the order of the cases.
    static func provokeAll(_ stage: Stage) async {
        stage.stream.feed([1])
        stage.stream.feedEnd()
        await until { stage.witness.isLost.isOpen || stage.stream.isReadOut }
        stage.stream.jam()
        stage.transport.write([UInt8](repeating: 1, count: 20))
        await until { stage.witness.isLost.isOpen || stage.stream.isFull }
        stage.stream.take(100)
    }

    /// What has been called up to this one.
    var calls: [Called] {
        switch self {
        case .made: [.made]
        case .data: [.made, .data(1)]
        case .eof: [.made, .data(1), .eof]
        case .pause: [.made, .data(1), .eof, .pause]
        case .resume: [.made, .data(1), .eof, .pause, .resume]
        }
    }
}

@Suite("A protocol's own failures, and ends from inside")
struct FailingProtocolTests {
    @Test(
        "what a callback throws loses its connection with it, and is reported",
        arguments: Setting.everywhere, Callback.allCases)
    func throwing(_ setting: Setting, _ callback: Callback) async throws {
        let reports = Errors()
        try await withLoop(setting, reports: reports) { loop in
            let script = callback.script { _ in throw Refusal() }
            let stage = try await Stage(on: loop, script, limits: WriteBufferLimits(high: 10))
            let other = try await Stage(on: loop, .echo)
            await Callback.provokeAll(stage)
            await stage.witness.isLost.pass()
            expectCalls(callback.calls + [.lost("refused")], of: stage.witness)
            #expect(stage.stream.isClosed)
            // Nobody else's.
            other.stream.feed([5])
            await until { other.stream.written == [5] }
            #expect(!other.transport.isClosing)
            other.transport.close()
            await other.expect(.made, .data(1), .lost(nil))
        }
        #expect(reports.all.compactMap { $0.error as? Refusal } == [Refusal()])
        #expect(reports.contexts == ["Transport(ScriptedStream)"])
    }

    @Test("what connectionLost throws is reported, and all is over", arguments: Setting.everywhere)
    func throwingLost(_ setting: Setting) async throws {
        let reports = Errors()
        try await withLoop(setting, reports: reports) { loop in
            let stage = try await Stage(on: loop, Script(lost: { _, _ in throw Refusal() })) { $0.feedEnd() }
            await stage.expect(.made, .eof, .lost(nil))
            await until { stage.transport.currentProtocol == nil }
        }
        #expect(reports.all.compactMap { $0.error as? Refusal } == [Refusal()])
    }

    @Test("what a callback has written before it throws is not taken back", arguments: Setting.everywhere)
    func writtenBefore(_ setting: Setting) async throws {
        try await withLoop(setting, reports: Errors()) { loop in
            let script = Script(data: { transport, _ in
                transport.write("500 sorry")
                throw Refusal()
            })
            let stage = try await Stage(on: loop, script) { $0.feed([1]) }
            await stage.expect(.made, .data(1), .lost("refused"))
            #expect(stage.stream.written == Array("500 sorry".utf8))
            #expect(!stage.stream.isAborted)
        }
    }

    @Test(
        "close inside a callback: nothing more is called but connectionLost",
        arguments: Setting.everywhere, Callback.allCases)
    func closing(_ setting: Setting, _ callback: Callback) async throws {
        try await withLoop(setting, reports: Errors()) { loop in
            let script = callback.script { transport in
                transport.write("bye")
                transport.close()
                #expect(transport.isClosing)
                #expect(!transport.isReading)
            }
            let stage = try await Stage(on: loop, script, limits: WriteBufferLimits(high: 10))
            await Callback.provokeAll(stage)
            await stage.witness.isLost.pass()
            // What is buffered is sent first, so that a pause is followed by its resume.
            let resumes: [Called] = callback == .pause ? [.resume] : []
            expectCalls(callback.calls + resumes + [.lost(nil)], of: stage.witness)
            #expect(Array(stage.stream.written.suffix(3)) == Array("bye".utf8))
            #expect(!stage.stream.isAborted)
        }
    }

    @Test(
        "abort inside a callback: nothing more is called but connectionLost",
        arguments: Setting.everywhere, Callback.allCases)
    func aborting(_ setting: Setting, _ callback: Callback) async throws {
        try await withLoop(setting, reports: Errors()) { loop in
            let script = callback.script { transport in
                transport.abort()
                #expect(transport.isClosing)
            }
            let stage = try await Stage(on: loop, script, limits: WriteBufferLimits(high: 10))
            await Callback.provokeAll(stage)
            await stage.witness.isLost.pass()
            expectCalls(callback.calls + [.lost(nil)], of: stage.witness)
            #expect(stage.stream.isAborted)
        }
    }

    @Test("close, abort and write inside connectionLost do nothing", arguments: Setting.everywhere)
    func insideLost(_ setting: Setting) async throws {
        try await withLoop(setting, reports: Errors()) { loop in
            let script = Script(lost: { transport, _ in
                transport.close()
                transport.abort()
                transport.write([1])
                transport.writeEOF()
            })
            let stage = try await Stage(on: loop, script)
            stage.transport.close()
            await stage.expect(.made, .lost(nil))
            #expect(stage.stream.written == [])
            #expect(!stage.stream.hasFinishedWriting)
        }
    }

    @Test("a protocol of another loop is refused, and the stream closed", arguments: Drivers.available)
    func wrongLoop(_ driver: DriverChoice) async throws {
        try await withLoop(Setting(driver: driver, caller: .onLoop)) { loop in
            let thread = try LoopThread(options: .guest(driver, name: "other"))
            let stream = ScriptedStream()
            let error = try await ioError { try await loop.attach(stream, to: Witness(loop: thread.loop)) }
            #expect(error.code == .invalidArgument)
            #expect("\(error)".contains("EventLoop(other"))
            #expect(stream.isClosed)
            let stage = try await Stage(on: loop)
            let second = try await ioError { try stage.transport.setProtocol(Witness(loop: thread.loop)) }
            #expect(second.code == .invalidArgument)
            stage.transport.close()
            await stage.expect(.made, .lost(nil))
            await thread.shutdown()
        }
    }

    @Test("a loop that has ended takes no transport, and says so", arguments: Drivers.available)
    func closedLoop(_ driver: DriverChoice) async throws {
        let thread = try LoopThread(options: .guest(driver, name: "gone"))
        await thread.shutdown()
        let stream = ScriptedStream()
        let witness = Witness(loop: thread.loop)
        await #expect(throws: EventLoopError.closed("gone")) { try await thread.loop.attach(stream, to: witness) }
        #expect(witness.calls == [])
        #expect(stream.isClosed)
    }
}
