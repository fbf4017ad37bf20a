import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTransports
import Testing

@Suite("Pausing and resuming reading")
struct ReadingTests {
    @Test("reading that is paused in connectionMade reads nothing at all", arguments: Setting.everywhere)
    func inMade(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let stage = try await Stage(on: loop, Script(made: { $0.pauseReading() })) { $0.feed([1, 2]) }
            #expect(!stage.transport.isReading)
            // The loop has had every opportunity.
            for _ in 0..<100 { await EventLoop.yield() }
            #expect(stage.stream.reads == 0)
            #expect(stage.witness.calls == [.made])
            stage.transport.resumeReading()
            await stage.received(2)
            #expect(stage.transport.isReading)
            stage.stream.feedEnd()
            await stage.expect(.made, .data(2), .eof, .lost(nil))
        }
    }

    @Test(
        "nothing is received between pauseReading and resumeReading, and nothing is lost", arguments: Setting.everywhere
    )
    func between(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let stage = try await Stage(on: loop)
            // The read is under way, and what it gets is kept.
            await until { stage.stream.reads == 1 }
            stage.transport.pauseReading()
            stage.transport.pauseReading()
            await until { !stage.transport.isReading }
            stage.stream.feed([1])
            stage.stream.feed([2])
            stage.stream.feedEnd()
            await until { stage.stream.reads == 2 }
            for _ in 0..<100 { await EventLoop.yield() }
            #expect(stage.witness.calls == [.made])
            #expect(stage.stream.reads == 2)
            stage.transport.resumeReading()
            stage.transport.resumeReading()
            await stage.expect(.made, .data(2), .eof, .lost(nil))
            #expect(stage.witness.received == [1, 2])
        }
    }

    @Test("a protocol that pauses in every dataReceived gets one chunk for each resume", arguments: Setting.everywhere)
    func oneByOne(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let script = Script(data: { transport, _ in transport.pauseReading() })
            let stage = try await Stage(on: loop, script) { stream in
                for byte in 1...5 { stream.feed([UInt8(byte)]) }
                stream.feedEnd()
            }
            for count in 1...5 {
                await stage.received(count)
                for _ in 0..<20 { await EventLoop.yield() }
                #expect(stage.witness.count == count)
                stage.transport.resumeReading()
            }
            await stage.expect(.made, .data(5), .eof, .lost(nil))
        }
    }

    @Test("the peer's end waits for resumeReading as bytes do", arguments: Setting.everywhere)
    func endWaits(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let stage = try await Stage(on: loop)
            await until { stage.stream.reads == 1 }
            stage.transport.pauseReading()
            await until { !stage.transport.isReading }
            stage.stream.feedEnd()
            await until { stage.stream.isReadOut }
            for _ in 0..<100 { await EventLoop.yield() }
            #expect(stage.witness.calls == [.made])
            stage.transport.resumeReading()
            await stage.expect(.made, .eof, .lost(nil))
        }
    }

    @Test("that the connection broke does not wait", arguments: Setting.everywhere)
    func failureDoesNotWait(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let stage = try await Stage(on: loop)
            await until { stage.stream.reads == 1 }
            stage.transport.pauseReading()
            stage.stream.feed(reset)
            await stage.expect(.made, .lost("\(reset)"))
        }
    }

    @Test("a paused transport closes and aborts like any other", arguments: Setting.everywhere, [true, false])
    func closesPaused(_ setting: Setting, _ isAborted: Bool) async throws {
        try await withLoop(setting) { loop in
            let stage = try await Stage(on: loop, Script(made: { $0.pauseReading() })) { $0.feed([1]) }
            if isAborted { stage.transport.abort() } else { stage.transport.close() }
            await stage.expect(.made, .lost(nil))
            #expect(!stage.transport.isReading)
        }
    }

    @Test("a transport that always has data leaves others their turns", arguments: Drivers.available)
    func fair(_ driver: DriverChoice) async throws {
        try await withLoop(Setting(driver: driver, caller: .onLoop)) { loop in
            let connection = try await Connection(on: loop)
            let flood = Witness(loop: loop, keepsBytes: false)
            try await loop.attach(connection.server, to: flood)
            let client = connection.client
            let flooding = loop.spawn {
                let chunk = [UInt8](repeating: 1, count: 65_536)
                while true { try await client.write(chunk) }
            }
            await until { flood.count > 1_000_000 }
            let other = try await Stage(on: loop, .echo)
            other.stream.feed([1])
            let before = flood.count
            await until { other.stream.written == [1] }
            #expect(flood.count - before < 10_000_000)
            other.transport.close()
            flooding.cancel()
            client.abort()
            await flood.isLost.pass()
        }
    }
}
