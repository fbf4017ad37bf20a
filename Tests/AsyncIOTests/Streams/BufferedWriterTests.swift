import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import SystemPackage
import Testing

@Suite("A buffered writer")
struct BufferedWriterTests {
    @Test("sends the small writes of one tick together, at its end, without a flush", arguments: Setting.timeless)
    func oneCallForATick(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (stream, peer) = MemoryStream.pair()
            let tap = TapStream(stream)
            let writer = BufferedWriter(tap)
            try await withThrowingTaskGroup { group in
                for number in 0..<20 {
                    group.addTask {
                        for _ in 0..<5 { try await writer.write("\(number % 10)") }
                    }
                }
                try await group.waitForAll()
            }
            await until { peer.availableBytes == 100 }
            #expect(tap.calls == [.tryWrite(100)])
            try await writer.write("next")
            #expect(writer.bufferedCount == 4)
            await until { writer.bufferedCount == 0 }
            #expect(tap.calls == [.tryWrite(100), .tryWrite(4)])
        }
    }

    @Test("sends without a flush where no loop runs, too")
    func outsideOfLoops() async throws {
        let (stream, peer) = MemoryStream.pair(capacity: 10)
        let writer = BufferedWriter(stream)
        async let received = peer.readToEnd()
        for number in 0..<1_000 { try await writer.write("\(number) ") }
        try await writer.close()
        #expect(try await received == Array((0..<1_000).map { "\($0) " }.joined().utf8))
    }

    @Test("writes texts, bytes, chunks and numbers, and nothing for nothing", arguments: Setting.all)
    func kinds(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (stream, peer) = MemoryStream.pair()
            let writer = BufferedWriter(stream)
            try await writer.write("")
            try await writer.write([])
            try await writer.write(contentsOf: [[], []])
            try await writer.flush()
            try await writer.write("é")
            try await writer.write([1, 2])
            try await writer.write(contentsOf: [[3], [], [4, 5]])
            try await writer.writeInteger(UInt16(0x0607))
            try await writer.writeInteger(UInt32(8), .little)
            try await writer.flush()
            #expect(writer.bufferedCount == 0)
            try await writer.close()
            #expect(try await peer.readToEnd() == [0xc3, 0xa9, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0])
        }
    }

    @Test(
        "suspends a write above the high-water mark, until no more than the low-water mark is left",
        arguments: Setting.timeless)
    func waterMarks(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (stream, peer) = MemoryStream.pair(capacity: 10)
            let writer = BufferedWriter(stream, highWater: 100, lowWater: 20)
            try await writer.write([UInt8](repeating: 1, count: 10))
            try await writer.flush()
            // The stream is full now.
            try await writer.write([UInt8](repeating: 2, count: 60))
            try await writer.write([UInt8](repeating: 3, count: 40))
            #expect(writer.bufferedCount == 100)
            let third = loop.spawn { try await writer.write([4]) }
            await loop.settle()
            let fourth = loop.spawn { try await writer.write([5]) }
            await loop.settle()
            let isThrough = Counter()
            Task.detached(executorPreference: loop) {
                try await third.value
                isThrough.add()
                try await fourth.value
                isThrough.add()
            }
            var received = 0
            while received < 110 - 21 {
                received += try #require(try await peer.read(upTo: 1)).count
                await loop.settle()
                #expect(writer.bufferedCount <= 100)
                if writer.bufferedCount > 20 { #expect(isThrough.value == 0, "after \(received) bytes") }
            }
            while received < 100 { received += try #require(try await peer.read(upTo: 1)).count }
            await until { isThrough.value == 2 }
            async let closing: Void = writer.closeWriting()
            #expect(try await peer.readToEnd().suffix(2) == [4, 5])
            try await closing
        }
    }

    @Test(
        "lets nobody in between the marks: a write that waits goes on at the low-water mark, not before",
        arguments: Setting.timeless)
    func lowWaterMark(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (stream, peer) = MemoryStream.pair(capacity: 10)
            let writer = BufferedWriter(stream, highWater: 100, lowWater: 20)
            try await writer.write([UInt8](repeating: 1, count: 10))
            try await writer.flush()
            // One batch is on its way, and another one stands behind it.
            try await writer.write([UInt8](repeating: 2, count: 60))
            await loop.settle()
            try await writer.write([UInt8](repeating: 3, count: 40))
            let isThrough = Gate()
            let waiting = loop.spawn {
                try await writer.write([UInt8](repeating: 4, count: 30))
                isThrough.open()
            }
            await loop.settle()
            let reader = BufferedReader(peer, readSize: 1)
            _ = try await reader.read(exactly: 60)
            await loop.settle()
            #expect(writer.bufferedCount == 40 && !isThrough.isOpen)
            _ = try await reader.read(exactly: 40)
            try await waiting.value
            #expect(writer.bufferedCount <= 30)
            writer.abort()
        }
    }

    @Test("sends a message that is larger than the buffer from where it is, in its turn", arguments: Setting.timeless)
    func largeMessage(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (stream, peer) = MemoryStream.pair(capacity: 10)
            let tap = TapStream(stream)
            let writer = BufferedWriter(tap, highWater: 100)
            let large = Bytes.pattern(1_000)
            let work = loop.spawn {
                try await writer.write("before")
                try await writer.write(large)
                try await writer.write("after")
                try await writer.close()
            }
            #expect(try await peer.readToEnd() == Array("before".utf8) + large + Array("after".utf8))
            try await work.value
            #expect(tap.calls.contains(.write(1_000)))
        }
    }

    @Test("keeps messages of any size whole and those of each task in order, whoever is cancelled")
    func wholeMessages() async throws {
        for round in 0..<(Stress.isOn ? 100 : 10) {
            var random = Randomness()
            let note = random.note
            let (stream, peer) = MemoryStream.pair(capacity: 500)
            let writer = BufferedWriter(stream, highWater: 200)
            let accepted = Log<Int>()
            async let received = peer.readToEnd()
            let tasks = (0..<8).map { number in
                let seed = random.next()
                return Task {
                    var random = Randomness(seed: seed)
                    for message in 0..<60 {
                        // A message is its length, its number, and so many bytes; some are larger than the buffer.
                        let isLarge = message % 20 == 19 && round % 2 == 0
                        let count = isLarge ? 300 : Int.random(in: 0...90, using: &random)
                        var bytes = UInt16(count).bytes(.big) + UInt16(number * 1_000 + message).bytes(.big)
                        bytes += [UInt8](repeating: UInt8(number), count: count)
                        if message % 7 == 0 {
                            if try writer.tryWrite(bytes) { accepted.add(number * 1_000 + message) }
                        } else {
                            try await writer.write(bytes)
                            accepted.add(number * 1_000 + message)
                        }
                        if message % 9 == 0 { try await writer.flush() }
                    }
                }
            }
            // Large ones are not cancelled: that would end it all.
            if round % 2 == 1 {
                for task in tasks.prefix(4) {
                    for _ in 0..<Int.random(in: 0...20, using: &random) { await Task.yield() }
                    task.cancel()
                }
            }
            for task in tasks { _ = await task.result }
            try await writer.close()
            let numbers = try Self.numbers(in: try await received)
            #expect(numbers.sorted() == accepted.all.sorted(), "\(note)")
            for number in 0..<8 {
                let own = numbers.filter { $0 / 1_000 == number }
                #expect(own == own.sorted(), "\(note)")
            }
        }
    }

    private static func numbers(in bytes: [UInt8]) throws -> [Int] {
        var bytes = ReceivedBytes(bytes)
        var numbers: [Int] = []
        while let count = bytes.takeInteger(UInt16.self) {
            let number = Int(bytes.takeInteger(UInt16.self) ?? .max)
            let content = bytes.take(exactly: Int(count)) ?? []
            #expect(content.count == count)
            #expect(content.allSatisfy { $0 == UInt8(number / 1_000) })
            numbers.append(number)
        }
        #expect(bytes.isEmpty)
        return numbers
    }

    @Test("takes a message now or not at all with tryWrite", arguments: Setting.timeless)
    func tryWrite(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (stream, peer) = MemoryStream.pair(capacity: 1)
            let writer = BufferedWriter(stream, highWater: 10)
            #expect(try writer.tryWrite([]))
            #expect(try writer.tryWrite([UInt8](repeating: 1, count: 8)))
            #expect(try !writer.tryWrite([1, 2, 3]))
            #expect(try writer.tryWrite([1, 2]))
            #expect(try !writer.tryWrite([UInt8](repeating: 1, count: 11)))
            async let closing: Void = writer.closeWriting()
            #expect(try await peer.readToEnd().count == 10)
            try await closing
            let error = #expect(throws: IOError.self) { try writer.tryWrite([1]) }
            #expect(error?.code == .brokenPipe)
        }
    }

    @Test("costs one message one call, also when it is flushed at once", arguments: Setting.timeless)
    func flushAtOnce(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (stream, peer) = MemoryStream.pair()
            let tap = TapStream(stream)
            let writer = BufferedWriter(tap)
            for _ in 0..<3 {
                try await writer.write("ping")
                try await writer.flush()
                #expect(writer.bufferedCount == 0)
            }
            for _ in 0..<3 { await EventLoop.yield() }
            #expect(tap.calls == [.tryWrite(4), .tryWrite(4), .tryWrite(4)] && peer.availableBytes == 12)
        }
    }
}
