import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTransports
import Testing

@Suite("Transports at the loop's end")
struct LoopEndTests {
    private static let ended = "\(CancellationError())"

    @Test(
        "transports that are alive are closed, and their protocols told, in every state", arguments: Setting.everywhere)
    func alive(_ setting: Setting) async throws {
        let reports = Errors()
        let stages = Log<Stage>()
        try await withLoop(setting, reports: reports) { loop in
            // Reading, paused, after the peer's end, with bytes that wait, and closing with bytes that wait.
            stages.add(try await Stage(on: loop))
            stages.add(try await Stage(on: loop, Script(made: { $0.pauseReading() })))
            let finished = try await Stage(on: loop, Script(eof: { _ in true })) { $0.feedEnd() }
            await until { finished.witness.calls.contains(.eof) }
            stages.add(finished)
            for isClosing in [false, true] {
                let jammed = try await Stage(on: loop) { $0.jam() }
                jammed.transport.write([1])
                if isClosing { jammed.transport.close() }
                await until { jammed.stream.isFull }
                stages.add(jammed)
            }
        }
        // The loop has ended, so all this has happened.
        let calls = stages.all.map(\.witness.calls)
        #expect(
            calls == [
                [.made, .lost(nil)], [.made, .lost(nil)], [.made, .eof, .lost(nil)], [.made, .lost(Self.ended)],
                [.made, .lost(Self.ended)],
            ])
        #expect(stages.all.allSatisfy { $0.stream.isClosed })
        #expect(stages.all.map(\.stream.isAborted) == [false, false, false, true, true])
        #expect(stages.all.flatMap(\.witness.faults) == [])
        #expect(reports.lines == [])
    }

    @Test(
        "a server, its clients, and those who dialled end with the loop, without a task left",
        arguments: Setting.everywhere)
    func servers(_ setting: Setting) async throws {
        let reports = Errors()
        let witnesses = Log<Witness>()
        try await withLoop(setting, reports: reports) { loop in
            let server = try await loop.createServer("127.0.0.1", 0) { loop in
                let witness = Witness(loop: loop)
                witnesses.add(witness)
                return witness
            }
            for _ in 0..<5 {
                witnesses.add(try await loop.createConnection(to: server.address) { Witness(loop: $0) }.protocol)
            }
            await until { witnesses.count == 10 && witnesses.all.allSatisfy(\.isMade.isOpen) }
        }
        // Whose end the peer sees first is chance: what counts is that each has heard of it, once.
        for witness in witnesses.all {
            #expect(witness.isLost.isOpen)
            #expect(witness.calls.filter { if case .lost = $0 { true } else { false } }.count == 1)
            #expect(witness.faults == [])
        }
        #expect(reports.stubborn == [])
    }

    @Test("calls that come after the loop's end do nothing", arguments: Drivers.available)
    func after(_ driver: DriverChoice) async throws {
        let thread = try LoopThread(options: .guest(driver, name: "brief"))
        let stage = try await Stage(on: thread.loop)
        await thread.shutdown()
        #expect(stage.witness.calls == [.made, .lost(nil)])
        stage.transport.write([1])
        stage.transport.write(contentsOf: [[1], [2]])
        stage.transport.writeEOF()
        stage.transport.pauseReading()
        stage.transport.resumeReading()
        try stage.transport.setWriteBufferLimits(high: 1)
        try stage.transport.setProtocol(Witness(loop: thread.loop))
        stage.transport.close()
        stage.transport.abort()
        #expect(stage.witness.calls == [.made, .lost(nil)])
        #expect(stage.stream.written == [])
        #expect(stage.transport.writeBufferSize == 0, "nothing waits where nothing will be sent")
    }

    @Test("bytes on their way to a loop that closes before it takes them wait no more", arguments: Drivers.available)
    func onTheirWay(_ driver: DriverChoice) async throws {
        let thread = try LoopThread(options: .guest(driver, name: "brief"))
        let stage = try await Stage(on: thread.loop)
        let remote = SocketAddress.loopback(port: 9)
        let (socket, _) = try await thread.loop.createDatagramEndpoint(remote: remote) { Postman(loop: $0) }
        await thread.shutdown()
        for _ in 0..<3 {
            stage.transport.write([1, 2, 3])
            socket.send([1, 2, 3])
        }
        #expect(stage.transport.writeBufferSize == 0 && socket.writeBufferSize == 0)
    }
}
