import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import SystemPackage
import Testing

@Suite("Copying from stream to stream")
struct CopyTests {
    /// Two connections with something between them: the ends that are left and right of it, and those that it holds.
    private struct Line {
        let left, near, far, right: MemoryStream

        init() {
            (left, near) = MemoryStream.pair(capacity: 100)
            (far, right) = MemoryStream.pair(capacity: 100)
        }
    }

    @Test("goes to the end, counts, and leaves both streams open")
    func oneWay() async throws {
        let line = Line()
        let sent = Bytes.pattern(10_000)
        let writing = Task {
            try await line.left.write(sent)
            try await line.left.closeWriting()
        }
        let copying = Task { try await copy(from: line.near, to: line.far) }
        let reader = BufferedReader(line.right)
        #expect(try await reader.read(exactly: 10_000) == sent)
        #expect(try await copying.value == 10_000)
        try await writing.value
        try await line.far.write("more")
        #expect(try await reader.read(exactly: 4) == Array("more".utf8))
        try await line.near.write("back")
        #expect(try await line.left.read() == Array("back".utf8))
    }

    @Test("reads nothing while the destination takes nothing", arguments: Setting.timeless)
    func backpressure(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let line = Line()
            let copying = loop.spawn { try await copy(from: line.near, to: line.far) }
            let written = Counter()
            let writing = loop.spawn {
                while true {
                    try await line.left.write([UInt8](repeating: 1, count: 10))
                    written.add(10)
                }
            }
            try await loop.sleep(for: .seconds(1))
            // The two connections' capacity, and one read.
            #expect((200...300).contains(written.value))
            copying.cancel()
            await #expect(throws: CancellationError.self) { try await copying.value }
            writing.cancel()
        }
    }

    @Test("both ways: the end of one direction is a half-close, and the other one goes on")
    func halfClose() async throws {
        let line = Line()
        let copying = Task { try await copyBidirectional(line.near, line.far) }
        try await line.left.write("question")
        try await line.left.closeWriting()
        #expect(try await line.right.readToEnd() == Array("question".utf8))
        let answer = Bytes.pattern(5_000)
        let answering = Task {
            try await line.right.write(answer)
            try await line.right.closeWriting()
        }
        #expect(try await line.left.readToEnd() == answer)
        try await answering.value
        #expect(try await copying.value == BidirectionalCount(forward: 8, backward: 5_000))
    }

    @Test("both ways: an error in one direction breaks both streams off", arguments: [true, false])
    func error(isLeft: Bool) async throws {
        let line = Line()
        let copying = Task { try await copyBidirectional(line.near, line.far) }
        try await line.left.write("hello")
        #expect(try await line.right.read() == Array("hello".utf8))
        (isLeft ? line.left : line.right).abort()
        let error = await #expect(throws: IOError.self) { try await copying.value }
        #expect(error?.code == .connectionReset)
        let seen = await #expect(throws: IOError.self) { try await (isLeft ? line.right : line.left).read() }
        #expect(seen?.code == .connectionReset)
    }

    @Test("both ways: cancelled, it breaks both streams off")
    func cancelled() async throws {
        let line = Line()
        let copying = Task { try await copyBidirectional(line.near, line.far) }
        try await line.left.write("hello")
        #expect(try await line.right.read() == Array("hello".utf8))
        copying.cancel()
        await #expect(throws: CancellationError.self) { try await copying.value }
        for end in [line.left, line.right] {
            let seen = await #expect(throws: IOError.self) { try await end.read() }
            #expect(seen?.code == .connectionReset)
        }
    }

    @Test(
        "both ways: silence for longer than the idle timeout ends it, and each byte starts the time again",
        arguments: Setting.timeless)
    func idle(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let line = Line()
            let begin = loop.now
            let copying = loop.spawn {
                try await copyBidirectional(line.near, line.far, idleTimeout: .seconds(10))
            }
            for end in [line.left, line.right, line.left] {
                try await loop.sleep(for: .seconds(9))
                try await end.write([1])
            }
            let error = await #expect(throws: IOError.self) { try await copying.value }
            #expect(error?.code == .timedOut)
            // The clock is looked at four times as often as it would have to be.
            #expect((.seconds(37) ... .seconds(39.5)).contains(begin.duration(to: loop.now)))
            // What was delivered before the break is dropped with the stream.
            await #expect(throws: IOError.self) { try await line.right.read() }
        }
    }

    @Test("an idle timeout does not end what has ended by itself", arguments: Setting.timeless)
    func idleAndDone(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let line = Line()
            try await line.left.closeWriting()
            try await line.right.closeWriting()
            let begin = loop.now
            let count = try await copyBidirectional(line.near, line.far, idleTimeout: .seconds(10))
            #expect(count == BidirectionalCount(forward: 0, backward: 0) && begin == loop.now)
        }
    }

    @Test("through sockets, a flood takes the kernel's path, and every byte arrives", arguments: Setting.all)
    func sockets(setting: Setting) async throws {
        try await withLoop(setting, limit: .seconds(60)) { loop in
            let (left, near) = try await UnixStream.pair(on: loop)
            let connection = try await Connection(on: loop)
            let sent = Bytes.pattern(6 << 20)
            let copying = Task { try await copyBidirectional(near, connection.client, idleTimeout: .seconds(50)) }
            let writing = Task {
                try await left.write(sent)
                try await left.closeWriting()
            }
            #expect(try await connection.server.readToEnd() == sent)
            try await writing.value
            try await connection.server.write("done")
            connection.server.close()
            #expect(try await left.readToEnd() == Array("done".utf8))
            #expect(try await copying.value == BidirectionalCount(forward: sent.count, backward: 4))
        }
    }
}
