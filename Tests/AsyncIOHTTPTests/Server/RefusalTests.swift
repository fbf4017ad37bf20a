#if HTTP
import AsyncIO
import AsyncIOHTTP
import AsyncIOTestSupport
import Testing

/// Bytes that two readers could understand in two ways, and how they are answered.
struct Refused: Sendable, CustomTestStringConvertible {
    let name: String
    let bytes: [UInt8]
    let status: Int
    var testDescription: String { name }

    init(_ name: String, _ bytes: String, status: Int = 400) {
        self.init(name, Array(bytes.utf8), status: status)
    }

    init(_ name: String, _ bytes: [UInt8], status: Int = 400) {
        self.name = name
        self.status = status
        self.bytes = bytes
    }

    /// With a chunked body.
    static func chunked(_ name: String, _ body: String) -> Refused {
        Refused(name, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    }

    /// With these fields beside `Host`, and five bytes of body.
    static func fields(_ name: String, _ fields: String, status: Int = 400) -> Refused {
        Refused(name, "POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n\r\n0\r\n\r\n", status: status)
    }

    static func line(_ name: String, _ line: String, status: Int = 400) -> Refused {
        Refused(name, line + "\r\nHost: a\r\n\r\n", status: status)
    }

    static let all: [Refused] = chunks + trailers + lengths + fieldLines + requestLines + hosts + expectations

    static let chunks: [Refused] = [
        .chunked("chunk size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"),
        .chunked("chunk size with _", "1_0\r\nhellohellohellohello\r\n0\r\n\r\n"),
        .chunked("chunk size with +", "+5\r\nhello\r\n0\r\n\r\n"),
        .chunked("chunk size with -", "-5\r\nhello\r\n0\r\n\r\n"),
        .chunked("chunk size after a space", " 5\r\nhello\r\n0\r\n\r\n"),
        .chunked("chunk size before a space", "5 \r\nhello\r\n0\r\n\r\n"),
        .chunked("empty chunk size", "\r\nhello\r\n0\r\n\r\n"),
        .chunked("chunk size with a valid prefix", "5Z\r\nhello\r\n0\r\n\r\n"),
        .chunked("chunk size beyond 2^64", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        .chunked("chunk size beyond 2^63", "8000000000000005\r\nhello\r\n0\r\n\r\n"),
        .chunked("bare LF after a chunk size", "5\nhello\r\n0\r\n\r\n"),
        .chunked("CR and another byte after a chunk size", "5\rXhello\r\n0\r\n\r\n"),
        .chunked("CR CR after a chunk size", "5\r\r;a\nhello\r\n0\r\n\r\n"),
        .chunked("LF within a chunk extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
        .chunked("CR within a chunk extension", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
        .chunked("CRLF within a quoted chunk extension", "5;a=\"b\r\nhello\"\r\nhello\r\n0\r\n\r\n"),
        .chunked("LF within a quoted chunk extension", "5;a=\"b\nc\"\r\nhello\r\n0\r\n\r\n"),
        .chunked("chunk not followed by CRLF", "5\r\nhelloXX0\r\n\r\n"),
        .chunked("chunk followed by LF", "5\r\nhello\n0\r\n\r\n"),
        .chunked("CRLF and more behind a chunk", "5\r\nhello\r\nXX0\r\n\r\n"),
        .chunked("chunk longer than its size", "4\r\nhello\r\n0\r\n\r\n"),
        .chunked("a further CRLF before the last chunk", "5\r\nhello\r\n\r\n0\r\n\r\n"),
        .chunked("last chunk with an unfinished end", "5\r\nhello\r\n0\r\n\rX"),
        .chunked("long chunk extensions", "5;" + String(repeating: "a", count: 5_000) + "\r\nhello\r\n0\r\n\r\n"),
        .chunked(
            "many chunk extensions",
            String(repeating: "1;" + String(repeating: "a", count: 500) + "\r\nx\r\n", count: 20) + "0\r\n\r\n"),
    ]

    static let trailers: [Refused] = [
        .chunked("Content-Length behind the body", "5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n"),
        .chunked("Transfer-Encoding behind the body", "5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        .chunked("Host behind the body", "5\r\nhello\r\n0\r\nHost: b\r\n\r\n"),
        .chunked("LF behind a trailer", "5\r\nhello\r\n0\r\nA: b\n\r\n"),
        .chunked("folded trailer", "5\r\nhello\r\n0\r\nA: b\r\n c\r\n\r\n"),
    ]

    static let lengths: [Refused] = [
        .fields("length and chunked", "Content-Length: 5\r\nTransfer-Encoding: chunked"),
        .fields("chunked and length", "Transfer-Encoding: chunked\r\nContent-Length: 5"),
        .fields("two Transfer-Encoding", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        .fields("two Transfer-Encoding, one identity", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked"),
        .fields("empty coding before chunked", "Transfer-Encoding: ,chunked"),
        .fields("identity behind chunked", "Transfer-Encoding: chunked,identity"),
        .fields("chunked twice", "Transfer-Encoding: chunked, chunked"),
        .fields("xchunked", "Transfer-Encoding: xchunked"),
        .fields("empty Transfer-Encoding", "Transfer-Encoding: "),
        .fields("quoted chunked", "Transfer-Encoding: \"chunked\""),
        .fields("gzip before chunked", "Transfer-Encoding: gzip, chunked"),
        .fields("identity alone", "Transfer-Encoding: identity"),
        Refused(
            "chunked behind a no-break space",
            Array("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ".utf8) + [0xa0]
                + Array("chunked\r\n\r\n0\r\n\r\n".utf8)),
        Refused("chunked in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        .fields("empty length", "Content-Length: "),
        .fields("length +5", "Content-Length: +5"),
        .fields("length -1", "Content-Length: -1"),
        .fields("length 0x10", "Content-Length: 0x10"),
        .fields("length 010", "Content-Length: 010"),
        .fields("length 1_0", "Content-Length: 1_0"),
        .fields("length 1Z", "Content-Length: 1Z"),
        .fields("length 5 5", "Content-Length: 5 5"),
        .fields("length 5,5", "Content-Length: 5,5"),
        .fields("length 5,6", "Content-Length: 5,6"),
        .fields("two equal lengths", "Content-Length: 5\r\nContent-Length: 5"),
        .fields("two different lengths", "Content-Length: 5\r\nContent-Length: 6"),
        .fields("length beyond 2^63", "Content-Length: 9223372036854775808"),
        .fields("length beyond 2^64", "Content-Length: 18446744073709551621"),
    ]

    static let fieldLines: [Refused] = [
        .fields("empty name", ": b"),
        .fields("space before the colon", "A : b"),
        .fields("tab before the colon", "A\t: b"),
        Refused("space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
        Refused("tab before the first field", "GET / HTTP/1.1\r\n\tHost: a\r\n\r\n"),
        .fields("folded field", "A: b\r\n c"),
        .fields("folded by a tab", "A: b\r\n\tc"),
        .fields("folded length", "Content-Length:\r\n 5"),
        .fields("NUL in a name", "A\0B: c"),
        .fields("byte beyond ASCII in a name", "Ä: c"),
        .fields("no colon", "A"),
        .fields("name over two lines", "A\r\nB: c"),
        .fields("NUL in a value", "A: b\0c"),
        .fields("CR in a value", "A: b\rc"),
        .fields("LF in a value", "A: b\nc"),
        .fields("LF ends a field", "A: b\nTransfer-Encoding: chunked"),
        .fields("control character in a value", "A: b\u{1}c"),
        .fields("parenthesis in a name", "A(: c"),
        Refused("LF ends the head", "GET / HTTP/1.1\r\nHost: a\r\n\n"),
        Refused("CR and another byte end the head", "GET / HTTP/1.1\r\nHost: a\r\n\rX"),
        Refused("LF ends the lines", "GET / HTTP/1.1\nHost: a\n\n"),
    ]

    static let requestLines: [Refused] = [
        .line("unknown method", "BREW / HTTP/1.1", status: 501),
        .line("method in lower case", "get / HTTP/1.1", status: 501),
        .line("method with a bracket", "G(T / HTTP/1.1"),
        .line("method beyond ASCII", "GÄT / HTTP/1.1"),
        .line("space before the method", " GET / HTTP/1.1"),
        .line("tab behind the method", "GET\t/ HTTP/1.1"),
        .line("tab behind the target", "GET /\tHTTP/1.1"),
        .line("LF as a separator", "GET\n/ HTTP/1.1"),
        .line("two spaces behind the method", "GET  / HTTP/1.1"),
        .line("two spaces behind the target", "GET /  HTTP/1.1"),
        .line("space in the target", "GET /a b HTTP/1.1"),
        .line("space behind the version", "GET / HTTP/1.1 "),
        .line("no target", "GET HTTP/1.1"),
        .line("no version", "GET /", status: 505),
        .line("HTTP/0.9", "GET / HTTP/0.9", status: 505),
        .line("HTTP/1.32", "GET / HTTP/1.32", status: 505),
        .line("HTTP/01.1", "GET / HTTP/01.1"),
        .line("HTTP/1", "GET / HTTP/1"),
        .line("HTTP/2.0", "GET / HTTP/2.0", status: 505),
        .line("HTTP/3.0", "GET / HTTP/3.0", status: 505),
        .line("HTTP/1.2", "GET / HTTP/1.2", status: 505),
        .line("a version that overflows", "GET / HTTP/4294967295.255"),
        .line("http in lower case", "GET / http/1.1"),
        .line("HTTPS/1.1", "GET / HTTPS/1.1"),
        .line("another protocol", "GET / RTSP/1.1"),
        .line("one more protocol", "GET / ICE/1.1"),
        .line("method of another protocol", "DESCRIBE / HTTP/1.1", status: 501),
        .line("a digit that is none of ASCII", "GET / HTTP/1.\u{661}"),
        .line("byte beyond ASCII in the target", "GET /ä HTTP/1.1"),
        .line("fragment in the target", "GET /a#b HTTP/1.1"),
        .line("NUL in the target", "GET /\0 HTTP/1.1"),
        .line("* of GET", "GET * HTTP/1.1"),
        .line("relative target", "GET a HTTP/1.1"),
        .line("CONNECT without a port", "CONNECT a HTTP/1.1"),
        .line("CONNECT to a path", "CONNECT / HTTP/1.1"),
        Refused("HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", status: 505),
        Refused("a TLS handshake", [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]),
    ]

    static let hosts: [Refused] = [
        Refused("no Host", "GET / HTTP/1.1\r\n\r\n"),
        Refused("two Host", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        Refused("two equal Host", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        Refused("two Host in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
        Refused("user in Host", "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n"),
        Refused("path in Host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        Refused("two names in Host", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        Refused("port of Host is no number", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"),
        Refused("bracket in Host", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
        Refused("target of another host", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        Refused("target with a user", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        Refused("target of another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        Refused("target without a host", "GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n"),
    ]

    static let expectations: [Refused] = [
        .fields("unknown expectation", "Expect: tea\r\nContent-Length: 5", status: 417),
        .fields("two expectations", "Expect: 100-continue, tea\r\nContent-Length: 5", status: 417),
    ]
}

@Suite("What is no request", .timeLimit(.minutes(10)))
struct RefusalTests {
    /// What must not be found behind the other: an answer to it says so.
    static let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

    @Test("is refused once, and ends the connection", arguments: Refused.all, Wire.Pace.allCases)
    func refused(row: Refused, pace: Wire.Pace) async throws {
        for behind in ["", Self.smuggled] {
            let answer = try await withLoop(Setting.onRealLoop[0]) { loop in
                try await Wire.answer(to: row.bytes + Array(behind.utf8), pace, on: loop)
            }
            let statuses = Wire.statuses(in: answer)
            #expect(statuses == [row.status], "\(row.name): \(answer)")
            #expect(answer.contains("Connection: close"))
            #expect(!answer.contains("smuggled"))
        }
    }
}
#endif
