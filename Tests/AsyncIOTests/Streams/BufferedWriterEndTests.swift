import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import SystemPackage
import Testing

@testable import AsyncIOLoop

@Suite("The end of a buffered writer")
struct BufferedWriterEndTests {
    @Test(
        "a write that is cancelled while it waits has written nothing, and those behind it go on",
        arguments: Setting.timeless)
    func cancelledWrite(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (stream, peer) = MemoryStream.pair(capacity: 4)
            let writer = BufferedWriter(stream, highWater: 10, lowWater: 10)
            try await writer.write("full")
            try await writer.flush()
            try await writer.write("012345")
            let first = loop.spawn { try await writer.write("never!") }
            await loop.settle()
            let second = loop.spawn { try await writer.write("end") }
            await loop.settle()
            #expect(writer.bufferedCount == 6)
            first.cancel()
            await #expect(throws: CancellationError.self) { try await first.value }
            // It was in the way of the second, for which there is room.
            try await second.value
            #expect(writer.bufferedCount == 9)
            async let closing: Void = writer.closeWriting()
            #expect(try await peer.readToEnd() == Array("full012345end".utf8))
            try await closing
        }
    }

    @Test("a flush that is cancelled does not keep the bytes from being sent", arguments: Setting.timeless)
    func cancelledFlush(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (stream, peer) = MemoryStream.pair(capacity: 4)
            let writer = BufferedWriter(stream)
            try await writer.write("0123456789")
            let flush = loop.spawn { try await writer.flush() }
            let closing = loop.spawn { try await writer.closeWriting() }
            await loop.settle()
            flush.cancel()
            closing.cancel()
            await #expect(throws: CancellationError.self) { try await flush.value }
            await #expect(throws: CancellationError.self) { try await closing.value }
            #expect(try await peer.read(upTo: 3) == Array("012".utf8))
            // Again, and to the end this time.
            async let again: Void = writer.closeWriting()
            #expect(try await peer.readToEnd() == Array("3456789".utf8))
            try await again
        }
    }

    @Test("half-close sends everything first, also what waits for room", arguments: Setting.timeless)
    func closeWriting(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (stream, peer) = MemoryStream.pair(capacity: 4)
            let writer = BufferedWriter(stream, highWater: 10)
            let messages = (0..<50).map { "message \($0) " }
            var work: [BackgroundTask<Void>] = []
            for message in messages {
                work.append(loop.spawn { try await writer.write(message) })
                await loop.settle()
            }
            let closing = loop.spawn { try await writer.closeWriting() }
            await loop.settle()
            let late = await #expect(throws: IOError.self) { try await writer.write("late") }
            #expect(late?.code == .brokenPipe)
            #expect(try await peer.readToEnd() == Array(messages.joined().utf8))
            try await closing.value
            for task in work { try await task.value }
            // Reading goes on, and closing as well.
            try await peer.write("yes")
            #expect(try await stream.read() == Array("yes".utf8))
            try await writer.closeWriting()
            try await writer.close()
        }
    }

    @Test(
        "close sends everything; after it, writing says that it is closed, and closing does nothing",
        arguments: Setting.timeless)
    func close(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (stream, peer) = MemoryStream.pair(capacity: 4)
            let writer = BufferedWriter(stream)
            try await writer.write("0123456789")
            async let received = peer.readToEnd()
            try await writer.close()
            #expect(try await received.count == 10)
            let error = await #expect(throws: IOError.self) { try await writer.write("late") }
            #expect(error?.code == .badFileDescriptor)
            #expect(throws: IOError.self) { try writer.tryWrite([1]) }
            try await writer.close()
            writer.abort()
        }
    }

    @Test("close of a peer that never reads waits, and a limit on it breaks off", arguments: Setting.timeless)
    func closeWithLimit(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (stream, peer) = MemoryStream.pair(capacity: 4)
            let writer = BufferedWriter(stream)
            try await writer.write("0123456789")
            await #expect(throws: TimeoutError.self) {
                try await withTimeout(.seconds(3)) { try await writer.close() }
            }
            let error = await #expect(throws: IOError.self) { try await peer.read() }
            #expect(error?.code == .connectionReset)
        }
    }

    @Test("a failure to send is thrown at the next call, and at each one after", arguments: Setting.timeless)
    func laterError(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            for way in 0..<4 {
                let (stream, peer) = MemoryStream.pair()
                let writer = BufferedWriter(stream)
                peer.close()
                try await writer.write("into the void")
                for _ in 0..<3 { await EventLoop.yield() }
                #expect(writer.bufferedCount == 13, "what was not sent stays counted")
                for _ in 0..<2 {
                    let error = await #expect(throws: IOError.self) {
                        switch way {
                        case 0: try await writer.write("more")
                        case 1: try await writer.flush()
                        case 2: try await writer.closeWriting()
                        default: _ = try writer.tryWrite([1])
                        }
                    }
                    #expect(error?.code == .brokenPipe)
                }
                let error = await #expect(throws: IOError.self) { try await writer.close() }
                #expect(error?.code == .brokenPipe)
                let closed = await #expect(throws: IOError.self) { try await stream.read() }
                #expect(closed?.code == .badFileDescriptor, "the stream is closed in any case")
            }
        }
    }

    @Test("everybody who waits hears of a failure to send", arguments: Setting.timeless)
    func errorForAll(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (stream, peer) = MemoryStream.pair(capacity: 4)
            let writer = BufferedWriter(stream, highWater: 10)
            try await writer.write("0123456789")
            await loop.settle()
            try await writer.write("full")
            let waiting = [
                loop.spawn { try await writer.write("more") }, loop.spawn { try await writer.flush() },
                loop.spawn { try await writer.write([UInt8](repeating: 1, count: 100)) },
            ]
            await loop.settle()
            let closing = loop.spawn { try await writer.closeWriting() }
            await loop.settle()
            peer.abort()
            for task in waiting + [closing] {
                let error = await #expect(throws: IOError.self) { try await task.value }
                #expect(error?.code == .connectionReset)
            }
        }
    }

    @Test("a failure that nobody asks for goes to the loop's error handler", arguments: Setting.timeless)
    func reportedError(setting: Setting) async throws {
        let errors = Errors()
        try await withVirtualTime(setting, errors: errors) { loop async throws in
            for isAsked in [false, true] {
                let (stream, peer) = MemoryStream.pair(name: isAsked ? "asked" : "unasked")
                let writer = BufferedWriter(stream)
                peer.close()
                try await writer.write("into the void")
                for _ in 0..<3 { await EventLoop.yield() }
                if isAsked { await #expect(throws: IOError.self) { try await writer.flush() } }
            }
            for _ in 0..<3 { await EventLoop.yield() }
        }
        #expect(errors.all.count == 1)
        #expect((errors.all.first?.error as? IOError)?.code == .brokenPipe)
        #expect(errors.contexts == ["BufferedWriter(MemoryStream(unasked a))"])
    }

    @Test("a large message that is cancelled halfway makes the writer fail, and says why", arguments: Setting.timeless)
    func largeCancelled(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (stream, peer) = MemoryStream.pair(capacity: 4)
            let writer = BufferedWriter(stream, highWater: 10)
            let large = loop.spawn { try await writer.write([UInt8](repeating: 1, count: 100)) }
            #expect(try await peer.read(upTo: 2) == [1, 1])
            large.cancel()
            await #expect(throws: CancellationError.self) { try await large.value }
            let error = await #expect(throws: IOError.self) { try await writer.write("next") }
            #expect(error?.code == .canceled && error?.detail?.contains("100 bytes was cancelled halfway") == true)
        }
    }

    @Test("abort drops what was not sent, and ends those who wait", arguments: Setting.timeless)
    func abort(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (stream, peer) = MemoryStream.pair(capacity: 4)
            let writer = BufferedWriter(stream)
            try await writer.write("0123456789")
            let flush = loop.spawn { try await writer.flush() }
            await loop.settle()
            writer.abort()
            let error = await #expect(throws: IOError.self) { try await flush.value }
            #expect(error?.code == .canceled)
            let reset = await #expect(throws: IOError.self) { try await peer.read() }
            #expect(reset?.code == .connectionReset)
        }
    }

    @Test("what is written while a loop ends, and cannot be sent at once, still has a sender", arguments: [4, 100])
    func loopEnds(capacity: Int) async throws {
        try await Watchdog.watch("a writer's loop ends", limit: .seconds(100)) {
            let thread = try LoopThread(options: .guest(name: "brief"))
            let (stream, peer) = MemoryStream.pair(capacity: capacity)
            let writer = BufferedWriter(stream)
            let hasBegun = Gate()
            let task = thread.loop.submit {
                hasBegun.open()
                try? await thread.loop.sleep(for: .seconds(1_000))
                // The loop takes no further task now.
                return try writer.tryWrite(Array("0123456789".utf8))
            }
            await hasBegun.pass()
            await thread.shutdown()
            #expect(try await task.value)
            async let received = peer.readToEnd()
            try await writer.close()
            #expect(try await received == Array("0123456789".utf8))
        }
    }

    @Test("the last words of a loop that turns no more are sent elsewhere")
    func discarded() async throws {
        try await Watchdog.onThread("a writer's loop is gone", limit: .seconds(100)) {
            let (stream, peer) = MemoryStream.pair(capacity: 100)
            let writer = BufferedWriter(stream)
            let loop = try EventLoop(options: .guest(name: "gone"))
            loop.enter()
            #expect(try writer.tryWrite(Array("last words".utf8)))
            loop.leave()
            loop.discard()
            let received = try EventLoop.run(options: .guest()) { try await peer.read() }
            #expect(received == Array("last words".utf8))
        }
    }
}
