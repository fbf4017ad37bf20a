#if HTTP
import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import HTTPTypes
import Testing

@testable import AsyncIOHTTP

@Suite("Compressed responses", .timeLimit(.minutes(10)))
struct DecodingTests {
    private static func compressed(_ bytes: [UInt8], _ format: DeflateFormat) throws -> [UInt8] {
        try Deflater(format).deflate(bytes, .finish)
    }

    @Test(
        "are decoded as they are read, and say so no longer", arguments: Setting.everywhere,
        ["gzip", "x-gzip", "deflate", "deflate raw", "gzip, gzip", "identity", "br", "GZIP"])
    func codings(setting: Setting, coding: String) async throws {
        let page = Texts.page(300_000)
        let name = coding == "deflate raw" ? "deflate" : coding
        var body = page
        switch coding {
        case "deflate": body = try Self.compressed(page, .zlib)
        case "deflate raw": body = try Self.compressed(page, .raw(windowBits: 15))
        case "gzip, gzip": body = try Self.compressed(Self.compressed(page, .gzip), .gzip)
        case "identity", "br": break
        default: body = try Self.compressed(page, .gzip)
        }
        let sent = body
        let (bytes, fields, asked, progress) = try await withServer(setting, faults: true) { guest in
            while try await guest.request() != nil {
                try await guest.answer("200 OK", ["Content-Encoding: \(name)"], sent)
            }
        } _: { server, client in
            let progress = Locked(HTTPClient.Progress())
            var request = try HTTPClient.Request(.get, server.url())
            request.progress = { now in progress.withLock { $0 = now } }
            let response = try await client.send(request)
            let bytes = try await response.body.bytes()
            return (bytes, response.headerFields, server.requests[0]["accept-encoding"], progress.withLock { $0 })
        }
        #expect(bytes == page && asked == "gzip, deflate")
        let stays = ["identity", "br"].contains(coding)
        #expect((fields[.contentEncoding] != nil) == stays && (fields[.contentLength] != nil) == stays)
        #expect(progress.received == sent.count && progress.receivedTotal == sent.count, "as they came")
    }

    /// E15.
    @Test(
        "that grow beyond a limit are broken off, long before they are big", arguments: Setting.everywhere,
        ["ratio", "size"])
    func bomb(setting: Setting, kind: String) async throws {
        let zeros = try Deflater(.gzip)
        var bomb: [UInt8] = []
        let mebibyte = [UInt8](repeating: 0, count: 1 << 20)
        for _ in 0..<64 { bomb += zeros.deflate(mebibyte) }
        bomb += zeros.deflate([], .finish)
        let sent = bomb
        var configuration = HTTPClient.Configuration.test
        configuration.decompression = HTTPClient.Decompression(
            limit: kind == "size" ? 5 << 20 : nil, ratio: kind == "ratio" ? 250 : 2_000)
        let (reason, got, largest, open) = try await withServer(setting, configuration) { guest in
            _ = try await guest.request()
            try await guest.answer("200 OK", ["Content-Encoding: gzip"], sent)
            try await guest.waitForEnd()
        } _: { server, client in
            let response = try await client.get(server.url())
            let got = Locked(0)
            let largest = Locked(0)
            let reason = await failureReason {
                for try await piece in response.body {
                    got.withLock { $0 += piece.count }
                    largest.withLock { $0 = max($0, piece.count) }
                }
            }
            let again = await failureReason { try await response.body.bytes() }
            return ([reason, again], got.withLock { $0 }, largest.withLock { $0 }, client.statistics.connections)
        }
        #expect(reason == [.decompressionFailed, .decompressionFailed] && open == 0)
        #expect(got <= 20 << 20 && largest <= 64 << 10)
        if kind == "size" { #expect(got <= 5 << 20) }
    }

    @Test(
        "that are broken, cut off or have something behind them are errors", arguments: Setting.simulated,
        ["broken", "cut", "more"])
    func broken(setting: Setting, kind: String) async throws {
        var body = try Self.compressed(Texts.page(100_000), .gzip)
        switch kind {
        case "broken": body[body.count / 2] ^= 0xff
        case "cut": body.removeLast(100)
        default: body += [1, 2, 3]
        }
        let sent = body
        let reason = try await withServer(setting) { guest in
            _ = try await guest.request()
            try await guest.answer("200 OK", ["Content-Encoding: gzip"], sent)
        } _: { server, client in
            await failureReason { try await client.get(server.url()).body.bytes() }
        }
        #expect(reason == .decompressionFailed)
    }

    @Test(
        "stay as they are where nobody wants them decoded, or they are a part of something",
        arguments: Setting.everywhere)
    func untouched(setting: Setting) async throws {
        let page = try Self.compressed(Texts.page(10_000), .gzip)
        var configuration = HTTPClient.Configuration.test
        configuration.decompression = nil
        let (plain, asked) = try await withServer(setting, configuration) { guest in
            while try await guest.request() != nil {
                try await guest.answer("200 OK", ["Content-Encoding: gzip"], page)
            }
        } _: { server, client in
            (try await client.get(server.url()).body.bytes(), server.requests[0]["accept-encoding"])
        }
        #expect(plain == page && asked == nil)
        let (part, askedForPart) = try await withServer(setting) { guest in
            _ = try await guest.request()
            try await guest.answer("206 Partial Content", ["Content-Encoding: gzip"], Array(page[5..<50]))
        } _: { server, client in
            let bytes = try await client.get(server.url(), headerFields: [.range: "bytes=5-49"]).body.bytes()
            return (bytes, server.requests[0]["accept-encoding"])
        }
        #expect(part == Array(page[5..<50]) && askedForPart == nil)
    }

    @Test("without a body are left alone: HEAD, 304, a length of zero", arguments: Setting.everywhere)
    func nothing(setting: Setting) async throws {
        let bodies = try await withServer(setting) { guest in
            while let request = try await guest.request() {
                let status = request.target == "/304" ? "304 Not Modified" : "200 OK"
                let length = request.target == "/0" ? 0 : 5
                try await guest.send(
                    "HTTP/1.1 \(status)\r\nContent-Encoding: gzip\r\nContent-Length: \(length)\r\n\r\n")
            }
        } _: { server, client in
            [
                try await client.head(server.url()).body.bytes(), try await client.get(server.url("/304")).body.bytes(),
                try await client.get(server.url("/0")).body.bytes(),
            ]
        }
        #expect(bodies == [[], [], []])
    }
}
#endif
