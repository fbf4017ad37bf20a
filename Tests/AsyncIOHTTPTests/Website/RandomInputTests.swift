#if HTTP
import AsyncIOTestSupport
import AsyncIOTesting
import Testing

@testable import AsyncIOHTTP

/// What strangers send, at random: nothing of it may end the process, or be understood in two ways.
@Suite("Random input")
struct RandomInputTests {
    private static let words = [
        "a", "x", "--x", "--x--", "\r\n", "\r", "\n", "\r\n\r\n", " ", "\t", ":", ";", ",", "=", "\"", "\\\"", "\\",
        "-", "*",
        "W/", "bytes=", "0", "9", "99999999999999999999", "%", "%2", "%41", "%2F", "%00", "%ff", "/", "..", ".", "?",
        "&",
        "+", "Content-Disposition: form-data; name=a\r\n\r\n", "data:", "id: 1\n", "retry: 7\n\n", "gzip", ";q=0.5",
        "GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT", "Nov", "06", "1994", "\u{301}", "🐦", "\0", "form-data", "boundary=",
    ]

    private static func text(_ random: inout Randomness) -> String {
        (0..<Int.random(in: 0...12, using: &random)).map { _ in words.randomElement(using: &random) ?? "" }.joined()
    }

    @Test("in fields and targets is understood or refused", arguments: Randomness.seeds)
    func fields(seed: UInt64) throws {
        var random = Randomness(seed: seed)
        let now = HTTPDate(secondsSinceEpoch: 1_795_000_000)
        for _ in 0..<5_000 {
            let text = Self.text(&random)
            if let tags = EntityTag.list(text), !tags.isEmpty {
                #expect(EntityTag.list(tags.map(\.description).joined(separator: ", ")) == tags, "\(random.note)")
            }
            if let date = HTTPDate(text, now: now) { #expect(HTTPDate("\(date)", now: now) == date, "\(random.note)") }
            let size = Int64.random(in: 0...100, using: &random)
            if case .some(let ranges) = ByteRanges("bytes=" + text, size: size) {
                #expect(
                    ranges.allSatisfy { 0 <= $0.lowerBound && $0.lowerBound < $0.upperBound && $0.upperBound <= size })
                #expect(!ranges.isEmpty && ranges.reduce(0) { $0 + $1.count } <= Int(size), "\(random.note)")
            }
            if let query = try? Query(text) { #expect(try Query(query.encoded) == query, "\(random.note)") }
            if let path = try? PathSegments(text[...]) {
                #expect(
                    !path.decoded.contains("..") && !path.decoded.contains { $0.utf8.contains(0) }, "\(random.note)")
                for index in 0..<path.count {
                    #expect(text.utf8.reversed().starts(with: path.rest(from: index).utf8.reversed()))
                }
            }
            _ = MediaType(text)
            _ = Negotiation([text]).prefersGzip
            if let name = FormPart.safe(text) {
                #expect(
                    !name.contains("/") && !name.contains("\\") && name.utf8.first != UInt8(ascii: ".")
                        && name.utf8.count <= 255)
            }
        }
    }

    /// What a parser makes of bytes that come in these pieces: its last word is an error's.
    private func outcome(
        _ bytes: [UInt8], _ sizes: () -> Int, _ feed: ([UInt8]) throws -> [String], end: () throws -> Void
    ) -> [String] {
        var said: [String] = []
        var rest = bytes[...]
        do {
            while !rest.isEmpty {
                let size = sizes()
                said += try feed(Array(rest.prefix(size)))
                rest = rest.dropFirst(size)
            }
            try end()
        } catch {
            said.append("\(error)")
        }
        return said
    }

    @Test("in forms and events means the same, wherever it is cut", arguments: Randomness.seeds)
    func streams(seed: UInt64) throws {
        var random = Randomness(seed: seed)
        for _ in 0..<1_000 {
            let start = Bool.random(using: &random) ? "--x\r\nContent-Disposition: form-data; name=a\r\n\r\n" : ""
            let bytes = Array((start + (0..<4).map { _ in Self.text(&random) }.joined()).utf8)
            var limits = MultipartLimits()
            limits.headSize = 100
            limits.partSize = 60
            limits.parts = 3
            func form(_ sizes: () -> Int) throws -> [String] {
                var parser = try MultipartParser(boundary: "x", limits: limits)
                var content: [UInt8] = []
                var events: [String] = []
                let end = outcome(bytes, sizes) { piece in
                    try parser.feed(piece)
                    while let event = try parser.next() {
                        if case .bytes(let bytes) = event { content += bytes } else { events.append("\(event)") }
                    }
                    return []
                } end: {
                    try parser.finish()
                }
                // How much of a part is given before it turns out too large depends on the pieces.
                return events + end + (end.isEmpty ? [String(decoding: content, as: UTF8.self)] : [])
            }
            let whole = try form { bytes.count }
            let single = try form { 1 }
            let cut = try form { Int.random(in: 1...9, using: &random) }
            #expect(single == cut, "\(random.note)")
            #expect(whole == single, "\(random.note)")

            func events(_ sizes: () -> Int) -> [String] {
                var parser = EventParser(limit: 40)
                return outcome(bytes, sizes) {
                    try parser.feed($0).map { "\($0)" }
                } end: {
                }
            }
            let event = events { 1 }
            #expect(events { Int.random(in: 1...9, using: &random) }.last == event.last, "\(random.note)")
        }
    }

    @Test("in compressed data is decompressed or refused, within its limit", arguments: Randomness.seeds)
    func compressed(seed: UInt64) throws {
        var random = Randomness(seed: seed)
        let text = Texts.page(3_000)
        for format in [DeflateFormat.gzip, .zlibOrRaw, .raw(windowBits: 15)] {
            let packed = try Deflater(format).deflate(text, .finish)
            for _ in 0..<1_000 {
                var broken = packed
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    broken[Int.random(in: 0..<broken.count, using: &random)] = UInt8(truncatingIfNeeded: random.next())
                }
                let inflater = try Inflater(format, limits: InflateLimits(total: 5_000))
                let out = try? inflater.all(broken)
                #expect((out?.count ?? 0) <= 5_000, "\(random.note)")
            }
        }
    }
}
#endif
