#if HTTP
import AsyncIO
import Testing

@testable import AsyncIOHTTP

@Suite("Multipart forms")
struct MultipartTests {
    /// Parts as `name|file name|content`.
    private static func parts(
        _ body: HTTPBody, boundary: String = "x", limits: MultipartLimits = MultipartLimits()
    ) async throws -> [String] {
        var parts: [String] = []
        for try await part in try Multipart(body, boundary: boundary, limits: limits) {
            parts.append("\(part.name)|\(part.fileName ?? "-")|\(try await part.body.text(upTo: 1 << 20))")
        }
        return parts
    }

    /// A body that comes in pieces of these sizes, in turn.
    private static func pieces(_ text: String, _ sizes: [Int]) -> HTTPBody {
        let bytes = Array(text.utf8)
        return HTTPBody(incoming: Pieces(bytes, sizes), length: nil)
    }

    private final class Pieces: IncomingBody, @unchecked Sendable {
        private var rest: ArraySlice<UInt8>
        private var sizes: [Int]
        init(_ bytes: [UInt8], _ sizes: [Int]) {
            rest = bytes[...]
            self.sizes = sizes
        }
        var trailerFields: HTTPFields? { nil }
        func next() async throws -> [UInt8]? {
            guard !rest.isEmpty else { return nil }
            sizes.append(sizes.removeFirst())
            defer { rest = rest.dropFirst(sizes.last ?? 1) }
            return Array(rest.prefix(sizes.last ?? 1))
        }
    }

    private static func field(_ parameters: String) -> String { "Content-Disposition: form-data; \(parameters)\r\n" }

    private static let usual =
        "--x\r\n\(field("name=a"))\r\n1\r\n"
        + "--x\r\n\(field("name=\"b c\"; filename=\"f.txt\""))Content-Type: text/plain\r\n\r\n"
        + "\r\n--\r\n-x\r\n--\r\r\n\r\n--y\r\n--x--\r\n"

    @Test("are taken apart alike, wherever they are cut")
    func everyCut() async throws {
        let expected = ["a|-|1", "b c|f.txt|\r\n--\r\n-x\r\n--\r\r\n\r\n--y"]
        let count = Self.usual.utf8.count
        for cut in 1...count {
            #expect(try await Self.parts(Self.pieces(Self.usual, [cut, count])) == expected, "cut at \(cut)")
            #expect(try await Self.parts(Self.pieces(Self.usual, [cut])) == expected, "pieces of \(cut)")
            #expect(try await Self.parts(Self.pieces(Self.usual, [cut, 1])) == expected, "cut at \(cut), and then")
        }
    }

    @Test(
        "are read as the standards say",
        arguments: [
            ("--x--", []), ("--x--\r\n", []), ("--x--anything", []), ("\r\n--x--", []),
            ("preamble\r\n--x\r\n\(field("name=a"))\r\n1\r\n--x--epilogue\r\n--x\r\n", ["a|-|1"]),
            ("--x \t\r\n\(field("name=a"))\r\n1\r\n--x  \r\n\(field("name=b"))\r\n2\r\n--x--", ["a|-|1", "b|-|2"]),
            // Without a content, and without even the line end in front of it.
            ("--x\r\n\(field("name=a"))\r\n\r\n--x--", ["a|-|"]), ("--x\r\n\(field("name=a"))\r\n--x--", ["a|-|"]),
            ("--x\r\n\(field("name=a"))\r\n\r\n\r\n--x--", ["a|-|\r\n"]),
            // What is nearly a boundary.
            ("--x\r\n\(field("name=a"))\r\na--x\n--x\r--x\n\r\n--\r\n--x--", ["a|-|a--x\n--x\r--x\n\r\n--"]),
            ("--x\r\n\(field("name=a"))\r\n\r\r\n--x--", ["a|-|\r"]),
            ("--x\r\n\(field("name=a; name=b"))\r\n--x--", ["a|-|"]),
            ("--x\r\n\(field("NAME=\"ü\""))\r\n--x--", ["ü|-|"]),
            ("--x\r\ncontent-disposition:FORM-DATA;name=a\r\n\r\n--x--", ["a|-|"]),
            ("--x\r\n\(field("name=a; filename=\"\""))\r\n--x--", ["a||"]),
            ("--x\r\n\(field("name=\"a\\\"b\"; filename=\"C:\\dir\\f\""))\r\n--x--", ["a\"b|C:\\dir\\f|"]),
            ("--x\r\n\(field("name=\"a;b\"; filename=\"x=y;z\" ;"))\r\n--x--", ["a;b|x=y;z|"]),
        ])
    func reading(_ text: String, _ expected: [String]) async throws {
        for sizes in [[1], [2], [3], [1_000]] { #expect(try await Self.parts(Self.pieces(text, sizes)) == expected) }
    }

    @Test(
        "that are malformed are a bad request",
        arguments: [
            "", "x", "--x", "--x\r\n", "--y--", "--x-", "--x\r\n\(field("name=a"))\r\n1", "--x\r\n\(field("name=a"))",
            "--x\r\n\(field("name=a"))\r\n1\r\n--x", "--xx\r\n\(field("name=a"))\r\n1\r\n--xx--", "--x-y\r\n",
            "--x\n\n--x--",
            "--x\r\r\n--x--", "--x\r\n\r\n1\r\n--x--", "--x\r\nContent-Type: a/b\r\n\r\n1\r\n--x--",
            "--x\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--x--",
            "--x\r\n\(field("nam=a"))\r\n1\r\n--x--",
            "--x\r\n\(field("name=\"a"))\r\n1\r\n--x--", "--x\r\n\(field("name=\"a\"b"))\r\n1\r\n--x--",
            "--x\r\nno field\r\n\r\n--x--", "--x\r\n\(field("name=a")) folded\r\n\r\n1\r\n--x--",
            "--x\r\n: a\r\n\r\n1\r\n--x--",
            "--x\r\n\(field("name=a"))Bad Name: 1\r\n\r\n1\r\n--x--",
            "--x\r\n\(field("name=a"))A: \0\r\n\r\n1\r\n--x--",
            "--x\r\n\(field("name=a"))A: 1\rB: 2\r\n\r\n1\r\n--x--",
            "--x\r\n\(field("name=a"))A: 1\nB: 2\r\n\r\n1\r\n--x--",
        ])
    func malformed(_ text: String) async throws {
        for sizes in [[1], [1_000]] {
            let error = await #expect(throws: HTTPError.self) { try await Self.parts(Self.pieces(text, sizes)) }
            #expect(error?.status == .badRequest)
        }
    }

    @Test("whose names are no UTF-8 are a bad request")
    func encoding() async throws {
        let bytes = Array("--x\r\n\(Self.field("name=a"))".utf8).dropLast(3) + [0xff] + Array("\r\n\r\n\r\n--x--".utf8)
        let error = await #expect(throws: HTTPError.self) { try await Self.parts(HTTPBody(Array(bytes))) }
        #expect(error?.status == .badRequest)
    }

    @Test("have limits: as much is taken, one more is not", arguments: ["parts", "head", "part", "total"])
    func limits(_ name: String) async throws {
        let part = "\r\n--x\r\n\(Self.field("name=a"))\r\n12345"
        let text = part.dropFirst() + part + "\r\n--x--"
        for sizes in [[1], [7], [1_000]] {
            var limits = MultipartLimits()
            let (path, most): (WritableKeyPath<MultipartLimits, Int>, Int) =
                switch name {
                case "parts": (\.parts, 2)
                case "head": (\.headSize, Self.field("name=a").utf8.count + 2)
                case "part": (\.partSize, 5)
                default: (\.total, text.utf8.count)
                }
            limits[keyPath: path] = most
            #expect(try await Self.parts(Self.pieces(String(text), sizes), limits: limits).count == 2)
            limits[keyPath: path] -= 1
            let error = await #expect(throws: HTTPError.self) {
                try await Self.parts(Self.pieces(String(text), sizes), limits: limits)
            }
            #expect(error?.status == .contentTooLarge)
        }
    }

    @Test("have at most 100 fields in the head of a part", arguments: [1, 1_000])
    func fieldCount(size: Int) async throws {
        func text(_ count: Int) -> String {
            "--x\r\n\(Self.field("name=a"))" + String(repeating: "a:\r\n", count: count - 1) + "\r\n1\r\n--x--"
        }
        #expect(try await Self.parts(Self.pieces(text(100), [size])) == ["a|-|1"])
        let error = await #expect(throws: HTTPError.self) { try await Self.parts(Self.pieces(text(101), [size])) }
        #expect(error?.status == .contentTooLarge)
    }

    @Test(
        "with an endless preamble, head or padding are refused",
        arguments: [
            ("a", ""), ("\r\n", ""), ("a", "--x\r\nA: "), ("A: b\r\n", "--x\r\n"), (" ", "--x"),
        ])
    func endless(_ piece: String, _ start: String) async throws {
        var parser = try MultipartParser(boundary: "x", limits: MultipartLimits())
        var fed = 0
        #expect(throws: HTTPError.self) {
            try parser.feed(Array(start.utf8))
            while fed < 100_000 {
                _ = try parser.next()
                try parser.feed(Array(piece.utf8))
                fed += piece.utf8.count
            }
        }
        #expect(fed < 20_000)
    }

    @Test("skip what is not read of a part, and give nothing of it afterwards")
    func skipping() async throws {
        let content = String(repeating: "0123456789", count: 1_000)
        let text = ["a", "b", "c"].map { "--x\r\n\(Self.field("name=\($0)"))\r\n\(content)\r\n" }.joined() + "--x--"
        var parts = try Multipart(Self.pieces(text, [100]), boundary: "x").makeAsyncIterator()
        let first = try #require(try await parts.next())
        var pieces = first.body.makeAsyncIterator()
        #expect(try await pieces.next() != nil)
        let second = try #require(try await parts.next())
        #expect(second.name == "b")
        #expect(try await pieces.next() == nil)
        #expect(try await second.body.text() == content)
        #expect(try await parts.next()?.name == "c")
        #expect(try await parts.next() == nil)
        #expect(try await parts.next() == nil)
    }

    @Test("keep of a large part only what could be a boundary")
    func memory() async throws {
        var limits = MultipartLimits()
        limits.partSize = 1 << 30
        limits.total = 1 << 30
        var parser = try MultipartParser(boundary: "x", limits: limits)
        try parser.feed(Array("--x\r\n\(Self.field("name=a"))\r\n".utf8))
        var count = 0
        let piece = [UInt8](repeating: 0x0d, count: 65_536)
        while let event = try parser.next() { if case .bytes = event { Issue.record("no content yet") } }
        for _ in 0..<64 {
            try parser.feed(piece)
            while case .bytes(let bytes) = try parser.next() { count += bytes.count }
        }
        #expect(count == 64 * 65_536 - 1)
    }

    @Test(
        "need a boundary that may be one",
        arguments: [
            ("", false), ("x", true), (String(repeating: "x", count: 70), true),
            (String(repeating: "x", count: 71), false),
            ("a b", true), ("a ", false), ("'()+_,-./:=?", true), ("a\"b", false), ("a;b", false), ("ü", false),
            ("a\r\nb", false),
        ])
    func boundaries(_ boundary: String, _ isOne: Bool) {
        let parser = try? MultipartParser(boundary: boundary, limits: MultipartLimits())
        #expect((parser != nil) == isOne)
    }

    @Test(
        "give names of files that mean nothing to a file system",
        arguments: [
            ("f.txt", "f.txt"), ("../../etc/passwd", "passwd"), ("C:\\dir\\f.txt", "f.txt"), ("/", nil), ("..", nil),
            (".", nil), ("", nil), (".htaccess", "htaccess"), ("a/../", nil), ("...a", "a"), ("a\0b\nc", "abc"),
            ("\u{1}..\u{1}a", "a"), ("\u{1}.\u{301}a", "\u{301}a"), (" . a . ", "a"), ("\u{202e}txt.exe", "txt.exe"),
            ("größe 🐦.png", "größe 🐦.png"),
            (String(repeating: "ü", count: 200), String(repeating: "ü", count: 127)), ("\0", nil),
        ] as [(String, String?)])
    func fileNames(_ name: String, _ safe: String?) throws {
        #expect(FormPart.safe(name) == safe)
    }
}

@Suite("Forms")
struct FormTests {
    private func request(_ type: String?, _ body: HTTPBody) -> HTTPServer.Request {
        var fields = HTTPFields()
        fields[.contentType] = type
        return HTTPServer.Request(.post, "/", headerFields: fields, body: body)
    }

    @Test("of fields are read as queries are, with limits")
    func fields() async throws {
        let type = "application/x-www-form-urlencoded"
        #expect(try await request(type, "a=1&b=+%C3%BC").form() == Query("a=1&b=+%C3%BC"))
        #expect(try await request("\(type.uppercased()); charset=utf-8", "a=1").form()["a"] == "1")
        for (request, status) in [
            (request(nil, "a=1"), 415), (request("text/plain", "a=1"), 415), (request(type, "a=%"), 400),
            (request(type, HTTPBody([0xff])), 400), (request(type, "a=1&b=2&c=3"), 400),
            (request(type, HTTPBody(String(repeating: "a", count: 101))), 413),
        ] {
            let error = await #expect(throws: HTTPError.self) { try await request.form(upTo: 100, fields: 2) }
            #expect(error?.status.code == status)
        }
    }

    @Test("of parts say their boundary")
    func parts() async throws {
        let body: HTTPBody = "--a b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n--a b--"
        var names: [String] = []
        for try await part in try request("multipart/form-data; charset=utf-8; boundary=\"a b\"", body).multipart() {
            names.append(part.name)
        }
        #expect(names == ["x"])
        for (type, status) in [
            (nil, 415), ("text/plain", 415), ("multipart/mixed; boundary=x", 415), ("multipart/form-data", 400),
            ("multipart/form-data; boundary=", 400), ("multipart/form-data; boundary=\"x", 415),
            ("multipart/form-data; boundary=ü", 400),
        ] {
            let error = #expect(throws: HTTPError.self) { try request(type, body).multipart() }
            #expect(error?.status.code == status)
        }
    }
}
#endif
