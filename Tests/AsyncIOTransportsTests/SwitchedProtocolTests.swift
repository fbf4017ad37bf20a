import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTransports
import Testing

@Suite("Another protocol takes over")
struct SwitchedProtocolTests {
    /// Greets, and hands over after STARTTLS.
    actor Greeter: StreamProtocol {
        nonisolated let loop: EventLoop
        private let next: Witness
        private var transport: Transport?
        private var received: [UInt8] = []

        init(loop: EventLoop, next: Witness) {
            self.loop = loop
            self.next = next
        }

        func connectionMade(_ transport: Transport) {
            self.transport = transport
            transport.write("220 hello\n")
        }

        func dataReceived(_ bytes: [UInt8]) throws {
            received += bytes
            let command = Array("STARTTLS\n".utf8)
            guard let transport, received.starts(with: command) else { return }
            transport.write("220 ready\n")
            // What came with the command is the next one's.
            let rest = Array(received.dropFirst(command.count))
            next.assumeIsolated { $0.adopt(transport) }
            try transport.setProtocol(next)
            if !rest.isEmpty { try next.assumeIsolated { try $0.dataReceived(rest) } }
        }

        func connectionLost(_ error: (any Error)?) { Issue.record("the former protocol was told") }
    }

    @Test("as for STARTTLS: what comes next is the new one's, and so is the end", arguments: Setting.everywhere)
    func startTLS(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let stream = ScriptedStream()
            let next = Witness(loop: loop, .echo)
            let transport = try await loop.attach(stream, to: Greeter(loop: loop, next: next))
            stream.feed(Array("STARTT".utf8))
            stream.feed(Array("LS\nab".utf8))
            stream.feed(Array("cd".utf8))
            await until { next.count == 4 }
            #expect(transport.currentProtocol === next)
            #expect(stream.written == Array("220 hello\n220 ready\nabcd".utf8))
            stream.feedEnd()
            await next.isLost.pass()
            expectCalls([.data(4), .eof, .lost(nil)], of: next)
        }
    }

    @Test("who takes over a transport that is paused hears pauseWriting first", arguments: Setting.everywhere)
    func paused(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let stage = try await Stage(on: loop, limits: WriteBufferLimits(high: 10)) { $0.jam() }
            stage.transport.write([UInt8](repeating: 1, count: 20))
            await until { stage.witness.calls.last == .pause }
            let next = Witness(loop: loop)
            try stage.transport.setProtocol(next)
            // Called elsewhere, it is on its way.
            await until { next.calls == [.pause] }
            stage.stream.take(20)
            await until { next.calls == [.pause, .resume] }
            stage.transport.close()
            await next.isLost.pass()
            #expect(next.calls == [.pause, .resume, .lost(nil)])
            #expect(stage.witness.calls == [.made, .pause])
        }
    }

    @Test("nobody takes over a connection that is lost", arguments: Setting.everywhere)
    func lost(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let stage = try await Stage(on: loop)
            stage.transport.abort()
            await stage.expect(.made, .lost(nil))
            await until { stage.transport.currentProtocol == nil }
            let next = Witness(loop: loop)
            try stage.transport.setProtocol(next)
            #expect(stage.transport.currentProtocol == nil)
            #expect(next.calls == [])
        }
    }
}
