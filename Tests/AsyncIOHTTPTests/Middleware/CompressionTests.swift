#if HTTP
import AsyncIO
import AsyncIOTestSupport
import Testing

@testable import AsyncIOHTTP

@Suite("Compressing answers")
struct CompressionTests {
    @Test(
        "is negotiated as the standard says (RFC 9110 section 12.5.3)",
        arguments: [
            ([], false), ([""], false), (["gzip"], true), (["GZIP"], true), (["x-gzip"], true), (["*"], true),
            (["br, gzip;q=0.5"], true), (["br", "gzip"], true), (["gzip;q=0"], false), (["gzip; q=0.000"], false),
            (["*;q=0"], false), (["gzip, *;q=0"], true), (["*, gzip;q=0"], false), (["identity"], false),
            (["gzip;q=0.2, identity;q=0.5"], false), (["gzip;q=0.5, identity;q=0.5"], true),
            (["gzip;q=0.001"], true), (["gzip;Q=0.5"], true), (["gzip ; q=1"], true), (["deflate"], false),
            // Malformed: as if it were not there.
            (["gzip;q=2"], false), (["gzip;q=1.001"], false), (["gzip;q=x"], false), (["gzip;q=0.0001"], false),
            (["gzip;q=-1"], false), ([",,gzip,,"], true), ([";q=1"], false), (["gzipped"], false),
        ] as [([String], Bool)])
    func negotiation(_ values: [String], _ isWanted: Bool) {
        #expect(Negotiation(values).prefersGzip == isWanted)
    }

    private func answer(
        _ response: HTTPServer.Response, _ method: HTTPRequest.Method = .get, accepting: String? = "gzip"
    ) async throws -> HTTPServer.Response {
        let handler = HTTPServer.chain([HTTPServer.compression(minimumSize: 100)]) { _ in response }
        var fields = HTTPFields()
        fields[.acceptEncoding] = accepting
        return try await ask(handler, method, "/", fields)
    }

    @Test("gives clients that take it the same content, with a weak tag, and tells caches")
    func whole() async throws {
        let text = String(decoding: Texts.page(5_000), as: UTF8.self)
        var page = HTTPServer.Response.html(text)
        page.headerFields[.eTag] = "\"a\""
        page.headerFields[.acceptRanges] = "bytes"
        let packed = try await answer(page)
        #expect(packed.headerFields[.contentEncoding] == "gzip" && packed.headerFields[.vary] == "Accept-Encoding")
        #expect(packed.headerFields[.eTag] == "W/\"a\"" && packed.headerFields[.acceptRanges] == nil)
        let bytes = try await packed.bytes
        #expect(packed.body.length == bytes.count && bytes.count < 1_500)
        #expect(try Inflater(.gzip).all(bytes) == Array(text.utf8))
        let plain = try await answer(page, accepting: nil)
        #expect(plain.headerFields[.contentEncoding] == nil && plain.headerFields[.vary] == "Accept-Encoding")
        #expect(plain.headerFields[.eTag] == "\"a\"")
        #expect(try await plain.text == text)
    }

    @Test("leaves alone what does not become smaller, or must not be changed")
    func exceptions() async throws {
        let text = String(decoding: Texts.page(5_000), as: UTF8.self)
        func check(
            _ what: String, _ method: HTTPRequest.Method = .get, _ change: (inout HTTPServer.Response) -> Void
        ) async throws {
            var response = HTTPServer.Response.text(text)
            change(&response)
            let before = response.headerFields[.contentEncoding]
            let after = try await answer(response, method)
            #expect(after.headerFields[.contentEncoding] == before, "\(what)")
            #expect(after.body.length == response.body.length, "\(what)")
        }
        try await check("short") { $0.body = HTTPBody(Texts.page(99)) }
        try await check("compressed in itself") { $0.headerFields[.contentType] = "image/png" }
        try await check("of no type") { $0.headerFields[.contentType] = nil }
        try await check("in a coding") { $0.headerFields[.contentEncoding] = "br" }
        try await check("a part") { $0.status = .partialContent }
        try await check("a part of something") { $0.headerFields[.contentRange] = "bytes */1" }
        try await check("not to be changed") { $0.headerFields[.cacheControl] = "public, No-Transform" }
        try await check("nothing new") { $0.status = .notModified }
        try await check("a head", .head) { _ in }
        try await check("noise") { $0.body = HTTPBody(Texts.noise(5_000)) }
        var varied = HTTPServer.Response.text(text)
        varied.headerFields[.vary] = "Origin, accept-encoding"
        #expect(try await answer(varied).headerFields[values: .vary] == ["Origin, accept-encoding"])
        varied.headerFields[.vary] = "Origin"
        #expect(try await answer(varied).headerFields[values: .vary] == ["Origin", "Accept-Encoding"])
    }

    @Test("compresses what is made while it is sent, and lets each flush through", arguments: Setting.onLoop)
    func streaming(setting: Setting) async throws {
        let made = Gate()
        let read = Gate()
        let result = try await withLoop(setting) { _ in
            let response = HTTPServer.Response(
                headerFields: [.contentType: "text/event-stream"],
                body: HTTPBody { writer in
                    try await writer.write("first")
                    try await writer.flush()
                    made.open()
                    await read.pass()
                    try await writer.write(Texts.page(300_000))
                })
            let packed = try await self.answer(response)
            let inflater = try Inflater(.gzip)
            var pieces = packed.body.makeAsyncIterator()
            var text: [UInt8] = []
            while text.count < 5, let piece = try await pieces.next() { text += try inflater.all(piece) }
            let first = text
            read.open()
            while let piece = try await pieces.next() { text += try inflater.all(piece) }
            try inflater.finish()
            return (first, text, packed.headerFields[.contentEncoding], packed.body.length)
        }
        #expect(result.0 == Array("first".utf8))
        #expect(result.1 == Array("first".utf8) + Texts.page(300_000))
        #expect(result.2 == "gzip" && result.3 == nil)
    }

    @Test("breaks off where the content does: a part is never taken for the whole", arguments: Setting.onLoop)
    func failure(setting: Setting) async throws {
        struct Broken: Error {}
        let isBroken = try await withLoop(setting) { _ in
            let response = HTTPServer.Response(
                headerFields: [.contentType: "text/plain"],
                body: HTTPBody { writer in
                    try await writer.write(Texts.page(100_000))
                    throw Broken()
                })
            do {
                _ = try await self.answer(response).bytes
                return false
            } catch is Broken {
                return true
            }
        }
        #expect(isBroken)
    }
}
#endif
