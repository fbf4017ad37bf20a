#if TLS
import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTLS
import AsyncIOTestSupport
import Foundation
import Testing

/// A command under way, whose output is read to the end.
private func run(_ program: String, _ arguments: [String], input: String = "") async throws -> String {
    try await onThread {
        let process = Foundation.Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        let (words, output) = (Foundation.Pipe(), Foundation.Pipe())
        process.standardInput = words
        process.standardOutput = output
        process.standardError = output
        try process.run()
        words.fileHandleForWriting.write(Data(input.utf8))
        words.fileHandleForWriting.closeFile()
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: bytes, as: UTF8.self)
    }
}

@Suite("TLS with other implementations", .timeLimit(.minutes(5)), .enabled(if: Workshop.hasOpenSSL))
struct PeerTests {
    private static let curl = ["/usr/bin/curl"].first(where: FileManager.default.isExecutableFile)

    /// Serves one answer to each client, and has the body be one.
    private func withServer<Result: Sendable>(
        _ setting: Setting, _ change: (inout TLSConfiguration) -> Void = { _ in },
        _ body: @escaping @Sendable (UInt16, String) async throws -> Result
    ) async throws -> Result {
        let workshop = try Workshop.shared.get()
        let acceptor = try workshop.acceptor("whole", change)
        return try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let server = loop.spawn(name: "server") {
                try await listener.serve(tls: acceptor) { connection in
                    let reader = BufferedReader(connection)
                    while let line = try await reader.readLine(), !line.isEmpty {}
                    let body = "hello by \(connection.version)\n"
                    try await connection.write(
                        "HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\nConnection: close\r\n\r\n\(body)")
                }
            }
            let result = try await body(listener.address.port ?? 0, workshop.scratch["ca.pem"])
            listener.shutdown()
            try await server.value
            return result
        }
    }

    @Test("curl gets its answer, by both versions", .enabled(if: curl != nil), arguments: Setting.onRealLoop)
    func withCurl(_ setting: Setting) async throws {
        let program = try #require(Self.curl)
        for (option, version) in [("--tlsv1.3", "1.3"), ("--tls-max", "1.2")] {
            let options = option == "--tls-max" ? [option, "1.2"] : [option]
            let answer = try await withServer(setting) { port, authority in
                try await run(
                    program, options + ["-sS", "--cacert", authority, "https://localhost:\(port)/", "--ipv4"])
            }
            #expect(answer == "hello by TLS \(version)\n")
        }
    }

    @Test(
        "openssl s_client is content, resumes its session, and finds neither old versions nor old ciphers",
        arguments: Setting.onRealLoop)
    func withClient(_ setting: Setting) async throws {
        let openssl = try #require(Workshop.openssl)
        let session = try Scratch()
        let (first, second, old, chained, sealed) = try await withServer(setting) { port, authority in
            let basis = [
                "s_client", "-connect", "127.0.0.1:\(port)", "-CAfile", authority, "-verify_return_error",
                "-verify_hostname", "localhost", "-ign_eof",
            ]
            let first = try await run(
                openssl, basis + ["-sess_out", session["session"]], input: "GET / HTTP/1.1\r\n\r\n")
            let second = try await run(
                openssl, basis + ["-sess_in", session["session"]], input: "GET / HTTP/1.1\r\n\r\n")
            let old = try await run(
                openssl, basis + ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], input: "GET / HTTP/1.1\r\n\r\n")
            let chained = try await run(
                openssl, basis + ["-tls1_2", "-cipher", "ECDHE+AES+SHA1"], input: "GET / HTTP/1.1\r\n\r\n")
            let sealed = try await run(
                openssl, basis + ["-tls1_2", "-cipher", "ECDHE+AESGCM"], input: "GET / HTTP/1.1\r\n\r\n")
            return (first, second, old, chained, sealed)
        }
        #expect(first.contains("Verify return code: 0 (ok)") && first.contains("hello by TLS 1.3"), "\(first)")
        #expect(first.contains("New, TLSv1.3"))
        #expect(second.contains("Reused, TLSv1.3") && second.contains("hello by TLS 1.3"), "\(second)")
        #expect(!old.contains("hello"))
        #expect(!chained.contains("hello") && sealed.contains("hello by TLS 1.2"), "\(chained) \(sealed)")
    }

    @Test("openssl s_server answers us, and its missing end is told", arguments: Setting.onRealLoop)
    func withSServer(_ setting: Setting) async throws {
        let workshop = try Workshop.shared.get()
        let openssl = try #require(Workshop.openssl)
        let connector = try workshop.connector()
        // A port that was free a moment ago: s_server cannot choose one and tell.
        let port = try await withLoop(setting) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            defer { listener.close() }
            return listener.address.port ?? 0
        }
        let process = Foundation.Process()
        process.executableURL = URL(fileURLWithPath: openssl)
        process.arguments = [
            "s_server", "-accept", "127.0.0.1:\(port)", "-cert", workshop.scratch["good.pem"], "-key",
            workshop.scratch["good.key"], "-quiet", "-www",
        ]
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        // SIGTERM may be blocked: a child has the mask of the thread that started it.
        defer { kill(process.processIdentifier, SIGKILL) }
        let answer = try await withLoop(setting) { loop in
            var connected: TLSStream?
            while connected == nil {
                do {
                    connected = try await TLSStream.connect("127.0.0.1", port, tls: connector, on: loop)
                } catch is AsyncIOKernel.IOError { try await loop.sleep(for: .milliseconds(10)) }
            }
            guard let stream = connected else { return "" }
            try await stream.write("GET / HTTP/1.0\r\n\r\n")
            var answer: [UInt8] = []
            while let bytes = try await stream.read() { answer += bytes }
            stream.close()
            return String(decoding: answer, as: UTF8.self)
        }
        #expect(answer.contains("200 ok") && answer.contains("TLSv1.3"), "\(answer.prefix(200))")
    }
}
#endif
