#if HTTP
import AsyncIO
import AsyncIOTestSupport
import AsyncIOTesting
import Testing

@testable import AsyncIOHTTP

@Suite("The HTTP parser, fed with anything", .timeLimit(.minutes(60)))
struct ParserFuzzTests {
    /// What a parser makes of bytes: the same, however they are cut.
    private struct Outcome: Equatable, CustomStringConvertible {
        var lines: [String] = []
        var description: String { lines.joined(separator: "\n") }
    }

    private func outcome(_ kind: HTTPParser.Kind, _ bytes: [UInt8], pieces: [Int]) -> Outcome {
        let parser = HTTPParser(kind)
        var outcome = Outcome()
        var body: [UInt8] = []
        do {
            var rest = bytes[...]
            for piece in pieces + [bytes.count] where !rest.isEmpty {
                parser.feed(Array(rest.prefix(piece)))
                rest = rest.dropFirst(piece)
                try readAll(parser, &outcome, &body)
            }
            try parser.finish()
            try readAll(parser, &outcome, &body)
        } catch {
            outcome.lines.append("body \(body)")
            // The reason may be one of several.
            outcome.lines.append("\((error as? HTTPError)?.status.code ?? 0)")
        }
        return outcome
    }

    private func readAll(_ parser: HTTPParser, _ outcome: inout Outcome, _ body: inout [UInt8]) throws {
        while true {
            switch try parser.next() {
            case .needsBytes: return
            case .head:
                if let head = parser.requestHead {
                    outcome.lines.append("\(head)")
                } else if let head = parser.responseHead {
                    outcome.lines.append("\(head)")
                }
            case .body(let bytes): body += bytes
            case .end:
                outcome.lines.append("body \(body)")
                outcome.lines.append("end \(parser.trailerFields)")
                body = []
            }
        }
    }

    private static let requests = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST /x?y=%20 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\n\r\nhello",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"b\"\r\nabc\r\n0\r\nT: u\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n\0\u{1}",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\nA: \r\n\r\n",
    ]

    private static let responses = [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 \r\nA: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nuntil the end",
        "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nrest",
    ]

    private static let ingredients: [[UInt8]] =
        [
            "\r\n", "\n", "\r", " ", "\t", ":", ",", ";", "0", "\0", "Content-Length: 5\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Host: b\r\n", "HTTP/1.1", "\"", "chunked", "5\r\nhello\r\n", "0\r\n\r\n", "x", "@",
            "Expect: 100-continue\r\n",
        ].map { Array($0.utf8) } + [[0x80], [0xff], [0x85], [0xa0]]

    @Test(
        "comes to the same end however the bytes are cut, and never further than to an error",
        arguments: Randomness.seeds)
    func anything(seed: UInt64) {
        var random = Randomness(seed: seed)
        for round in 0..<Stress.count("mutations", few: 3_000, many: 1_000_000) {
            let kind: HTTPParser.Kind = Bool.random(using: &random) ? .requests : .responses
            let seeds = kind == .requests ? Self.requests : Self.responses
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                bytes += Array((seeds.randomElement(using: &random) ?? "").utf8)
            }
            for _ in 0..<Int.random(in: 0...4, using: &random) { mutate(&bytes, &random) }
            let whole = outcome(kind, bytes, pieces: [])
            let cut = outcome(kind, bytes, pieces: bytes.indices.map { _ in Int.random(in: 1...7, using: &random) })
            let single = outcome(kind, bytes, pieces: bytes.map { _ in 1 })
            guard whole == cut, whole == single else {
                let text = String(decoding: bytes, as: UTF8.self).debugDescription
                Issue.record(
                    "round \(round), ASYNCIO_SEED=\(seed): \(text)\n\(whole)\n-- cut\n\(cut)\n-- single\n\(single)")
                return
            }
        }
    }

    @Test("counts chunk extensions alike, however they come", arguments: [(";ab=cd;e", true), (";ab=cd;ef", false)])
    func extensions(text: String, isTaken: Bool) throws {
        var limits = HTTPLimits()
        limits.chunkExtensionsSize = 8
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        let bytes = Array((head + "1\(text)\r\nx\r\n0\r\n\r\n").utf8)
        for size in [1, 2, 3, bytes.count] {
            let parser = HTTPParser(.requests, limits: limits)
            var outcome = Outcome()
            var body: [UInt8] = []
            var rest = bytes[...]
            let read = Result {
                while !rest.isEmpty {
                    parser.feed(Array(rest.prefix(size)))
                    rest = rest.dropFirst(size)
                    try readAll(parser, &outcome, &body)
                }
            }
            #expect(((try? read.get()) != nil) == isTaken, "in pieces of \(size)")
        }
    }

    private func mutate(_ bytes: inout [UInt8], _ random: inout Randomness) {
        let place = Int.random(in: 0...bytes.count, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes.insert(contentsOf: Self.ingredients.randomElement(using: &random) ?? [], at: place)
        case 1: if place < bytes.count { bytes.remove(at: place) }
        case 2: if place < bytes.count { bytes[place] = UInt8.random(in: 0...255, using: &random) }
        default:
            let end = min(place + Int.random(in: 0...20, using: &random), bytes.count)
            bytes += bytes[place..<end]
        }
    }
}
#endif
