#if TLS
import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTLS
import AsyncIOTestSupport
import Testing

@Suite("A running stream that goes on by TLS", .timeLimit(.minutes(5)), .enabled(if: Workshop.hasOpenSSL))
struct StartTLSTests {
    @Test("is the same connection, and safe", arguments: Setting.onLoop)
    func startTLS(_ setting: Setting) async throws {
        let workshop = try Workshop.shared.get()
        let (acceptor, connector) = (try workshop.acceptor("good"), try workshop.connector())
        let word = try await withLoop(setting) { loop in
            let (near, far) = MemoryStream.pair()
            let server = loop.spawn(name: "server") {
                let reader = BufferedReader(far)
                guard try await reader.readLine() == "STARTTLS" else { return }
                try await far.write("220 go ahead\r\n")
                let safe = try await reader.startTLS(tls: acceptor)
                try await safe.write("secret")
                safe.close()
            }
            let reader = BufferedReader(near)
            try await near.write("STARTTLS\r\n")
            _ = try await reader.readLine()
            let safe = try await reader.startTLS(host: "localhost", tls: connector)
            let word = try await safe.read() ?? []
            safe.close()
            try await server.value
            return String(decoding: word, as: UTF8.self)
        }
        #expect(word == "secret")
    }

    @Test("takes nothing that was put in before the handshake", arguments: Setting.onLoop, [true, false])
    func injection(_ setting: Setting, _ atServer: Bool) async throws {
        let workshop = try Workshop.shared.get()
        let (acceptor, connector) = (try workshop.acceptor("good"), try workshop.connector())
        let (reason, end) = try await withLoop(setting) { loop in
            let (near, far) = MemoryStream.pair()
            try await near.write("STARTTLS\r\nRCPT TO:<victim@example.test>\r\n")
            let reader = BufferedReader(far)
            _ = try await reader.readLine()
            var reason: TLSError.Reason?
            do {
                _ =
                    atServer
                    ? try await reader.startTLS(tls: acceptor)
                    : try await reader.startTLS(host: "localhost", tls: connector)
            } catch let error as TLSError { reason = error.reason }
            return (reason, try await near.read())
        }
        #expect(reason == .bytesBeforeHandshake && end == nil)
    }
}
#endif
