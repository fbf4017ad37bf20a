import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTransports
import SystemPackage
import Testing

@Suite("Writing to a transport")
struct WritingTests {
    @Test("what the stream takes at once is never buffered", arguments: Drivers.available)
    func atOnce(_ driver: DriverChoice) async throws {
        try await withLoop(Setting(driver: driver, caller: .onLoop)) { loop in
            let stage = try await Stage(on: loop)
            stage.transport.write([1, 2, 3])
            #expect(stage.stream.written == [1, 2, 3])
            #expect(stage.transport.writeBufferSize == 0)
            stage.transport.close()
            await stage.expect(.made, .lost(nil))
        }
    }

    @Test("small writes of one callback leave together, in order", arguments: Setting.everywhere)
    func together(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let script = Script(made: { transport in
                for byte in 1...100 { transport.write([UInt8(byte)]) }
                transport.write("end")
            })
            let stage = try await Stage(on: loop, script)
            #expect(stage.stream.written == Array(1...100) + Array("end".utf8))
            #expect(stage.stream.calls == [103])
            stage.transport.close()
            await stage.expect(.made, .lost(nil))
        }
    }

    @Test("a list of chunks is one write", arguments: Setting.everywhere)
    func chunks(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let stage = try await Stage(on: loop)
            stage.transport.write(contentsOf: [[1], [], [2, 3], [4]])
            await until { stage.stream.written == [1, 2, 3, 4] }
            #expect(stage.stream.calls == [4])
            stage.transport.close()
            await stage.expect(.made, .lost(nil))
        }
    }

    @Test("writing nothing does nothing, and closing afterwards does not wait", arguments: Setting.everywhere)
    func nothing(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let stage = try await Stage(on: loop)
            stage.transport.write([])
            stage.transport.write(contentsOf: [[], []])
            stage.transport.write(contentsOf: [])
            stage.transport.write("")
            stage.transport.close()
            await stage.expect(.made, .lost(nil))
            #expect(stage.stream.calls == [])
        }
    }

    @Test("whatever is taken when, all bytes leave in order", arguments: Setting.everywhere, Randomness.seeds)
    func inOrder(_ setting: Setting, _ seed: UInt64) async throws {
        try await withLoop(setting) { loop in
            var random = Randomness(seed: seed)
            let all = Bytes.pattern(300_000)
            let stage = try await Stage(on: loop) { $0.jam() }
            var sent = 0
            while sent < all.count {
                let size = min([1, 7, 1000, 20_000, 100_000].randomElement(using: &random) ?? 1, all.count - sent)
                stage.transport.write(Array(all[sent..<sent + size]))
                sent += size
                stage.stream.take(Int.random(in: 0...20_000, using: &random))
                if Bool.random(using: &random) { await Task.yield() }
            }
            stage.transport.close()
            stage.stream.take(all.count)
            await stage.witness.isLost.pass()
            #expect(stage.stream.written == all, "\(random.note)")
            #expect(stage.transport.writeBufferSize == 0)
        }
    }

    @Test("writeEOF finishes our side after what is buffered, and reading goes on", arguments: Setting.everywhere)
    func halfClose(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let stage = try await Stage(on: loop) { $0.jam() }
            #expect(stage.transport.canWriteEOF)
            stage.transport.write([1, 2])
            stage.transport.writeEOF()
            stage.transport.writeEOF()
            await until { stage.stream.isFull }
            #expect(!stage.stream.hasFinishedWriting)
            stage.stream.take(2)
            await until { stage.stream.hasFinishedWriting }
            #expect(stage.stream.written == [1, 2])
            stage.stream.feed([5])
            await stage.received(1)
            #expect(!stage.transport.isClosing)
            stage.stream.feedEnd()
            await stage.expect(.made, .data(1), .eof, .lost(nil))
        }
    }

    @Test("writeEOF and close inside one callback: the bytes, the end, the loss", arguments: Setting.everywhere)
    func halfCloseAndClose(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let script = Script(made: { transport in
                transport.write([1])
                transport.writeEOF()
                transport.close()
            })
            let stage = try await Stage(on: loop, script)
            await stage.expect(.made, .lost(nil))
            #expect(stage.stream.written == [1])
            #expect(stage.stream.hasFinishedWriting)
        }
    }

    @Test("a write after writeEOF is dropped, and reported once", arguments: Setting.everywhere)
    func afterEOF(_ setting: Setting) async throws {
        let reports = Errors()
        try await withLoop(setting, reports: reports) { loop in
            let stage = try await Stage(on: loop)
            stage.transport.writeEOF()
            stage.transport.write([1])
            stage.transport.write([2])
            await until { stage.stream.hasFinishedWriting && !reports.all.isEmpty }
            stage.stream.feedEnd()
            await stage.expect(.made, .eof, .lost(nil))
            #expect(stage.stream.written == [])
        }
        #expect(reports.all.compactMap { ($0.error as? IOError)?.code } == [.brokenPipe])
        #expect(reports.lines.first?.contains("writeEOF") == true)
    }

    @Test("a write after close is dropped, and reported once", arguments: Setting.everywhere)
    func afterClose(_ setting: Setting) async throws {
        let reports = Errors()
        try await withLoop(setting, reports: reports) { loop in
            let stage = try await Stage(on: loop) { $0.jam() }
            stage.transport.write([1])
            stage.transport.close()
            stage.transport.write([2])
            stage.transport.write([3])
            await until { !reports.all.isEmpty }
            stage.stream.take(10)
            await stage.expect(.made, .lost(nil))
            stage.transport.write([4])
            #expect(stage.stream.written == [1])
        }
        #expect(reports.all.compactMap { ($0.error as? IOError)?.code } == [.badFileDescriptor])
    }

    @Test("a write to a connection that the peer has ended is dropped in silence", arguments: Setting.everywhere)
    func afterLoss(_ setting: Setting) async throws {
        let reports = Errors()
        try await withLoop(setting, reports: reports) { loop in
            let stage = try await Stage(on: loop) { $0.feed(reset) }
            await stage.expect(.made, .lost("\(reset)"))
            stage.transport.write([1])
            await until { stage.transport.writeBufferSize == 0 }
        }
        #expect(reports.lines == [])
    }

    @Test("abort drops what is buffered, and breaks the stream off", arguments: Setting.everywhere)
    func abort(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let stage = try await Stage(on: loop) { $0.jam() }
            stage.transport.write([UInt8](repeating: 1, count: 1000))
            await until { stage.stream.isFull }
            stage.transport.abort()
            await stage.expect(.made, .lost(nil))
            #expect(stage.stream.isAborted)
            #expect(stage.stream.written == [])
            #expect(stage.transport.writeBufferSize == 0)
        }
    }

    @Test("abort ends a close that waits for the peer", arguments: Setting.everywhere)
    func abortWhileClosing(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let stage = try await Stage(on: loop) { $0.jam() }
            stage.transport.write([1])
            stage.transport.close()
            await until { stage.stream.isFull && stage.transport.isClosing }
            #expect(!stage.witness.isLost.isOpen)
            stage.transport.abort()
            await stage.expect(.made, .lost(nil))
            #expect(stage.stream.isAborted)
        }
    }

    @Test("writes of one thread keep their order, wherever the thread is", arguments: Drivers.available)
    func fromElsewhere(_ driver: DriverChoice) async throws {
        try await withLoop(Setting(driver: driver, caller: .elsewhere)) { loop in
            let stage = try await Stage(on: loop)
            let all = Bytes.pattern(10_000)
            try await AsyncIOTestSupport.onThread {
                for start in stride(from: 0, to: all.count, by: 10) {
                    stage.transport.write(Array(all[start..<start + 10]))
                }
                stage.transport.close()
            }
            await stage.expect(.made, .lost(nil))
            #expect(stage.stream.written == all)
        }
    }
}
