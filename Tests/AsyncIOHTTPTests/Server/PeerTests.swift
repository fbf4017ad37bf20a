#if HTTP
import AsyncIO
import AsyncIOHTTP
import AsyncIOTestSupport
import Testing

/// Programs of other people, where they are installed.
@Suite("An HTTP server and other people's clients", .timeLimit(.minutes(10)))
struct PeerTests {
    /// What a program has printed; nil, with a word about it, if it is not installed.
    private func output(_ program: String, _ arguments: [String], input: ProcessInput = .null) async throws -> [UInt8]?
    {
        do {
            let result = try await Process.run(program, arguments, input: input)
            #expect(result.status == .exited(0), "\(program) \(arguments): \(result.errorText)")
            return result.output
        } catch let error as IOError where error.code == .noSuchFileOrDirectory {
            print("skipped: \(program) is not installed")
            return nil
        }
    }

    private func withServer(
        _ setting: Setting, _ body: @escaping @Sendable (EventLoop, String) async throws -> Void
    ) async throws {
        try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let server = HTTPServer()
            async let serving: Void = server.serve(listener) { request in
                let sent = try await request.body.bytes(upTo: 1 << 24)
                let fields: HTTPFields = [.eTag: "\"\(request.method) \(request.version)\""]
                if request.target == "/chunks" {
                    return HTTPServer.Response(headerFields: fields, body: HTTPBody { try await $0.write(sent) })
                }
                return HTTPServer.Response(headerFields: fields, body: HTTPBody(sent))
            }
            try await body(loop, "http://127.0.0.1:\(listener.address.port ?? 0)")
            try await server.shutdown(grace: .seconds(5))
            try await serving
        }
    }

    @Test("curl gets back what it has sent: of both versions, in chunks or not", arguments: Setting.onRealLoop)
    func curl(setting: Setting) async throws {
        try await withServer(setting) { _, url in
            let scratch = try Scratch()
            let bytes = Bytes.pattern(3_000_000)
            let path = try scratch.file("upload", bytes)
            for version in ["--http1.0", "--http1.1"] {
                for framing in [[], ["-H", "Transfer-Encoding: chunked"]]
                where version == "--http1.1" || framing.isEmpty {
                    for place in ["/", "/chunks"] {
                        let arguments = ["-sS", version, "--data-binary", "@\(path)"] + framing + [url + place]
                        guard let back = try await self.output("curl", arguments) else { return }
                        #expect(back == bytes, "\(arguments)")
                    }
                }
            }
            let expecting = [
                "-sS", "-T", path, "-H", "Expect: 100-continue", url + "/", "-w", "%{http_code}", "-o", "/dev/null",
            ]
            #expect(try await self.output("curl", expecting).map { String(decoding: $0, as: UTF8.self) } == "200")
        }
    }

    @Test("curl asks for a head, and for many things at once", arguments: Setting.onRealLoop)
    func manyCurls(setting: Setting) async throws {
        try await withServer(setting) { _, url in
            guard let head = try await self.output("curl", ["-sSI", url + "/chunks"]) else { return }
            #expect(String(decoding: head, as: UTF8.self).contains("ETag: \"HEAD HTTP/1.1\"\r\n"))
            let many = ["-sS", "--parallel", "--parallel-max", "50", "-d", "x", "\(url)/?[1-200]"]
            #expect(try await self.output("curl", many) == [UInt8](repeating: 0x78, count: 200))
        }
    }

    @Test("curl comes over a Unix socket", arguments: Setting.onRealLoop)
    func unix(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let scratch = try Scratch()
            let listener = try await UnixListener.bind(scratch["socket"], on: loop)
            async let serving: Void = HTTPServer().serve(listener) { request in .text(request.authority ?? "") }
            let answer = try await self.output("curl", ["-sS", "--unix-socket", scratch["socket"], "http://name/"])
            if let answer { #expect(String(decoding: answer, as: UTF8.self) == "name") }
            listener.shutdown()
            try await serving
        }
    }

    @Test("nc, which half-closes, gets its answer", arguments: Setting.onRealLoop)
    func netcat(setting: Setting) async throws {
        try await withServer(setting) { _, url in
            let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nping"
            let port = String(url.split(separator: ":").last ?? "")
            let input = ProcessInput.bytes(Array(request.utf8))
            guard let answer = try await self.output("nc", ["-N", "127.0.0.1", port], input: input) else { return }
            #expect(String(decoding: answer, as: UTF8.self).hasSuffix("\r\n\r\nping"))
        }
    }
}
#endif
