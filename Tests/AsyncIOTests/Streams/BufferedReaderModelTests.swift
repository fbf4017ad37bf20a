import AsyncIOTestSupport
import Testing

@testable import AsyncIO

/// What a reader should answer, by someone who has all the bytes in one array and searches from the start each time.
private struct NaiveReader {
    var rest: ArraySlice<UInt8>

    enum Answer: Equatable { case bytes([UInt8]), end, tooLong, early }

    private mutating func take(_ content: Int, _ whole: Int) -> Answer {
        defer { rest = rest.dropFirst(whole) }
        return .bytes(Array(rest.prefix(content)))
    }

    mutating func line(limit: Int) -> Answer {
        if rest.isEmpty { return .end }
        guard let end = rest.firstIndex(of: 10) else {
            return rest.count > limit ? .tooLong : take(rest.count, rest.count)
        }
        let whole = end - rest.startIndex + 1
        let content = whole > 1 && rest[end - 1] == 13 ? whole - 2 : whole - 1
        return content > limit ? .tooLong : take(content, whole)
    }

    mutating func part(until separators: [[UInt8]], limit: Int) -> Answer {
        if rest.isEmpty { return .end }
        for length in 1...rest.count {
            let ending = separators.filter { rest.prefix(length).suffix($0.count).elementsEqual($0) }
            guard let longest = ending.map(\.count).max() else { continue }
            return length - longest > limit ? .tooLong : take(length - longest, length)
        }
        let longest = separators.map(\.count).max() ?? 0
        return rest.count >= limit + longest ? .tooLong : .early
    }

    mutating func exactly(_ count: Int) -> Answer { rest.count < count ? .early : take(count, count) }

    mutating func skip(_ count: Int) -> Answer { take(min(count, rest.count), count) }
}

@Suite("A buffered reader against a naive one")
struct BufferedReaderModelTests {
    @Test("whatever the pieces, the limits and the order of calls, the answers are those of the whole")
    func random() async throws {
        var random = Randomness()
        let note = random.note
        for _ in 0..<(Stress.isOn ? 4_000 : 400) {
            // Few different bytes, so that separators and line ends begin, break off and overlap often.
            let bytes = (0..<Int.random(in: 0...300, using: &random)).map { _ in
                ([10, 13, 97, 98, 99] as [UInt8]).randomElement(using: &random) ?? 0
            }
            var model = NaiveReader(rest: bytes[...])
            let reader = BufferedReader(PieceStream(bytes, sizes: 1...20, &random))
            while try await step(reader, &model, &random, note) {}
            #expect(reader.position == bytes.count, "\(note)")
        }
    }

    /// One call to both. False at the end.
    private func step(
        _ reader: BufferedReader<PieceStream>, _ model: inout NaiveReader, _ random: inout Randomness, _ note: String
    ) async throws -> Bool {
        let limit = Int.random(in: 0...12, using: &random)
        let kind = Int.random(in: 0..<6, using: &random)
        let separators = Self.separators(&random)
        let before = model.rest
        let expected: NaiveReader.Answer =
            switch kind {
            case 0, 1: model.line(limit: limit)
            case 2, 3: model.part(until: separators, limit: limit)
            case 4: model.exactly(limit)
            default: model.skip(limit)
            }
        let answer: NaiveReader.Answer
        do {
            let bytes: [UInt8]?
            switch kind {
            case 0: bytes = try await reader.readLineBytes(limit: limit)
            case 1: bytes = try await reader.readLine(limit: limit).map { Array($0.utf8) }
            case 2, 3: bytes = try await reader.read(untilAny: separators, limit: limit)?.bytes
            case 4: bytes = try await reader.read(exactly: limit)
            default:
                bytes = try await reader.peek(limit)
                #expect(try await reader.skip(limit) == bytes?.count)
            }
            answer = bytes.map { .bytes($0) } ?? .end
        } catch is TooLongError { answer = .tooLong } catch let error as UnexpectedEndError {
            #expect(error.bytes == Array(before), "\(note)")
            answer = .early
        }
        #expect(
            answer == expected, "call \(kind), limit \(limit), \(separators) of \(Array(before.prefix(40))); \(note)")
        if answer == expected, answer == .tooLong || answer == .early { try await reader.skip(1); _ = model.skip(1) }
        return answer == expected && !model.rest.isEmpty
    }

    private static func separators(_ random: inout Randomness) -> [[UInt8]] {
        (0..<Int.random(in: 1...3, using: &random)).map { _ in
            (0..<Int.random(in: 1...3, using: &random)).map { _ in
                ([10, 97, 98] as [UInt8]).randomElement(using: &random) ?? 0
            }
        }
    }

    @Test("cancellation at any await loses no byte")
    func cancellation() async throws {
        var random = Randomness()
        let note = random.note
        let lines = (0..<2_000).map { "line \($0) " + String(repeating: "x", count: $0 % 90) }
        let bytes = Array(lines.joined(separator: "\n").utf8)
        let reader = Handed(BufferedReader(PieceStream(bytes, sizes: 1...200, &random)))
        var (received, cancelled) = ([String](), 0)
        while received.count < lines.count {
            let way = Int.random(in: 0...2, using: &random)
            let task = Task { () async throws -> String? in
                let reader = reader.value
                if way == 0 { _ = try await reader.peek(150) }
                if way == 1 { return try await reader.readLineBytes().map { String(decoding: $0, as: UTF8.self) } }
                return try await reader.readLine()
            }
            for _ in 0..<Int.random(in: 0...3, using: &random) { await Task.yield() }
            task.cancel()
            do {
                received.append(try await #require(task.value))
            } catch is CancellationError { cancelled += 1 }
        }
        #expect(received == lines, "\(note)")
        #expect(cancelled > 0, "\(note)")
    }
}

@Suite("The bytes that have come")
struct ReceivedBytesTests {
    @Test("are not searched again, for a line or for separators, when more come")
    func searchedOnce() throws {
        var bytes = ReceivedBytes()
        for round in 1...100 {
            bytes.append([UInt8](repeating: 97, count: 100))
            #expect(try bytes.takeLine() == nil && bytes.searchedForLine == round * 100)
            #expect(try bytes.take(until: [1, 2, 3]) == nil && bytes.searched == round * 100)
        }
        bytes.skip(50)
        #expect(bytes.searchedForLine == 9_950 && bytes.searched == 9_950)
        #expect(try bytes.take(untilAny: [[97, 97], [5]])?.bytes == [])
        #expect(try bytes.takeLine() == nil)
        bytes.append([10])
        #expect(try bytes.takeLine()?.count == 9_948)
    }

    @Test("give their memory back when they have been taken, and keep little when little is left")
    func memory() {
        var bytes = ReceivedBytes()
        for _ in 0..<100 { bytes.append([UInt8](repeating: 7, count: 10_000)) }
        bytes.skip(999_990)
        bytes.compact()
        #expect(bytes.count == 10 && bytes.bytes.capacity < 100)
        #expect(bytes.take(exactly: 11) == nil)
        #expect(bytes.take(exactly: 10)?.count == 10)
        #expect(bytes.bytes.capacity == 0)
    }

    @Test("are moved at most once for each byte that is taken")
    func moves() {
        var bytes = ReceivedBytes([UInt8](repeating: 7, count: 1_000_000))
        // One goes and one comes: moving all of the rest each time would take for ever.
        for _ in 0..<100_000 {
            bytes.skip(1)
            bytes.append([7])
        }
        #expect(bytes.count == 1_000_000)
        #expect(bytes.start == 100_000)
    }
}
