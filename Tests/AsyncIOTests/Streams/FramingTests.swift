import AsyncIO
import AsyncIOTestSupport
import Testing

/// A framing that somebody else might write: netstrings, `5:hello,` (https://cr.yp.to/proto/netstrings.txt).
struct Netstrings: FrameCodec {
    let limit: Int

    func decode(_ input: inout ReceivedBytes) throws -> [UInt8]? {
        var length = 0
        for index in 0..<input.count {
            switch input[index] {
            case 0x30...0x39 where length < limit: length = length * 10 + Int(input[index] - 0x30)
            case 0x3a where index > 0:
                guard input.count >= index + length + 2 else { return nil }
                guard input[index + 1 + length] == 0x2c else { throw FrameError("no comma after the string") }
                input.skip(index + 1)
                defer { input.skip(1) }
                return input.take(exactly: length)
            default: throw FrameError("no netstring")
            }
        }
        return nil
    }

    func encode(_ frame: [UInt8], into output: inout [UInt8]) throws {
        output += Array("\(frame.count):".utf8) + frame + [0x2c]
    }
}

@Suite("Framing")
struct FramingTests {
    /// All frames in some bytes, fed in pieces of random sizes, as whoever has bytes and no stream would.
    private static func frames<Decoder: FrameDecoder>(
        _ bytes: [UInt8], _ decoder: Decoder, _ random: inout Randomness
    ) throws -> [Decoder.Frame] {
        var (decoder, input, frames) = (decoder, ReceivedBytes(), [Decoder.Frame]())
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(Int.random(in: 1...5, using: &random))
            rest = rest.dropFirst(piece.count)
            input.append(Array(piece))
            while let frame = try decoder.decode(&input) { frames.append(frame) }
        }
        if let frame = try decoder.decodeLast(&input) { frames.append(frame) }
        return frames
    }

    private static func bytes<Encoder: FrameEncoder>(_ frames: [Encoder.Frame], _ encoder: Encoder) throws -> [UInt8] {
        var bytes: [UInt8] = []
        for frame in frames { try encoder.encode(frame, into: &bytes) }
        return bytes
    }

    @Test("gives back what was put in, however the bytes are cut")
    func roundTrips() throws {
        var random = Randomness()
        let note = random.note
        for _ in 0..<(Stress.isOn ? 100 : 8) {
            let frames = (0..<20).map { _ in
                // No comma, so that it can be a delimiter.
                (0..<Int.random(in: 0...40, using: &random)).map { _ in UInt8.random(in: 48...255, using: &random) }
            }
            for width in 1...8 {
                for order in [ByteOrder.big, .little] {
                    for counting in [LengthPrefixFraming.Counting.payload, .prefixAndPayload] {
                        let framing = LengthPrefixFraming(width: width, order, counting: counting)
                        let bytes = try Self.bytes(frames, framing)
                        #expect(try Self.frames(bytes, framing, &random) == frames, "\(note)")
                    }
                }
            }
            for framing in [DelimiterFraming([0x2c]), DelimiterFraming(Array(",,end".utf8))] {
                let bytes = try Self.bytes(frames, framing)
                #expect(try Self.frames(bytes, framing, &random) == frames, "\(note)")
            }
            let netstrings = Netstrings(limit: 1_000)
            #expect(try Self.frames(Self.bytes(frames, netstrings), netstrings, &random) == frames, "\(note)")
            let lines = frames.map { String(decoding: $0, as: UTF8.self) }
            for ending in [LineFraming.Ending.lineFeed, .carriageReturnLineFeed] {
                let framing = LineFraming(ending: ending, invalid: .reject)
                #expect(try Self.frames(Self.bytes(lines, framing), framing, &random) == lines, "\(note)")
            }
        }
    }

    @Test("writes the bytes that others expect")
    func layouts() throws {
        let hello = Array("hello".utf8)
        #expect(try Self.bytes([hello], LengthPrefixFraming(width: 1)) == [5] + hello)
        #expect(try Self.bytes([hello], LengthPrefixFraming(width: 2)) == [0, 5] + hello)
        #expect(try Self.bytes([hello], LengthPrefixFraming(width: 3, .little)) == [5, 0, 0] + hello)
        #expect(try Self.bytes([hello], LengthPrefixFraming(counting: .prefixAndPayload)) == [0, 0, 0, 9] + hello)
        #expect(try Self.bytes([hello], Netstrings(limit: 10)) == Array("5:hello,".utf8))
        #expect(try Self.bytes(["hello"], LineFraming(ending: .carriageReturnLineFeed)) == hello + [13, 10])
    }

    @Test("refuses lengths that are too large as soon as they are seen, and impossible ones")
    func lengths() throws {
        var input = ReceivedBytes([0, 0, 0, 11])
        let error = #expect(throws: TooLongError.self) { try LengthPrefixFraming(limit: 10).decode(&input) }
        #expect(error?.limit == 10 && error?.length == 11)
        #expect(try LengthPrefixFraming(limit: 11).decode(&input) == nil)
        for bytes in [[UInt8](repeating: 255, count: 8), [127] + [UInt8](repeating: 255, count: 7)] {
            var huge = ReceivedBytes(bytes)
            #expect(throws: TooLongError.self) { try LengthPrefixFraming(width: 8, limit: .max).decode(&huge) }
        }
        var impossible = ReceivedBytes([0, 1])
        #expect(throws: FrameError.self) {
            try LengthPrefixFraming(width: 2, counting: .prefixAndPayload).decode(&impossible)
        }
        var empty = ReceivedBytes([0, 2])
        #expect(try LengthPrefixFraming(width: 2, counting: .prefixAndPayload).decode(&empty) == [])
    }

    @Test("refuses to send what would be something else at the other side")
    func unsendable() throws {
        func encode<Encoder: FrameEncoder>(_ frame: Encoder.Frame, _ encoder: Encoder) throws {
            var output: [UInt8] = [1]
            do { try encoder.encode(frame, into: &output) } catch {
                #expect(output == [1], "nothing is appended")
                throw error
            }
        }
        #expect(throws: TooLongError.self) {
            try encode([UInt8](repeating: 1, count: 256), LengthPrefixFraming(width: 1))
        }
        try encode([UInt8](repeating: 1, count: 255), LengthPrefixFraming(width: 1))
        #expect(throws: TooLongError.self) {
            try encode([UInt8](repeating: 1, count: 255), LengthPrefixFraming(width: 1, counting: .prefixAndPayload))
        }
        #expect(throws: TooLongError.self) { try encode([1, 2, 3], LengthPrefixFraming(limit: 2)) }
        #expect(throws: FrameError.self) { try encode("two\nlines", LineFraming()) }
        #expect(throws: FrameError.self) { try encode("odd end\r", LineFraming()) }
        try encode("odd end\r", LineFraming(ending: .carriageReturnLineFeed))
        #expect(throws: TooLongError.self) { try encode("long", LineFraming(limit: 3)) }
        #expect(throws: FrameError.self) { try encode(Array("a--b".utf8), DelimiterFraming(Array("--".utf8))) }
        // The delimiter would begin with the frame's last byte.
        #expect(throws: FrameError.self) { try encode(Array("a-".utf8), DelimiterFraming(Array("--".utf8))) }
    }

    @Test("on a stream: requests and answers, and the end")
    func stream() async throws {
        let (near, far) = MemoryStream.pair(capacity: 10)
        let server = Task {
            let framed = FramedStream(far, Netstrings(limit: 100))
            var count = 0
            for try await frame in framed {
                try await framed.send(frame.reversed())
                count += 1
            }
            try await framed.close()
            return count
        }
        let framed = FramedStream(near, Netstrings(limit: 100))
        let sender = framed.sender
        let sending = Task {
            for number in 0..<500 { try await sender.send(Array("message \(number)".utf8)) }
            try await sender.writer.closeWriting()
        }
        for number in 0..<500 {
            #expect(try await framed.receive() == Array("message \(number)".utf8.reversed()))
        }
        #expect(try await framed.receive() == nil)
        try await sending.value
        #expect(try await server.value == 500)
    }

    @Test("tells frames that are cut off or too long, and what comes after the frames is still there")
    func errors() async throws {
        let cut = reader(of: "5:hello,", "7:wor")
        var decoder = Netstrings(limit: 100)
        #expect(try await cut.frame(using: &decoder) == Array("hello".utf8))
        let error = await #expect(throws: UnexpectedEndError.self) { _ = try await cut.frame(using: &decoder) }
        #expect(error?.bytes == Array("7:wor".utf8))

        // The decoder alone would wait for ever.
        let endless = BufferedReader(PieceStream([[UInt8]](repeating: [0x30], count: 1_000)))
        let tooLong = await #expect(throws: TooLongError.self) { _ = try await endless.frame(using: &decoder) }
        #expect(tooLong?.limit == 100 && endless.position == 0 && endless.bufferedCount == 101)

        let mixed = reader(of: "one\ntwo\n", "\nbody")
        var lines: [String] = []
        for try await line in mixed.frames(using: LineFraming()) {
            if line.isEmpty { break }
            lines.append(line)
        }
        #expect(lines == ["one", "two"])
        #expect(try await mixed.readAll(limit: 10) == Array("body".utf8))
    }

    @Test("cancelled in the middle of a frame, receives it the next time")
    func cancellation() async throws {
        var random = Randomness()
        let note = random.note
        let frames = (0..<300).map { [UInt8](repeating: UInt8($0 % 200), count: $0 % 50) }
        let bytes = try Self.bytes(frames, LengthPrefixFraming(width: 2))
        let framed = Handed(FramedStream(PieceStream(bytes, sizes: 1...30, &random), LengthPrefixFraming(width: 2)))
        var (received, cancelled) = ([[UInt8]](), 0)
        while received.count < frames.count {
            let task = Task { () async throws -> [UInt8]? in try await framed.value.receive() }
            for _ in 0..<Int.random(in: 0...3, using: &random) { await Task.yield() }
            task.cancel()
            do { received.append(try await #require(task.value)) } catch is CancellationError { cancelled += 1 }
        }
        #expect(received == frames && cancelled > 0, "\(note)")
    }
}
