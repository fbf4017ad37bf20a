#if HTTP && FUZZ
import AsyncIOTesting
import HTTPTypes

@testable import AsyncIOHTTP

/// Heads, bodies, chunks and trailers: what they mean must not depend on how the bytes come.
enum HTTPFuzz {
    /// What a parser has understood.
    private struct Outcome: Equatable {
        var steps: [Step] = []
        var body: [UInt8] = []
        var status: Int?
    }

    private enum Step: Equatable {
        case request(HTTPRequest.Method, String, authority: String?, HTTPFields, HTTPVersion, isLast: Bool)
        case response(HTTPResponse.Status, HTTPFields, HTTPVersion, isLast: Bool)
        case length(HTTPBodyLength, expected: Bool)
        case end(HTTPFields, body: Int)
    }

    static func run(_ kind: HTTPParser.Kind, _ random: inout Randomness) -> Main.Verdict {
        let bytes = random.input(kind == .requests ? requests : responses, ingredients)
        var limits = HTTPLimits()
        let isNarrow = random.chance(oneIn: 4)
        if isNarrow {
            limits.headSize = random.number(20...200)
            limits.fieldCount = random.number(0...3)
            limits.lineSize = random.number(10...60)
            limits.bodySize = random.number(0...10)
            limits.chunkExtensionsSize = random.number(0...8)
            limits.trailerSize = random.number(0...10)
        }
        let hasNoBody = kind == .responses && random.chance(oneIn: 8)
        let whole = outcome(kind, limits, hasNoBody, [bytes])
        let cut = outcome(kind, limits, hasNoBody, random.cut(bytes))
        // At limits, the pieces decide which of several reasons counts, how much of a body was given before, and what
        // of the framing stands between two signs of progress.
        let isSame = whole == cut || isNarrow && (whole.status != nil || cut.status != nil)
        guard isSame else { return .wrong("\(readable(bytes))\n  whole: \(whole)\n  cut:   \(cut)") }
        return whole.status == nil ? .understood : .refused
    }

    private static func outcome(
        _ kind: HTTPParser.Kind, _ limits: HTTPLimits, _ hasNoBody: Bool, _ pieces: [[UInt8]]
    ) -> Outcome {
        let parser = HTTPParser(kind, limits: limits)
        parser.nextHasNoBody = hasNoBody
        var outcome = Outcome()
        do {
            for piece in pieces {
                parser.feed(piece)
                try read(parser, &outcome)
            }
            try parser.finish()
            try read(parser, &outcome)
        } catch {
            outcome.status = (error as? HTTPError)?.status.code ?? 0
        }
        return outcome
    }

    private static func read(_ parser: HTTPParser, _ outcome: inout Outcome) throws {
        while true {
            switch try parser.next() {
            case .needsBytes: return
            case .head:
                if let head = parser.requestHead {
                    outcome.steps.append(
                        .request(
                            head.method, head.target, authority: head.authority, head.fields, head.version,
                            isLast: !head.keepsAlive))
                    outcome.steps.append(.length(head.length, expected: head.expectsContinue))
                } else if let head = parser.responseHead {
                    outcome.steps.append(.response(head.status, head.fields, head.version, isLast: !head.keepsAlive))
                    outcome.steps.append(.length(head.length, expected: false))
                }
            case .body(let bytes):
                outcome.body += bytes
            case .end:
                outcome.steps.append(.end(parser.trailerFields, body: outcome.body.count))
            }
        }
    }

    private static let requests = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST /x?y=%20 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\n\r\nhello",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"b\"\r\nabc\r\n0\r\nT: u\r\n\r\n",
        "PATCH / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n00A;x\r\n0123456789\r\n0\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n\0\u{1}", "OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\nA: b\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\nA: \r\n\r\n", "\r\nHEAD /%2e%2e HTTP/1.1\r\nHost:\ta \r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\u{81}\0",
    ].map { Array($0.utf8) }

    private static let responses = [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 \r\nA: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200\r\nTransfer-Encoding: gzip, chunked\r\nTrailer: T\r\n\r\n1;a\r\nh\r\n0\r\nT: u\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nuntil the end", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nrest",
        "HTTP/1.1 404 Nicht gefunden \u{fc}\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nContent-Length: 0\r\n\r\n",
    ].map { Array($0.utf8) }

    private static let ingredients: [[UInt8]] =
        [
            "\r\n", "\n", "\r", "\r\n\r\n", " ", "\t", ":", ",", ";", "=", "0", "\0", "Content-Length: 5\r\n",
            "Content-Length: 18446744073709551616\r\n", "Content-Length: 9223372036854775807\r\n",
            "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: identity\r\n", "Connection: close\r\n",
            "Host: b\r\n", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "\"", "chunked", "5\r\nhello\r\n", "0\r\n\r\n", "x", "@",
            "Expect: 100-continue\r\n", "Upgrade: x\r\n", "ffffffffffffffff\r\n", "7fffffffffffffff;\r\n",
            ";a=\"\r\n\"", "%", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", String(repeating: "a", count: 300),
        ].map { Array($0.utf8) } + [[0x80], [0xff], [0x85], [0xa0], [0x7f], [0x0b]]
}
#endif
