#if HTTP
import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import HTTPTypes
import Testing

@testable import AsyncIOHTTP

@Suite("A client and a server", .timeLimit(.minutes(10)))
struct ExchangeTests {
    @Test("a request has what the rules ask for, and nothing else", arguments: Setting.everywhere)
    func request(setting: Setting) async throws {
        let lines = try await withServer(setting) { guest in
            while try await guest.request() != nil { try await guest.answer("204 No Content") }
        } _: { server, client in
            _ = try await client.get(server.url("/a?b#c"), headerFields: [.accept: "text/html"])
            _ = try await client.post(server.url(), body: "hello")
            _ = try await client.post(server.url(), body: .empty)
            _ = try await client.delete(server.url())
            return server.requests.map { request in
                ([request.line] + request.fields.map { "\($0.name): \($0.value)" } + [request.text])
                    .joined(separator: "\n").replacing(":\(server.port)", with: "")
            }
        }
        let own = "user-agent: swift-asyncio\naccept-encoding: gzip, deflate\n"
        #expect(lines[0] == "GET /a?b HTTP/1.1\nhost: 127.0.0.1\naccept: text/html\n\(own)")
        #expect(lines[1] == "POST / HTTP/1.1\nhost: 127.0.0.1\n\(own)content-length: 5\nhello")
        #expect(lines[2] == "POST / HTTP/1.1\nhost: 127.0.0.1\n\(own)content-length: 0\n")
        #expect(lines[3] == "DELETE / HTTP/1.1\nhost: 127.0.0.1\n\(own)")
    }

    @Test("no protocol's name goes into the head that is none", arguments: Setting.everywhere)
    func upgradeNames(setting: Setting) async throws {
        let names = ["", "a\r\nX: 1", "a b", "a,,b", "a/b/c", "a/", "é", ","]
        let (reasons, connections) = try await withServer(setting) { guest in
            try await guest.waitForEnd()
        } _: { server, client in
            var reasons: [HTTPClientError.Reason?] = []
            for name in names {
                let request = try HTTPClient.Request(.get, server.url())
                reasons.append(await failureReason { try await client.upgrade(request, to: name) })
            }
            return (reasons, server.connections)
        }
        #expect(reasons == names.map { _ in .invalidRequest })
        #expect(connections == 0)
    }

    @Test("204 and 304 have no body, whatever length they tell", arguments: Setting.everywhere)
    func lengthWithoutBody(setting: Setting) async throws {
        let (codes, connections) = try await withServer(setting) { guest in
            while let request = try await guest.request() {
                let code = request.target.dropFirst()
                try await guest.send("HTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\n\r\n")
                try await guest.send("HTTP/1.1 \(code) X\r\nContent-Length: 5\r\nETag: \"1\"\r\n\r\n")
            }
        } _: { server, client in
            var codes: [Int] = []
            for code in [204, 304, 204] {
                let response = try await client.get(server.url("/\(code)"))
                codes.append(response.status.code + (try await response.body.bytes().count))
            }
            return (codes, server.connections)
        }
        #expect(codes == [204, 304, 204])
        #expect(connections == 1)
    }

    @Test("bodies come whole, however their end is told", arguments: Setting.everywhere)
    func bodies(setting: Setting) async throws {
        let sizes = [0, 1, 65_536, 300_000]
        let same = try await withServer(setting, faults: true) { guest in
            while let request = try await guest.request() {
                let parts = request.target.split(separator: "/")
                let body = Bytes.pattern(Int(parts[1]) ?? 0)
                switch parts[0] {
                case "length": try await guest.answer("200 OK", [], body)
                case "chunks":
                    try await guest.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                    for start in stride(from: 0, to: body.count, by: 50_001) {
                        let chunk = Array(body[start...].prefix(50_001))
                        try await guest.send("\(String(chunk.count, radix: 16));ext=1\r\n")
                        try await guest.send(chunk + [13, 10])
                    }
                    try await guest.send("0\r\nX-Sum: 42\r\n\r\n")
                default:
                    try await guest.send("HTTP/1.0 200 OK\r\n\r\n")
                    try await guest.send(body)
                    return
                }
            }
        } _: { server, client in
            var same: [String: Bool] = [:]
            for kind in ["length", "chunks", "end"] {
                for size in sizes {
                    let response = try await client.get(server.url("/\(kind)/\(size)"))
                    let bytes = try await response.body.bytes(upTo: 1 << 20)
                    same["\(kind) \(size)"] = bytes == Bytes.pattern(size)
                    let sum = HTTPField.Name("X-Sum").flatMap { response.body.trailerFields?[$0] }
                    if kind == "chunks" { same["trailer \(size)"] = sum == "42" }
                }
            }
            return same
        }
        #expect(same.values.allSatisfy { $0 }, "\(same)")
        #expect(same.count == 16)
    }

    @Test("a response to HEAD, 204 and 304 has no body, whatever its length says", arguments: Setting.everywhere)
    func noBody(setting: Setting) async throws {
        let (bodies, connections) = try await withServer(setting) { guest in
            while let request = try await guest.request() {
                let status = request.method == "HEAD" ? "200 OK" : String(request.target.dropFirst())
                try await guest.send("HTTP/1.1 \(status)\r\nContent-Length: 1000\r\n\r\n")
            }
        } _: { server, client in
            var bodies = [try await client.head(server.url()).body.bytes()]
            bodies.append(try await client.get(server.url("/304")).body.bytes())
            bodies.append(try await client.get(server.url("/204")).body.bytes())
            bodies.append(try await client.head(server.url()).body.bytes())
            return (bodies, server.connections)
        }
        #expect(bodies == [[], [], [], []] && connections == 1)
    }

    @Test("a body that is cut off is an error, not an end", arguments: Setting.everywhere)
    func truncated(setting: Setting) async throws {
        let answers = [
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123",
        ]
        let errors = try await withServer(setting) { guest in
            _ = try await guest.request()
            try await guest.send(answers[guest.number])
        } _: { server, client in
            var errors: [String] = []
            for _ in answers {
                let response = try await client.get(server.url())
                for _ in 0..<2 {
                    let failure = await thrown { try await response.body.bytes() }
                    errors.append(failure.map { "\($0)" } ?? "none")
                }
            }
            return errors
        }
        #expect(errors.allSatisfy { $0.contains("502") }, "\(errors)")
    }

    @Test(
        "a response that breaks the rules is refused",
        arguments: [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
            "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n12345",
            "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "ICY 200 OK\r\n\r\n", "220 mail.example ESMTP\r\n",
            "HTTP/1.1 200 OK\r\nX Y: 1\r\n\r\n", "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
            "HTTP/1.1 200 OK\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\n12345\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: \(String(repeating: "a", count: 40_000))\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            String(repeating: "HTTP/1.1 103 Early Hints\r\n\r\n", count: 100)
                + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ])
    func refused(answer: String) async throws {
        let failure = try await withServer(Setting.simulated[0]) { guest in
            _ = try await guest.request()
            try await guest.send(answer)
            try await guest.waitForEnd()
        } _: { server, client in
            await thrown { try await client.get(server.url()).body.bytes() }
        }
        #expect((failure as? HTTPError)?.status == .badGateway, "\(failure.map { "\($0)" } ?? "none")")
    }

    @Test("what comes before the response that counts is skipped", arguments: Setting.everywhere)
    func informational(setting: Setting) async throws {
        let (status, head) = try await withServer(setting) { guest in
            while try await guest.request() != nil {
                try await guest.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
                try await guest.answer("200 OK")
            }
        } _: { server, client in
            (try await client.get(server.url()).status, try await client.head(server.url()).status)
        }
        #expect(status == .ok && head == .ok)
    }

    @Test("a body that is made while it is sent goes in chunks, with its trailers", arguments: Setting.everywhere)
    func chunkedUpload(setting: Setting) async throws {
        let pieces = [1, 100_000, 3, 20_000].map { Bytes.pattern($0) }
        let request = try await withServer(setting, faults: true) { guest in
            _ = try await guest.request()
            try await guest.answer()
        } _: { server, client in
            let body = HTTPBody { writer in
                for piece in pieces { try await writer.write(piece) }
                if let name = HTTPField.Name("X-Sum") { writer.trailerFields[name] = "7" }
            }
            _ = try await client.post(server.url(), body: body).expectSuccess()
            return server.requests[0]
        }
        #expect(request.body == Array(pieces.joined()) && request.chunks == 4)
        #expect(request.trailers == ["X-Sum: 7"] && request["transfer-encoding"] == "chunked")
    }

    @Test(
        "a length that is promised is kept: too much and too little break the request off",
        arguments: Setting.everywhere)
    func promisedLength(setting: Setting) async throws {
        let (reasons, sent) = try await withServer(setting) { guest in
            _ = try await guest.request()
            try await guest.answer()
        } _: { server, client in
            var reasons: [HTTPClientError.Reason?] = []
            for size in [9, 11] {
                let body = HTTPBody(length: 10) { (writer: any HTTPBodyWriter) in
                    try await writer.write(Bytes.pattern(size))
                }
                reasons.append(await failureReason { try await client.post(server.url(), body: body) })
            }
            let body = HTTPBody(length: 10) { (writer: any HTTPBodyWriter) in try await writer.write(Bytes.pattern(10))
            }
            _ = try await client.post(server.url(), body: body).expectSuccess()
            return (reasons, server.requests.last?["content-length"])
        }
        #expect(reasons == [.invalidRequest, .invalidRequest] && sent == "10")
    }

    @Test("what the maker of a body throws is what the request throws", arguments: Setting.everywhere)
    func failingBody(setting: Setting) async throws {
        struct Broken: Error {}
        let (error, idle) = try await withServer(setting) { guest in
            _ = try await guest.request()
            try await guest.answer()
        } _: { server, client in
            let body = HTTPBody { writer in
                try await writer.write("part")
                throw Broken()
            }
            let failure = await thrown { try await client.post(server.url(), body: body) }
            return (failure, client.statistics.connections)
        }
        #expect(error is Broken && idle == 0)
    }

    @Test("both ways at the same time: what is sent comes back while more is sent", arguments: Setting.everywhere)
    func bothWays(setting: Setting) async throws {
        let echoed = try await withServer(setting) { guest in
            _ = try await guest.head()
            try await guest.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while let chunk = try await guest.chunk(), !chunk.isEmpty {
                try await guest.send("\(String(chunk.count, radix: 16))\r\n")
                try await guest.send(chunk + [13, 10])
            }
            try await guest.send("0\r\n\r\n")
            try await guest.waitForEnd()
        } _: { server, client in
            let (sender, receiver) = Channel<[UInt8]>.make(capacity: 1, name: "pieces")
            let body = HTTPBody { writer in
                while let piece = try await receiver.next() {
                    try await writer.write(piece)
                    try await writer.flush()
                }
            }
            try await sender.send(Array("0".utf8))
            let response = try await client.post(server.url(), body: body)
            var echoed: [String] = []
            for try await piece in response.body {
                echoed.append(String(decoding: piece, as: UTF8.self))
                if echoed.count < 5 { try await sender.send(Array("\(echoed.count)".utf8)) } else { sender.finish() }
            }
            return echoed
        }
        #expect(echoed == ["0", "1", "2", "3", "4"])
    }

    @Test("a server that has heard enough is heard, and the rest is not sent", arguments: Setting.everywhere)
    func earlyAnswer(setting: Setting) async throws {
        let (status, text, connections) = try await withServer(setting) { guest in
            _ = try await guest.head()
            try await guest.answer("413 Content Too Large", [], "no")
            try await guest.waitForEnd()
        } _: { server, client in
            let body = HTTPBody { writer in while true { try await writer.write(Bytes.pattern(65_536)) } }
            let response = try await client.post(server.url(), body: body)
            return (response.status, try await response.body.text(), client.statistics.connections)
        }
        #expect(status == .contentTooLarge && text == "no" && connections == 0)
    }

    @Test("a file is sent, and again after a redirect", arguments: Setting.all)
    func file(setting: Setting) async throws {
        let bytes = Bytes.pattern(200_000)
        let bodies = try await withServer(setting) { guest in
            while let request = try await guest.request() {
                if request.target == "/" { try await guest.answer("307 Temporary Redirect", ["Location: /there"]) }
                try await guest.answer()
            }
        } _: { server, client in
            try await withTemporaryFolder(on: server.loop) { folder in
                let path = folder.appending("body")
                try await File.writeAll(path, bytes, on: server.loop)
                let file = try await File.open(path, on: server.loop)
                let response = try await client.put(server.url(), body: HTTPBody(file: file, range: 5..<200_000))
                try response.expectSuccess()
                return server.requests.map(\.body)
            }
        }
        #expect(bodies == [Array(bytes[5...]), Array(bytes[5...])])
    }
}
#endif
