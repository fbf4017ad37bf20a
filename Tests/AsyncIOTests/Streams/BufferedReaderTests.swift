import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import SystemPackage
import Testing

@Suite("A buffered reader")
struct BufferedReaderTests {
    @Test("gives lines without their ends, LF or CR LF, and the last one needs none")
    func lines() async throws {
        let reader = reader(of: "one\ntwo\r", "\n\nfo", "ur\r\r\nlast")
        var lines: [String] = []
        for try await line in reader.lines { lines.append(line) }
        #expect(lines == ["one", "two", "", "four\r", "last"])
        #expect(try await reader.readLine() == nil)
        #expect(reader.position == 21)
    }

    @Test("gives no line after a final newline, and none where there is nothing")
    func noLines() async throws {
        let one = reader(of: "only\n")
        #expect(try await one.readLine() == "only")
        #expect(try await one.readLine() == nil)
        #expect(try await reader(of: "").readLine() == nil)
        #expect(try await reader(of: "\n").readLine()?.isEmpty == true)
        #expect(try await reader(of: "ends in CR\r").readLineBytes() == Array("ends in CR\r".utf8))
    }

    @Test("lets a line have as many bytes as the limit, whatever its end, and refuses one more")
    func limitOfLines() async throws {
        for (text, isAllowed) in [
            ("1234\nx", true), ("1234\r\nx", true), ("1234", true), ("123\r\r\nx", true), ("12345\nx", false),
            ("12345\r\n", false), ("12345", false), ("1234\rx\n", false), ("1234\r", false),
        ] {
            let whole = reader(of: text)
            let line = try? await whole.readLineBytes(limit: 4)
            #expect((line != nil) == isAllowed, "\(text.debugDescription)")
            let bitwise = BufferedReader(PieceStream(text.utf8.map { [$0] }))
            let same = try? await bitwise.readLineBytes(limit: 4)
            #expect(same == line, "\(text.debugDescription), byte by byte")
        }
    }

    @Test("loses nothing of a line that is too long: it is read with a larger limit, or skipped")
    func tooLong() async throws {
        let text = "a long line\nshort\nanother long line\nend"
        for _ in 0..<2 {
            let reader = reader(of: "a lon", "g line\nsh", "ort\nanother", " long line\nend")
            let error = try await #require(throws: TooLongError.self) { _ = try await reader.readLine(limit: 5) }
            #expect(error.limit == 5 && error.subject == "line")
            await #expect(throws: TooLongError.self) { _ = try await reader.readLine(limit: 9) }
            #expect(reader.position == 0)
            #expect(try await reader.readLine(limit: 11) == "a long line")
            #expect(try await reader.readLine(limit: 5) == "short")
            await #expect(throws: TooLongError.self) { _ = try await reader.readLine(limit: 5) }
            #expect(try await reader.skipLine() == 18)
            #expect(try await reader.readLine(limit: 5) == "end")
            #expect(reader.position == text.utf8.count)
        }
    }

    @Test("refuses a line that has no end before it has taken more than the limit and one read")
    func endlessLine() async throws {
        let reader = BufferedReader(PieceStream([[UInt8]](repeating: [UInt8](repeating: 7, count: 100), count: 1_000)))
        await #expect(throws: TooLongError.self) { _ = try await reader.readLine(limit: 1_000) }
        #expect(reader.bufferedCount <= 1_100)
        #expect(try await reader.skipLine() == 100_000)
        #expect(try await reader.readLine() == nil)
    }

    @Test("reads exactly so many bytes, and tells what was there if the data ends before; that stays")
    func exactly() async throws {
        let reader = reader(of: "hel", "lo wor", "ld")
        #expect(try await reader.read(exactly: 0) == [])
        #expect(try await reader.read(exactly: 5) == Array("hello".utf8))
        let error = try await #require(throws: UnexpectedEndError.self) { _ = try await reader.read(exactly: 10) }
        #expect(error == UnexpectedEndError(bytes: Array(" world".utf8), expected: 10))
        #expect("\(error)" == "the data ended after 6 of 10 bytes")
        #expect(try await reader.read(exactly: 6) == Array(" world".utf8))
        #expect(
            await #expect(throws: UnexpectedEndError.self) { _ = try await reader.read(exactly: 1) }?.bytes == [])
    }

    @Test("reads up to a separator, and tells which of several it was")
    func separators() async throws {
        let reader = reader(of: "key=val", "ue&next&la", "st=", "x")
        let separators = ["=", "&"].map { Array($0.utf8) }
        var found: [String] = []
        for _ in 0..<4 {
            let part = try #require(try await reader.read(untilAny: separators))
            found.append(String(decoding: part.bytes + part.separator, as: UTF8.self))
        }
        #expect(found == ["key=", "value&", "next&", "last="])
        let error = await #expect(throws: UnexpectedEndError.self) { _ = try await reader.read(untilAny: separators) }
        #expect(error?.bytes == Array("x".utf8))
        #expect(try await reader.read(upTo: 10) == Array("x".utf8))
        #expect(try await reader.read(until: "=") == nil)
    }

    @Test("takes the separator that ends first, and of those that end together the longest")
    func whichSeparator() async throws {
        func first(_ text: String, _ separators: String...) async throws -> String? {
            try await reader(of: text).read(untilAny: separators.map { Array($0.utf8) }).map {
                String(decoding: $0.bytes, as: UTF8.self) + "|" + String(decoding: $0.separator, as: UTF8.self)
            }
        }
        #expect(try await first("a\r\nb", "\n", "\r\n") == "a|\r\n")
        #expect(try await first("a\nb\r\n", "\r\n", "\n") == "a|\n")
        #expect(try await first("abcd", "abcd", "bc") == "a|bc")
        #expect(try await first("xaab", "aab", "ab", "b") == "x|aab")
        #expect(try await first("ababac", "abac") == "ab|abac")
        #expect(try await first("--end--", "--end--") == "|--end--")
    }

    @Test("refuses more bytes before a separator than the limit, and an empty separator; nothing is lost")
    func limitOfSeparators() async throws {
        let reader = BufferedReader(PieceStream("12345ENDrest".utf8.map { [$0] }))
        await #expect(throws: TooLongError.self) { _ = try await reader.read(until: "END", limit: 4) }
        await #expect(throws: TooLongError.self) { _ = try await reader.read(until: "END", limit: 0) }
        for separators in [[], [[]], [[1], []]] as [[[UInt8]]] {
            let error = await #expect(throws: IOError.self) { _ = try await reader.read(untilAny: separators) }
            #expect(error?.code == .invalidArgument)
        }
        #expect(try await reader.read(until: "END", limit: 5) == Array("12345".utf8))
        #expect(try await reader.read(until: "t", limit: .max) == Array("res".utf8))
    }

    @Test("refuses no separators as its first call, with bytes in the buffer and without")
    func noSeparatorsAtFirst() async throws {
        var fresh = ReceivedBytes()
        #expect(throws: IOError.self) { _ = try fresh.take(untilAny: []) }
        fresh.append([1, 2])
        let error = #expect(throws: IOError.self) { _ = try fresh.take(untilAny: []) }
        #expect(error?.code == .invalidArgument)
        #expect(try fresh.take(until: [2]) == [1])
        let reader = BufferedReader(PieceStream([[1, 2]]))
        let refusal = await #expect(throws: IOError.self) { _ = try await reader.read(untilAny: []) }
        #expect(refusal?.code == .invalidArgument)
        #expect(try await reader.read(until: [2]) == [1])
    }

    @Test("peeks without taking, and skips without keeping")
    func peekAndSkip() async throws {
        let reader = reader(of: "ab", "cd", "ef", "gh")
        #expect(try await reader.peek(3) == Array("abc".utf8))
        #expect(try await reader.peek(100) == Array("abcdefgh".utf8))
        #expect(try await reader.peek(0) == [] && reader.position == 0)
        #expect(try await reader.skip(3) == 3)
        #expect(try await reader.read(upTo: 2) == Array("de".utf8))
        #expect(try await reader.skip(100) == 3)
        #expect(try await reader.skip(1) == 0)
        #expect(try await reader.peek(1) == [])
    }

    @Test("reads numbers of any width in either order")
    func integers() async throws {
        let bytes: [UInt8] = [1, 2, 0xff, 0xfe, 1, 2, 3, 4, 0x80] + [UInt8](1...16) + [9]
        var random = Randomness()
        let reader = BufferedReader(PieceStream(bytes, sizes: 1...3, &random))
        #expect(try await reader.readInteger(UInt16.self) == 0x0102)
        #expect(try await reader.readInteger(Int16.self, .little) == -257)
        #expect(try await reader.readInteger(UInt32.self, .little) == 0x0403_0201)
        #expect(try await reader.readInteger(Int8.self) == -128)
        #expect(try await reader.readInteger(UInt64.self, .big) == 0x0102_0304_0506_0708)
        #expect(try await reader.readInteger(UInt64.self, .little) == 0x100f_0e0d_0c0b_0a09)
        let error = await #expect(throws: UnexpectedEndError.self) { _ = try await reader.readInteger(UInt32.self) }
        #expect(error?.bytes == [9] && error?.expected == 4)
        #expect(UInt16(0x1234).bytes(.big) == [0x12, 0x34] && Int32(-2).bytes(.little) == [0xfe, 0xff, 0xff, 0xff])
        #expect(UInt16([1, 2, 3], .big) == nil)
    }

    @Test("replaces bytes that are no text, or rejects and keeps them")
    func invalidText() async throws {
        let bytes: [UInt8] = [0x61, 0xff, 0x62, 0xc3, 0x0a, 0xc3, 0xa9, 0x0a, 0xe2, 0x82]
        let stream = { BufferedReader(PieceStream(bytes.map { [$0] })) }
        var lines: [String] = []
        for try await line in stream().lines { lines.append(line) }
        #expect(lines == ["a\u{fffd}b\u{fffd}", "é", "\u{fffd}"])
        let strict = stream()
        let error = await #expect(throws: InvalidTextError.self) { _ = try await strict.readLine(invalid: .reject) }
        #expect(error?.bytes == [0x61, 0xff, 0x62, 0xc3])
        #expect(try await strict.readLineBytes() == [0x61, 0xff, 0x62, 0xc3])
        #expect(try await strict.readLine(invalid: .reject) == "é")
        await #expect(throws: InvalidTextError.self) { _ = try await strict.readLine(invalid: .reject) }
        await #expect(throws: InvalidTextError.self) { _ = try await strict.readText(exactly: 2, invalid: .reject) }
        #expect(try await strict.readText(exactly: 2) == "\u{fffd}")
    }

    @Test("reads all that comes, up to a limit")
    func all() async throws {
        #expect(try await reader(of: "a", "b", "c").readAll(limit: 3) == Array("abc".utf8))
        let reader = reader(of: "a", "b", "cd")
        await #expect(throws: TooLongError.self) { _ = try await reader.readAll(limit: 3) }
        #expect(try await reader.readAll(limit: 4) == Array("abcd".utf8))
        #expect(try await reader.readAll(limit: 0) == [])
    }

    @Test("gives chunks as they come, and leaves the rest to whoever goes on with the stream")
    func chunks() async throws {
        let reader = reader(of: "head\nbo", "dy", "tail")
        #expect(try await reader.readLine() == "head")
        var chunks: [String] = []
        for try await chunk in reader.chunks {
            chunks.append(String(decoding: chunk, as: UTF8.self))
            if chunks.count == 2 { break }
        }
        #expect(chunks == ["bo", "dy"])
        #expect(try await reader.peek(2) == Array("ta".utf8))
        #expect(reader.takeBuffered() == Array("tail".utf8) && reader.bufferedCount == 0)
    }

    @Test("reads no further ahead than it was told")
    func readSize() async throws {
        let (one, other) = MemoryStream.pair()
        try await other.write("0123456789\n")
        let reader = BufferedReader(one, readSize: 4)
        #expect(try await reader.read(exactly: 2) == Array("01".utf8))
        #expect(reader.bufferedCount == 2 && one.availableBytes == 7)
        #expect(try await reader.readLine() == "23456789")
    }

    @Test("does not suspend for what is in the buffer")
    func noSuspension() async throws {
        let reader = reader(of: "one\ntwo\nthree and more")
        #expect(try await reader.readLine() == "one")
        #expect(try await reader.readLine() == "two")
        #expect(try await reader.read(exactly: 5) == Array("three".utf8))
        #expect(reader.stream.reads.value == 1)
    }

    @Test("tells the stream's errors, and reads what came before them first")
    func errors() async throws {
        let (one, other) = MemoryStream.pair()
        try await other.write("line\npart")
        let reader = BufferedReader(one)
        #expect(try await reader.readLine() == "line")
        other.abort()
        let error = await #expect(throws: IOError.self) { _ = try await reader.readLine() }
        #expect(error?.code == .connectionReset)
        #expect(reader.takeBuffered() == Array("part".utf8))
        let invalid = await #expect(throws: IOError.self) { _ = try await reader.read(upTo: 0) }
        #expect(invalid?.code == .invalidArgument)
    }
}
