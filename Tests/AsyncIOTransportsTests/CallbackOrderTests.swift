import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTransports
import Testing

@Suite("The order of callbacks")
struct CallbackOrderTests {
    @Test("connectionMade comes first, and attaching waits for it", arguments: Setting.everywhere)
    func made(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let stage = try await Stage(on: loop) { $0.feed([1, 2]) }
            #expect(stage.witness.calls.first == .made)
            #expect(stage.witness.line === stage.transport)
            stage.transport.abort()
            await stage.witness.isLost.pass()
        }
    }

    @Test("data, then its end, then the loss of the connection", arguments: Setting.everywhere)
    func wholeLife(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let stage = try await Stage(on: loop) { stream in
                stream.feed([1, 2])
                stream.feed([3])
                stream.feedEnd()
            }
            await stage.expect(.made, .data(3), .eof, .lost(nil))
            #expect(stage.witness.received == [1, 2, 3])
            #expect(stage.stream.isClosed)
            #expect(!stage.stream.isAborted)
        }
    }

    @Test("an eofReceived that returns true leaves the connection open for writing", arguments: Setting.everywhere)
    func staysOpen(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let stage = try await Stage(on: loop, Script(eof: { _ in true })) { $0.feedEnd() }
            await until { stage.witness.calls.contains(.eof) }
            #expect(!stage.transport.isClosing)
            stage.transport.write([9])
            await until { stage.stream.written == [9] }
            stage.transport.close()
            await stage.expect(.made, .eof, .lost(nil))
        }
    }

    @Test("at the end of the peer's data nothing is read any more, and reading is over", arguments: Setting.everywhere)
    func readsOnce(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let stage = try await Stage(on: loop, Script(eof: { _ in true })) { $0.feedEnd() }
            await until { stage.witness.calls.contains(.eof) }
            #expect(!stage.transport.isReading)
            stage.transport.resumeReading()
            #expect(!stage.transport.isReading)
            stage.transport.close()
            await stage.expect(.made, .eof, .lost(nil))
            #expect(stage.stream.reads == 1)
        }
    }

    @Test("an eofReceived that returns false closes, after what it has written was sent", arguments: Setting.everywhere)
    func closesAfterEOF(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let script = Script(eof: { transport in
                transport.write("bye")
                return false
            })
            let stage = try await Stage(on: loop, script) { stream in
                stream.jam()
                stream.feedEnd()
            }
            await until { stage.transport.isClosing }
            #expect(!stage.witness.isLost.isOpen)
            stage.stream.take(3)
            await stage.expect(.made, .eof, .lost(nil))
            #expect(stage.stream.written == Array("bye".utf8))
        }
    }

    @Test("a broken connection is lost with the error, after what had come", arguments: Setting.everywhere)
    func broken(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let stage = try await Stage(on: loop) { stream in
                stream.feed([1])
                stream.feed(reset)
            }
            await stage.expect(.made, .data(1), .lost("\(reset)"))
        }
    }

    @Test("a write that fails loses the connection with its error", arguments: Setting.everywhere)
    func brokenWrite(_ setting: Setting) async throws {
        let failure = IOError(.brokenPipe, operation: "write", subject: "the peer")
        try await withLoop(setting) { loop in
            let stage = try await Stage(on: loop)
            stage.stream.failWrites(failure)
            stage.transport.write([1])
            await stage.expect(.made, .lost("\(failure)"))
        }
    }

    @Test("a buffered write that fails later loses the connection as well", arguments: Setting.everywhere)
    func brokenLater(_ setting: Setting) async throws {
        let failure = IOError(.brokenPipe, operation: "write", subject: "the peer")
        try await withLoop(setting) { loop in
            let stage = try await Stage(on: loop) { $0.jam() }
            stage.transport.write([1])
            stage.transport.write([2])
            await until { stage.stream.isFull && stage.transport.writeBufferSize == 2 }
            stage.stream.failWrites(failure)
            await stage.expect(.made, .lost("\(failure)"))
            #expect(stage.transport.writeBufferSize == 0)
            #expect(stage.stream.isAborted)
        }
    }

    @Test("connectionLost is never called from inside another callback", arguments: Setting.everywhere)
    func neverInside(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let script = Script(data: { transport, _ in
                transport.abort()
                transport.close()
            })
            let stage = try await Stage(on: loop, script) { $0.feed([1]) }
            // The witness would note it.
            await stage.expect(.made, .data(1), .lost(nil))
        }
    }

    @Test("connectionLost comes not before close has returned", arguments: Drivers.available)
    func afterClose(_ driver: DriverChoice) async throws {
        try await withLoop(Setting(driver: driver, caller: .onLoop)) { loop in
            let stage = try await Stage(on: loop)
            stage.transport.close()
            #expect(!stage.witness.isLost.isOpen)
            #expect(stage.transport.isClosing)
            await stage.expect(.made, .lost(nil))
        }
    }

    @Test("closing and aborting again and again changes nothing", arguments: Setting.everywhere)
    func closeTwice(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let stage = try await Stage(on: loop)
            for _ in 0..<3 {
                stage.transport.close()
                stage.transport.abort()
            }
            await stage.expect(.made, .lost(nil))
            stage.transport.close()
            stage.transport.abort()
            stage.transport.pauseReading()
            stage.transport.resumeReading()
            stage.transport.writeEOF()
            await until { stage.transport.currentProtocol == nil }
            #expect(stage.transport.isClosing)
            await stage.expect(.made, .lost(nil))
        }
    }

    @Test("after close nothing more is received, while the buffer is still being sent", arguments: Setting.everywhere)
    func deafAfterClose(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let stage = try await Stage(on: loop) { $0.jam() }
            stage.transport.write([7, 7])
            stage.transport.close()
            await until { stage.transport.isClosing }
            stage.stream.feed([1, 2, 3])
            stage.stream.feedEnd()
            // It is read, so that the peer gets on with it, and dropped.
            await until { stage.stream.isReadOut }
            stage.stream.take(2)
            await stage.expect(.made, .lost(nil))
            #expect(stage.stream.written == [7, 7])
        }
    }

    @Test("the default implementations drop data, and close at its end", arguments: Setting.everywhere)
    func defaults(_ setting: Setting) async throws {
        actor Silent: StreamProtocol {
            nonisolated let loop: EventLoop
            init(loop: EventLoop) { self.loop = loop }
        }
        try await withLoop(setting) { loop in
            let stream = ScriptedStream()
            stream.feed([1, 2, 3])
            stream.jam()
            let transport = try await loop.attach(stream, to: Silent(loop: loop))
            transport.write([UInt8](repeating: 1, count: 100_000))
            await until { transport.writeBufferSize == 100_000 }
            stream.feedEnd()
            await until { transport.isClosing }
            stream.take(100_000)
            await until { stream.isClosed }
            await until { transport.currentProtocol == nil }
        }
    }
}
