#if HTTP
@testable import AsyncIOHTTP
import Testing

@Suite("Decompressing")
struct InflaterTests {
    @Test(
        "gives back what was compressed, wherever both sides are cut",
        arguments: [
            (DeflateFormat.gzip, DeflateFormat.gzip), (.zlib, .zlib), (.zlib, .zlibOrRaw),
            (.raw(windowBits: 15), .zlibOrRaw),
            (.raw(windowBits: 9), .raw(windowBits: 9)), (.raw(windowBits: 8), .raw(windowBits: 9)),
        ])
    func roundTrip(_ written: DeflateFormat, _ read: DeflateFormat) throws {
        for text in [[], [7], Texts.page(999), Texts.noise(700), Texts.page(300) + Texts.noise(300)] {
            let packed = try Deflater(written).deflate(text, .finish)
            for size in Array(1...40) + [packed.count] {
                let inflater = try Inflater(read)
                var out: [UInt8] = []
                for start in stride(from: 0, to: packed.count, by: size) {
                    var rest = packed[start..<min(start + size, packed.count)]
                    while let piece = try inflater.next(&rest, upTo: size) {
                        #expect((1...size).contains(piece.count))
                        out += piece
                    }
                    #expect(rest.isEmpty)
                }
                try inflater.finish()
                #expect(out == text)
            }
        }
    }

    @Test("gives back large data that was compressed in pieces of any size, flushed or not")
    func pieces() throws {
        let text = Texts.page(200_000) + Texts.noise(200_000) + Texts.page(100_000)
        for (size, flush) in [(1_000, Deflater.Flush.sync), (70_001, .none), (500_000, .sync), (33, .none)] {
            let deflater = try Deflater(.gzip)
            let inflater = try Inflater(.gzip)
            var out: [UInt8] = []
            for start in stride(from: 0, to: text.count, by: size) {
                let end = min(start + size, text.count)
                let packed = deflater.deflate(text[start..<end], flush)
                #expect(packed.count <= size + size / 1_000 + 64 || flush == .none)
                out += try inflater.all(packed)
                // What was flushed is all there.
                if flush == .sync { #expect(out.count == end) }
            }
            out += try inflater.all(deflater.deflate([], .finish))
            try inflater.finish()
            #expect(out == text)
        }
    }

    @Test("understands what another program has written")
    func foreign() throws {
        let packed: [UInt8] = [
            31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 203, 72, 205, 201, 201, 87, 200, 64, 144, 0, 128, 136, 249, 229, 17, 0, 0,
            0,
        ]
        #expect(try Inflater(.gzip).all(packed) == Array("hello hello hello".utf8))
    }

    @Test("goes on with the next member of gzip, and refuses what is none")
    func members() throws {
        let (one, two) = (try Deflater(.gzip).deflate([1, 2], .finish), try Deflater(.gzip).deflate([3], .finish))
        let inflater = try Inflater(.gzip)
        #expect(try inflater.all(one + two) == [1, 2, 3])
        try inflater.finish()
        #expect(throws: ContentCodingError.trailingBytes) { try Inflater(.gzip).all(one + [0]) }
        #expect(throws: ContentCodingError.trailingBytes) {
            try Inflater(.zlib).all(try Deflater(.zlib).deflate([1], .finish) + [120])
        }
        // Cut within the second one.
        let cut = try Inflater(.gzip)
        #expect(try cut.all(one + two.dropLast()) == [1, 2, 3])
        #expect(throws: ContentCodingError.truncated) { try cut.finish() }
    }

    @Test("says of data that was cut anywhere that it ends too early")
    func truncation() throws {
        let packed = try Deflater(.gzip).deflate(Texts.page(500), .finish)
        for count in 1..<packed.count {
            let inflater = try Inflater(.gzip)
            _ = try inflater.all(Array(packed.prefix(count)))
            #expect(throws: ContentCodingError.truncated) { try inflater.finish() }
        }
        // No content is content of no bytes.
        try Inflater(.gzip).finish()
    }

    @Test("survives any damage, says so, and says the same again", arguments: [DeflateFormat.gzip, .zlibOrRaw])
    func damage(_ format: DeflateFormat) throws {
        let text = Texts.page(400)
        let packed = try Deflater(format).deflate(text, .finish)
        var found = 0
        for index in packed.indices {
            for bit in 0..<8 {
                var broken = packed
                broken[index] ^= 1 << UInt8(bit)
                let inflater = try Inflater(format, limits: InflateLimits(total: 10_000))
                do {
                    let out = try inflater.all(broken)
                    try inflater.finish()
                    // Of gzip's header, which no checksum covers, some bits mean nothing here.
                    #expect(out == text)
                } catch {
                    found += 1
                    var rest = packed[...]
                    if error != .truncated { #expect(throws: error) { try inflater.next(&rest) } }
                }
            }
        }
        #expect(found > packed.count * 7)
        #expect(throws: ContentCodingError.self) { try Inflater(.gzip).all(text) }
    }

    @Test("stops at the limit: as many bytes are let through, one more is none", arguments: [0, 1, 2, 1_000, 65_536])
    func limits(_ count: Int) throws {
        let packed = try Deflater(.gzip).deflate(Texts.page(count), .finish)
        #expect(try Inflater(.gzip, limits: InflateLimits(total: count)).all(packed).count == count)
        #expect(try Inflater(.gzip, limits: InflateLimits(total: count + 1)).all(packed).count == count)
        guard count > 0 else { return }
        #expect(throws: ContentCodingError.tooLarge(limit: count - 1)) {
            try Inflater(.gzip, limits: InflateLimits(total: count - 1)).all(packed)
        }
    }

    @Test("a bomb is found by its ratio, however it is fed, and no piece of it is large")
    func bombs() throws {
        let deflater = try Deflater(.gzip, level: 9)
        let zeros = [UInt8](repeating: 0, count: 1 << 20)
        var bomb: [UInt8] = []
        for _ in 0..<64 { bomb += deflater.deflate(zeros) }
        bomb += deflater.deflate([], .finish)
        #expect(bomb.count < 100_000)
        for size in [1, 10_000, bomb.count] {
            let inflater = try Inflater(.gzip, limits: InflateLimits(ratio: 200))
            var made = 0
            #expect(throws: ContentCodingError.ratioTooLarge(limit: 200)) {
                for start in stride(from: 0, to: bomb.count, by: size) {
                    var rest = bomb[start..<min(start + size, bomb.count)]
                    while let piece = try inflater.next(&rest, upTo: 4_096) {
                        #expect(piece.count <= 4_096)
                        made += piece.count
                    }
                }
            }
            #expect(made <= InflateLimits.harmless + 4_096)
        }
        // What is small may be as dense as it likes.
        let small = try Deflater(.gzip).deflate(zeros[..<1_000_000], .finish)
        #expect(try Inflater(.gzip, limits: InflateLimits(ratio: 200)).all(small).count == 1_000_000)
    }
}

@Suite("Compressed messages")
struct CompressedMessageTests {
    /// What a sync flush ends with, and WebSocket leaves out.
    static let tail: [UInt8] = [0, 0, 0xff, 0xff]

    @Test("refer to those before them, unless both sides begin anew")
    func takeover() throws {
        let message = Texts.noise(300)
        let deflater = try Deflater(.raw(windowBits: 15))
        let inflater = try Inflater(.raw(windowBits: 15))
        let first = deflater.deflate(message, .sync)
        let second = deflater.deflate(message, .sync)
        #expect(Array(first.suffix(4)) == Self.tail && Array(second.suffix(4)) == Self.tail)
        #expect(second.count < 20 && first.count > 300)
        #expect(try inflater.all(first) == message)
        #expect(try inflater.all(second) == message)
        deflater.reset()
        inflater.reset()
        let third = deflater.deflate(message, .sync)
        #expect(third == first)
        #expect(try inflater.all(third) == message)
    }

    @Test("have limits of their own")
    func limits() throws {
        let deflater = try Deflater(.raw(windowBits: 15))
        let inflater = try Inflater(.raw(windowBits: 15), limits: InflateLimits(total: 100))
        for _ in 0..<3 {
            inflater.startCounting()
            #expect(try inflater.all(deflater.deflate(Texts.page(100), .sync)).count == 100)
        }
        inflater.startCounting()
        #expect(throws: ContentCodingError.tooLarge(limit: 100)) {
            try inflater.all(deflater.deflate(Texts.page(101), .sync))
        }
    }

    @Test("may end in a final block, with the window kept for those that follow (RFC 7692 section 7.2.3.4)")
    func finalBlock() throws {
        let inflater = try Inflater(.raw(windowBits: 15))
        #expect(try inflater.all([0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00] + Self.tail) == Array("Hello".utf8))
        // Refers to the five bytes before (RFC 7692 section 7.2.3.2).
        #expect(try inflater.all([0xf2, 0x00, 0x11, 0x00, 0x00] + Self.tail) == Array("Hello".utf8))
    }
}
#endif
