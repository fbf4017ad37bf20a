#if TLS
import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTLS
import AsyncIOTestSupport
import Testing

@Suite("A connection by TLS", .timeLimit(.minutes(5)), .enabled(if: Workshop.hasOpenSSL))
struct TLSConnectionTests {
    /// Runs a body with both ends of a connection, and the ends beneath them.
    private func withPair<Result: Sendable>(
        _ setting: Setting, protocols: ([String], [String]) = ([], []),
        _ body: @escaping @Sendable (TLSStream, TLSStream, MemoryStream, MemoryStream) async throws -> Result
    ) async throws -> Result {
        let workshop = try Workshop.shared.get()
        let connector = try workshop.connector { $0.applicationProtocols = protocols.0 }
        let acceptor = try workshop.acceptor("good") { $0.applicationProtocols = protocols.1 }
        return try await withLoop(setting) { loop in
            let (near, far) = MemoryStream.pair()
            let (client, server) = try await safePair(over: (near, far), tls: acceptor, connector, on: loop)
            return try await body(client, server, near, far)
        }
    }

    @Test("that is cut without close_notify throws, each time, and is no end", arguments: Setting.everywhere)
    func truncated(_ setting: Setting) async throws {
        let (first, reasons) = try await withPair(setting) { client, server, _, far in
            try await server.write("beginning")
            try await far.closeWriting()
            let first = try await client.read()
            var reasons: [TLSError.Reason] = []
            for _ in 0..<2 {
                do { _ = try await client.read() } catch let error as TLSError { reasons.append(error.reason) }
            }
            return (first, reasons)
        }
        #expect(first == Array("beginning".utf8) && reasons == [.truncated, .truncated])
    }

    @Test("delivers what comes in one burst with the end", arguments: Setting.everywhere)
    func burst(_ setting: Setting) async throws {
        let total = 1 << 20
        let count = try await withPair(setting) { client, server, _, _ in
            let writer = server.loop.spawn(name: "writer") {
                try await server.write([UInt8](repeating: 5, count: total))
                server.close()
            }
            var count = 0
            while let bytes = try await client.read() { count += bytes.count }
            try await writer.value
            return count
        }
        #expect(count == total)
    }

    @Test("that was changed on its way throws, and takes nothing more", arguments: Setting.onLoop)
    func corrupted(_ setting: Setting) async throws {
        let reasons = try await withPair(setting) { client, _, _, far in
            // A record of application data that nobody has encrypted.
            try await far.write([23, 3, 3, 0, 32] + [UInt8](repeating: 9, count: 32))
            var reason: TLSError.Reason?
            do { _ = try await client.read() } catch let error as TLSError { reason = error.reason }
            var second: TLSError.Reason?
            do { try await client.write("no") } catch let error as TLSError { second = error.reason }
            return [reason, second]
        }
        #expect(reasons == [.corrupted, .corrupted])
    }

    @Test("agrees on what is spoken inside, and knows its peer", arguments: Setting.onLoop)
    func applicationProtocols(_ setting: Setting) async throws {
        let (agreed, names) = try await withPair(setting, protocols: (["h2", "http/1.1"], ["http/1.1"])) {
            client, server, _, _ in
            ([client.applicationProtocol, server.applicationProtocol], client.peerNames)
        }
        #expect(agreed == ["http/1.1", "http/1.1"] && names == ["localhost", "127.0.0.1"])
    }

    @Test("goes on after a write that was cancelled", arguments: Setting.everywhere)
    func cancelledWrite(_ setting: Setting) async throws {
        let (count, last) = try await withPair(setting) { client, server, _, _ in
            let writer = Task { try await server.write([UInt8](repeating: 1, count: 1 << 20)) }
            _ = try await client.read(upTo: 1)
            writer.cancel()
            let isCancelled: Bool
            do {
                try await writer.value
                isCancelled = false
            } catch is CancellationError { isCancelled = true }
            let rest = server.loop.spawn(name: "rest") {
                try await server.write([2])
                server.close()
            }
            var (count, last) = (1, UInt8(0))
            while let bytes = try await client.read() {
                count += bytes.count
                last = bytes.last ?? last
            }
            try await rest.value
            return (isCancelled ? count : 0, last)
        }
        #expect(count > 1 && count < 1 << 20 && last == 2)
    }

    @Test("whose client says nothing, or never ends to, is over in time", arguments: Setting.timeless)
    func handshakeTimeout(_ setting: Setting) async throws {
        let workshop = try Workshop.shared.get()
        let (acceptor, connector) = (try workshop.acceptor("good"), try workshop.connector())
        let (reasons, passed) = try await withLoop(setting) { loop in
            var reasons: [TLSError.Reason] = []
            let start = loop.now
            let (near, far) = MemoryStream.pair()
            do { _ = try await TLSStream.server(over: far, tls: acceptor, on: loop) } catch let error as TLSError {
                reasons.append(error.reason)
            }
            let (other, silent) = MemoryStream.pair()
            do { _ = try await TLSStream.client(over: other, host: "localhost", tls: connector, on: loop) } catch let
                error as TLSError
            { reasons.append(error.reason) }
            near.close()
            silent.close()
            return (reasons, start.duration(to: loop.now))
        }
        #expect(reasons == [.handshakeTimeout, .handshakeTimeout])
        #expect(passed >= .seconds(20) && passed < .seconds(21))
    }

    @Test("to which HTTP is spoken, or anything else, says so", arguments: Setting.onLoop)
    func plainHTTP(_ setting: Setting) async throws {
        let acceptor = try Workshop.shared.get().acceptor("good")
        let connector = try Workshop.shared.get().connector()
        let reasons = try await withLoop(setting) { loop in
            var reasons: [TLSError.Reason] = []
            for words in ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "SSH-2.0-OpenSSH_9.6\r\n"] {
                let (near, far) = MemoryStream.pair()
                try await near.write(words)
                do { _ = try await TLSStream.server(over: far, tls: acceptor, on: loop) } catch let error as TLSError {
                    reasons.append(error.reason)
                }
            }
            let (near, far) = MemoryStream.pair()
            try await far.write("220 mail.example.test ESMTP\r\n")
            do { _ = try await TLSStream.client(over: near, host: "localhost", tls: connector, on: loop) } catch let
                error as TLSError
            { reasons.append(error.reason) }
            return reasons
        }
        #expect(reasons == [.plainHTTP, .notTLS, .notTLS])
    }

    @Test("shows another certificate from the next one on, while the last goes on", arguments: Setting.onLoop)
    func replacedIdentity(_ setting: Setting) async throws {
        let workshop = try Workshop.shared.get()
        let (acceptor, connector) = (try workshop.acceptor("good"), try workshop.connector())
        let renewed = try workshop.identity("wildcard")
        let (names, word) = try await withLoop(setting) { loop in
            let (old, oldServer) = try await safePair(over: MemoryStream.pair(), tls: acceptor, connector, on: loop)
            try acceptor.replaceIdentity(renewed)
            let (new, _) = try await safePair(
                over: MemoryStream.pair(), host: "a.example.test", tls: acceptor, connector, on: loop)
            try await oldServer.write("still")
            return (new.peerNames, String(decoding: try await old.read() ?? [], as: UTF8.self))
        }
        #expect(names == ["*.example.test"] && word == "still")
    }

    @Test("ends soon, whatever prefix of a handshake comes and then garbage or the end", arguments: [true, false])
    func anyPrefix(_ endsEarly: Bool) async throws {
        let workshop = try Workshop.shared.get()
        let (acceptor, connector) = (try workshop.acceptor("good"), try workshop.connector())
        let count = try await withLoop(try #require(Setting.onLoop.first)) { loop in
            let (near, recorder) = MemoryStream.pair()
            let client = loop.spawn(name: "client") {
                _ = try? await TLSStream.client(over: near, host: "localhost", tls: connector, on: loop)
            }
            let hello = try await recorder.read() ?? []
            recorder.close()
            try await client.value
            var refused = 0
            for length in stride(from: 0, to: hello.count, by: 7) {
                let (near, far) = MemoryStream.pair()
                try await near.write(Array(hello[..<length]))
                // An alert in the handshake (close_notify), many times, or nothing more.
                if !endsEarly { for _ in 0..<100 { try await near.write([21, 3, 3, 0, 2, 1, 0]) } }
                try await near.closeWriting()
                do { _ = try await TLSStream.server(over: far, tls: acceptor, on: loop) } catch is TLSError {
                    refused += 1
                }
            }
            return (refused, (hello.count + 6) / 7)
        }
        #expect(count.0 == count.1)
    }
}
#endif
