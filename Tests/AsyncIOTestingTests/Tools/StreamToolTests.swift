import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import AsyncIOTesting
import SystemPackage
import Testing

@Suite("Faulty streams")
struct FaultyStreamTests {
    @Test(
        "where nothing is wrong, and where reads are short, it is a stream like all others",
        arguments: StreamScenario.all)
    func conformance(_ scenario: StreamScenario) async throws {
        try await withEventLoop { _ in
            for perRead in [nil, 3] where perRead == nil || !scenario.name.contains("very big") {
                try await scenario.run(bulk: 100_000, from: .first) {
                    let (one, other) = MemoryStream.pair(capacity: 1_000)
                    return (FaultyStream(one), FaultyStream(other, faults: .init(bytesPerRead: perRead)))
                }
            }
        }
    }

    @Test("after so many bytes, reads and writes fail with the error")
    func failure() async throws {
        try await withVirtualTime(options: .test()) { _ async throws in
            let (one, other) = MemoryStream.pair()
            let faulty = FaultyStream(other, faults: .init(failure: .init(after: 5, counting: .read)))
            try await one.write("hello world")
            #expect(try await faulty.read(upTo: 100) == Array("hello".utf8))
            let error = await #expect(throws: IOError.self) { try await faulty.read(upTo: 100) }
            #expect(error?.code == .connectionReset)
            await #expect(throws: IOError.self) { try await faulty.write("x") }
            #expect(faulty.passed.read == 5 && faulty.passed.written == 0)
        }
    }

    @Test("a read that waits hears of a connection that dies of what is written, and of no other change")
    func failureWhileReading() async throws {
        try await withVirtualTime(options: .test()) { time async throws in
            let (one, other) = MemoryStream.pair()
            let faulty = FaultyStream(one, faults: .init(failure: .init(after: 3, counting: .written)))
            let reader = time.loop.spawn { try await faulty.read(upTo: 10) }
            try await time.waitUntilIdle()
            try await faulty.write("ab")
            try await other.write("answer")
            #expect(try await reader.value == Array("answer".utf8))
            let late = time.loop.spawn { try await faulty.read(upTo: 10) }
            try await time.waitUntilIdle()
            try await faulty.write("c")
            let error = await #expect(throws: IOError.self) { try await late.value }
            #expect(error?.code == .connectionReset)
        }
    }

    @Test("a write that crosses the limit arrives up to it")
    func partOfAWrite() async throws {
        try await withVirtualTime(options: .test()) { _ async throws in
            let (one, other) = MemoryStream.pair()
            let faulty = FaultyStream(
                one, faults: .init(failure: .init(after: 3, counting: .written, kind: .error(.ioError))))
            let error = await #expect(throws: IOError.self) { try await faulty.write("abcdef") }
            #expect(error?.code == .ioError)
            #expect(try await other.read(upTo: 100) == Array("abc".utf8))
        }
    }

    @Test("a cut connection is silent: writes vanish, reads wait")
    func cut() async throws {
        try await withVirtualTime(options: .test()) { time async throws in
            let (one, other) = MemoryStream.pair()
            let faulty = FaultyStream(one, faults: .init(failure: .init(after: 2, counting: .written, kind: .cut)))
            try await faulty.write("abcdef")
            try await faulty.write("more")
            #expect(try await other.read(upTo: 100) == Array("ab".utf8))
            try await other.write("answer")
            await #expect(throws: TimeoutError.self) {
                try await withTimeout(.seconds(3_600)) { try await faulty.read(upTo: 10) }
            }
            #expect(time.elapsed == .seconds(3_600))
            // The cable is plugged in again.
            faulty.faults = .init()
            #expect(try await faulty.read(upTo: 10) == Array("answer".utf8))
        }
    }

    @Test("delays take their time, and a peer that accepts no writes lets them wait until it does")
    func delays() async throws {
        try await withVirtualTime(options: .test()) { time async throws in
            let (one, other) = MemoryStream.pair()
            let faulty = FaultyStream(one, faults: .init(delay: .seconds(2), acceptsNoWrites: true))
            let writer = time.loop.spawn { try await faulty.write("late") }
            try await time.advance(by: .seconds(10))
            #expect(other.availableBytes == 0)
            faulty.faults.acceptsNoWrites = false
            try await writer.value
            #expect(other.availableBytes == 4)
            let before = time.elapsed
            try await other.write("x")
            _ = try await faulty.read(upTo: 1)
            #expect(time.elapsed - before == .seconds(2))
        }
    }

    @Test("closing ends a write that nobody accepts")
    func closing() async throws {
        try await withVirtualTime(options: .test()) { time async throws in
            let faulty = FaultyStream(MemoryStream.pair().0, faults: .init(acceptsNoWrites: true))
            let writer = time.loop.spawn { try await faulty.write("never") }
            try await time.waitUntilIdle()
            faulty.close()
            let error = await #expect(throws: IOError.self) { try await writer.value }
            #expect(error?.code == .canceled)
        }
    }
}

@Suite("Lockstep streams")
struct LockstepStreamTests {
    @Test("a write ends when the last of its bytes has been read")
    func lockstep() async throws {
        try await withVirtualTime(options: .test()) { time async throws in
            let (one, other) = LockstepStream.pair()
            let log = Log<String>()
            let writer = time.loop.spawn {
                try await one.write("abc")
                log.add("written")
            }
            try await time.waitUntilIdle()
            for part in ["a", "b", "c"] {
                log.add(String(decoding: try await other.read(upTo: 1) ?? [], as: UTF8.self))
                try await time.waitUntilIdle()
                #expect(log.all.contains("written") == (part == "c"))
            }
            try await writer.value
        }
    }

    @Test("a peer that closes, or a close on this side, ends a write that waits")
    func closing() async throws {
        try await withVirtualTime(options: .test()) { time async throws in
            for (closesPeer, code) in [(true, Errno.brokenPipe), (false, .canceled)] {
                let (one, other) = LockstepStream.pair()
                let writer = time.loop.spawn { try await one.write("abc") }
                try await time.waitUntilIdle()
                if closesPeer { other.close() } else { one.close() }
                let error = await #expect(throws: IOError.self) { try await writer.value }
                #expect(error?.code == code)
            }
        }
    }

    @Test("a second writer is refused while the first one waits for its reader, and so is half-close")
    func rivals() async throws {
        try await withVirtualTime(options: .test()) { time async throws in
            let (one, other) = LockstepStream.pair()
            let writer = time.loop.spawn(name: "first") { try await one.write("abc") }
            try await time.waitUntilIdle()
            let error = await #expect(throws: IOError.self) { try await one.write("x") }
            #expect(error?.code == .resourceBusy && error.map { "\($0)" }?.contains("first") == true)
            await #expect(throws: IOError.self) { try await one.closeWriting() }
            #expect(try await other.read(upTo: 9) == Array("abc".utf8))
            try await writer.value
            try await one.closeWriting()
            #expect(try await other.read(upTo: 9) == nil)
        }
    }

    @Test("cancelled at every await, the bytes that were read are those that were written, in order")
    func cancelled() async throws {
        try await cancelAtEveryAwait(
            setUp: { time in
                let (one, other) = LockstepStream.pair()
                let log = Log<UInt8>()
                time.loop.spawn {
                    while let bytes = try await other.read(upTo: 2) {
                        for byte in bytes { log.add(byte) }
                        try await time.loop.sleep(for: .seconds(1))
                    }
                }
                return (one, log)
            },
            body: { one, _ in
                try await one.write([0, 1, 2])
                try await one.write([3, 4])
                try await one.closeWriting()
            },
            check: { subject, run in
                subject.0.close()
                for _ in 0..<50 { try await EventLoop.current?.sleep(for: .seconds(1)) }
                try expect(subject.1.all == Array(0..<UInt8(subject.1.count)), "\(subject.1.all)")
            })
    }
}

@Suite("Scripted peers")
struct ScriptedPeerTests {
    private func talk(
        _ peer: ScriptedPeer, _ client: @escaping @Sendable (MemoryStream) async throws -> Void
    ) async throws {
        try await withVirtualTime(options: .test()) { time async throws in
            let (one, other) = MemoryStream.pair()
            let task = time.loop.spawn {
                try await client(one)
                one.close()
            }
            defer { task.cancel() }
            try await peer.run(on: other)
            try await task.value
        }
    }

    @Test("a conversation goes as it is written down, in whatever pieces it comes")
    func conversation() async throws {
        let peer = ScriptedPeer(
            .send("220 ready\r\n"), .expect("HELO me\r\n"), .pause(.seconds(5)), .send("250 hello\r\n"), .expectEnd)
        try await talk(peer) { stream in
            let reader = BufferedReader(stream)
            #expect(try await reader.readLine() == "220 ready")
            for byte in Array("HELO me\r\n".utf8) { try await stream.write([byte]) }
            #expect(try await reader.readLine() == "250 hello")
        }
    }

    @Test("what differs is told with the step, the place and both sides")
    func difference() async throws {
        let peer = ScriptedPeer(.expect("HELO me\r\n"), .expect("QUIT\r\n"))
        let error = await #expect(throws: ScriptError.self) {
            try await talk(peer) { try await $0.write("HELO me\r\nQUOT\r\n") }
        }
        #expect(error?.step == 1 && error?.position == 11)
        #expect(
            error.map { "\($0)" }
                == #"step 1 (expect "QUIT\r\n"), at byte 11 of what the script expects: "#
                + #"expected "QUIT\r\n", received "QUOT\r\n""#
        )
    }

    @Test("an end that comes early, and bytes that come instead of the end, are told")
    func ends() async throws {
        let early = await #expect(throws: ScriptError.self) {
            try await talk(ScriptedPeer(.expect("abc"))) { try await $0.write("ab") }
        }
        #expect(early?.cause == "the end came" && early?.position == 2)
        let late = await #expect(throws: ScriptError.self) {
            try await talk(ScriptedPeer(.expect("a"), .expectEnd)) { try await $0.write("ab") }
        }
        #expect(late?.received == [UInt8(ascii: "b")])
    }

    @Test("a reset is seen by the other side")
    func reset() async throws {
        try await talk(ScriptedPeer(.expect("x"), .reset)) { stream in
            try await stream.write("x")
            let error = await #expect(throws: IOError.self) { try await stream.read(upTo: 1) }
            #expect(error?.code == .connectionReset)
        }
    }
}
