#if HTTP
import AsyncIO
import AsyncIOHTTP
import AsyncIOTestSupport
import AsyncIOTesting
import Testing

@Suite("A client whose handler takes its time", .timeLimit(.minutes(10)))
struct ClientGoneTests {
    /// How a handler that would go on for ever has ended.
    private final class Ending: Sendable {
        let begun = Gate()
        let ended = Gate()
        private let end = Locked<Instant?>(nil)
        var instant: Instant? { end.withLock { $0 } }

        func handler(_ request: HTTPServer.Request) async throws -> HTTPServer.Response {
            let loop = try EventLoop.required()
            begun.open()
            defer {
                end.withLock { $0 = loop.now }
                ended.open()
            }
            try await loop.sleep(for: .seconds(3_600))
            return .text("late")
        }
    }

    enum Leaving: String, Sendable, CaseIterable { case close, reset, laterClose }

    @Test(
        "has it cancelled within 100 ms when it goes away", arguments: Setting.onRealLoop + Setting.simulated,
        Leaving.allCases)
    func gone(setting: Setting, leaving: Leaving) async throws {
        let waited = try await withLoop(setting, faults: SimulationFaults()) { loop in
            let ending = Ending()
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let server = HTTPServer()
            async let serving: Void = server.serve(listener, ending.handler)
            let client = try await TCPStream.connect(to: listener.address, on: loop)
            try await client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await ending.begun.pass()
            if leaving == .laterClose { try await loop.sleep(for: .milliseconds(200)) }
            let begin = loop.now
            if leaving == .reset { client.abort() } else { client.close() }
            await ending.ended.pass()
            let waited = begin.duration(to: ending.instant ?? .distantFuture)
            listener.shutdown()
            try await serving
            return waited
        }
        // On a machine that builds beside the tests a timer may be late.
        #expect(waited < (setting.isSimulated ? .milliseconds(100) : .milliseconds(1_000)))
    }

    @Test(
        "gets its answer if it has only half-closed", arguments: Setting.onRealLoop + Setting.simulated, ["1.1", "1.0"])
    func halfClosed(setting: Setting, version: String) async throws {
        let answer = try await withLoop(setting, faults: SimulationFaults()) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let server = HTTPServer()
            async let serving: Void = server.serve(listener) { _ in
                try await loop.sleep(for: .milliseconds(300))
                return .text("patience")
            }
            let client = try await TCPStream.connect(to: listener.address, on: loop)
            try await client.write("GET / HTTP/\(version)\r\nHost: a\r\n\r\n")
            try await client.closeWriting()
            var all: [UInt8] = []
            while let bytes = try await client.read() { all += bytes }
            client.close()
            listener.shutdown()
            try await serving
            return String(decoding: all, as: UTF8.self)
        }
        #expect(answer.hasSuffix("\r\n\r\npatience"))
        #expect(Wire.statuses(in: answer) == (version == "1.1" ? [100, 200] : [200]))
    }

    @Test(
        "may send its next requests meanwhile, as many as are kept; they are answered in order",
        arguments: Setting.onLoop)
    func pipelined(setting: Setting) async throws {
        let answer = try await withLoop(setting, faults: SimulationFaults()) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            var server = HTTPServer()
            server.limits.pipelinedSize = 100
            let made = server
            async let serving: Void = made.serve(listener) { request in
                try await loop.sleep(for: .milliseconds(60))
                return .text(request.target)
            }
            let client = try await TCPStream.connect(to: listener.address, on: loop)
            for number in 1...6 {
                try await client.write("GET /\(number) HTTP/1.1\r\nHost: a\r\n\r\n")
                try await loop.sleep(for: .milliseconds(40))
            }
            try await client.write("GET /7 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            var all: [UInt8] = []
            while let bytes = try await client.read() { all += bytes }
            client.close()
            listener.shutdown()
            try await serving
            return String(decoding: all, as: UTF8.self)
        }
        let bodies = answer.split(separator: "\r\n\r\n").dropFirst().map { $0.prefix(2) }
        #expect(bodies == ["/1", "/2", "/3", "/4", "/5", "/6", "/7"])
    }

    @Test("has a body that is made for ever ended, when it goes away", arguments: Setting.onRealLoop)
    func endlessBody(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            let (begun, ended) = (Gate(), Gate())
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            async let serving: Void = HTTPServer().serve(listener) { _ in
                HTTPServer.Response(
                    body: HTTPBody { writer in
                        defer { ended.open() }
                        try await writer.write("data: first\n\n")
                        try await writer.flush()
                        begun.open()
                        // Nothing to say for long: only the client's leaving can end this.
                        try await loop.sleep(for: .seconds(3_600))
                    })
            }
            let client = try await TCPStream.connect(to: listener.address, on: loop)
            try await client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await begun.pass()
            // Longer than a half-close right behind the request would be taken for one.
            try await loop.sleep(for: .milliseconds(100))
            client.close()
            await ended.pass()
            listener.shutdown()
            try await serving
        }
    }
}
#endif
