import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTransports
import Testing

@Suite("Transports over pairs in memory")
struct MemoryTransportTests {
    @Test("a conversation, with half-closes both ways", arguments: Setting.everywhere)
    func conversation(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (left, right) = MemoryStream.pair()
            let answerer = Witness(
                loop: loop,
                Script(eof: { transport in
                    transport.write("answer")
                    return false
                }))
            let asker = Witness(
                loop: loop,
                Script(made: { transport in
                    transport.write("question")
                    transport.writeEOF()
                }))
            try await loop.attach(left, to: answerer)
            try await loop.attach(right, to: asker)
            await answerer.isLost.pass()
            await asker.isLost.pass()
            expectCalls([.made, .data(8), .eof, .lost(nil)], of: answerer)
            expectCalls([.made, .data(6), .eof, .lost(nil)], of: asker)
        }
    }

    @Test("a pair that holds one byte carries everything", arguments: Setting.everywhere)
    func narrow(_ setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (left, right) = MemoryStream.pair(capacity: 1)
            let all = Bytes.pattern(2_000)
            let reader = Witness(loop: loop)
            let writer = Witness(
                loop: loop,
                Script(made: { transport in
                    try transport.setWriteBufferLimits(high: 100)
                    transport.write(all)
                    transport.close()
                }))
            try await loop.attach(left, to: reader)
            try await loop.attach(right, to: writer)
            await reader.isLost.pass()
            await writer.isLost.pass()
            #expect(reader.received == all)
            expectCalls([.made, .pause, .resume, .lost(nil)], of: writer)
            expectCalls([.made, .data(2_000), .eof, .lost(nil)], of: reader)
        }
    }
}
