import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import SystemPackage
import Testing

@Suite("A stream in memory")
struct MemoryStreamTests {
    @Test("holds as many bytes as its capacity, each way, and not one more")
    func capacity() throws {
        let (one, other) = MemoryStream.pair(capacity: 1_000)
        for (from, to) in [(one, other), (other, one)] {
            #expect(try unsafe from.tryWrite([UInt8](repeating: 1, count: 600).span.bytes) == 600)
            #expect(try unsafe from.tryWrite([UInt8](repeating: 2, count: 600).span.bytes) == 400)
            #expect(try unsafe from.tryWrite([3 as UInt8].span.bytes) == 0)
            #expect(to.availableBytes == 1_000)
        }
    }

    @Test("says at once that the peer has closed, or broken off, and each time")
    func peerHasGone() async throws {
        let (one, other) = MemoryStream.pair(name: "line")
        try await other.write("last words")
        other.close()
        for _ in 0..<2 {
            let error = await #expect(throws: IOError.self) { try await one.write("hello?") }
            #expect(error?.code == .brokenPipe && error?.subject == "line a")
            #expect(throws: IOError.self) { try unsafe one.tryWrite([1 as UInt8].span.bytes) }
        }
        #expect(try await one.read() == Array("last words".utf8))
        #expect(try await one.read() == nil)

        let (third, fourth) = MemoryStream.pair()
        try await fourth.write("dropped")
        fourth.abort()
        for _ in 0..<2 {
            for call in 0..<4 {
                let error = await #expect(throws: IOError.self) {
                    switch call {
                    case 0: _ = try await third.read()
                    case 1: try await third.write("no")
                    case 2: _ = try unsafe third.tryWrite([1 as UInt8].span.bytes)
                    default: try await third.closeWriting()
                    }
                }
                #expect(error?.code == .connectionReset)
            }
        }
    }

    @Test("ends what waits at both ends, on whatever thread, when one of them goes")
    func waitersEnd() async throws {
        for isAborted in [false, true] {
            let (one, other) = MemoryStream.pair(capacity: 10)
            let tasks = [one, other].flatMap { end in
                [Task { _ = try await end.read() }, Task { try await end.write([UInt8](repeating: 1, count: 100)) }]
            }
            // Both readers have had something, so that both writers wait, and read again.
            for _ in 0..<50 { await Task.yield() }
            if isAborted { one.abort() } else { one.close() }
            for task in tasks { _ = await task.result }
            #expect(other.availableBytes == 0 || !isAborted)
        }
    }

    @Test("names the task that is in the way, by name and number", arguments: Setting.virtual)
    func busy(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (one, other) = MemoryStream.pair()
            let first = Task(name: "lark", executorPreference: loop) { try await one.read() }
            await EventLoop.yield()
            let error = await #expect(throws: IOError.self) { try await one.read() }
            #expect(error?.code == .resourceBusy)
            #expect("\(error.map { "\($0)" } ?? "")".contains(#" "lark" is at it already"#))
            try await other.write("x")
            #expect(try await first.value == [120])
        }
    }

    @Test(
        "closed between the coming of bytes and its reader's next turn, it says that it was closed meanwhile",
        arguments: Setting.virtual)
    func closedMeanwhile(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (one, other) = MemoryStream.pair()
            let reader = Task(executorPreference: loop) { try await one.read() }
            await EventLoop.yield()
            #expect(try unsafe other.tryWrite([1 as UInt8].span.bytes) == 1)
            one.close()
            let error = await #expect(throws: IOError.self) { try await reader.value }
            #expect(error?.code == .canceled)
        }
    }

    @Test("carries bytes between threads, loops and tasks outside of loops")
    func acrossThreads() async throws {
        let (one, other) = MemoryStream.pair(capacity: 777)
        let total = Stress.isOn ? 64 << 20 : 2 << 20
        let (near, far) = (try LoopThread(options: .guest(name: "near")), try LoopThread(options: .guest(name: "far")))
        let echo = Task.detached(executorPreference: far.loop) { try await copy(from: other, to: other) }
        let writer = Task.detached(executorPreference: near.loop) {
            var random = Randomness()
            var sent = 0
            while sent < total {
                let count = min(Int.random(in: 1...5_000, using: &random), total - sent)
                try await one.write((sent..<sent + count).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) })
                sent += count
            }
            try await one.closeWriting()
        }
        var received = 0
        while received < total, let bytes = try await one.read(upTo: 3_000) {
            let isRight = bytes.enumerated().allSatisfy { $1 == UInt8(truncatingIfNeeded: (received + $0) &* 31 >> 3) }
            #expect(isRight, "after \(received) bytes")
            received += bytes.count
        }
        try await writer.value
        #expect(try await echo.value == total)
        await near.shutdown()
        await far.shutdown()
    }
}
