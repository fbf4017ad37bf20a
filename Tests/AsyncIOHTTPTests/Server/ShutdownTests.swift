#if HTTP
import AsyncIO
import AsyncIOHTTP
import AsyncIOTestSupport
import AsyncIOTesting
import Testing

@Suite("The end of an HTTP server", .timeLimit(.minutes(10)))
struct HTTPShutdownTests {
    private static let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    @Test("closes idle connections at once, and lets requests end, which are the last", arguments: Setting.everywhere)
    func graceful(setting: Setting) async throws {
        let (idle, busy) = try await withLoop(setting, faults: SimulationFaults()) { loop in
            let (begun, finish) = (Gate(), Gate())
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let server = HTTPServer()
            async let serving: Void = server.serve(listener) { request in
                if request.target == "/slow" {
                    begun.open()
                    await finish.pass()
                }
                return .text("done")
            }
            let first = try await TCPStream.connect(to: listener.address, on: loop)
            try await first.write(Self.get)
            let answered = try await first.read()
            #expect(answered != nil)
            let second = try await TCPStream.connect(to: listener.address, on: loop)
            try await second.write("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            await begun.pass()
            async let ending: Void = server.shutdown(grace: .seconds(30))
            // The idle one ends while the other goes on.
            let idle = try await first.read()
            finish.open()
            var all: [UInt8] = []
            while let bytes = try await second.read() { all += bytes }
            try await ending
            try await serving
            first.close()
            second.close()
            return (idle, String(decoding: all, as: UTF8.self))
        }
        #expect(idle == nil)
        #expect(busy.contains("Connection: close\r\n") && busy.hasSuffix("done"))
    }

    @Test("cancels handlers when the grace period is over", arguments: Setting.timeless)
    func cancelled(setting: Setting) async throws {
        let seconds = try await withLoop(setting, faults: SimulationFaults()) { loop in
            let begun = Gate()
            let (client, stream) = MemoryStream.pair()
            let server = HTTPServer()
            async let serving: Void = server.serve(stream: stream, on: loop) { _ in
                begun.open()
                try await loop.sleep(for: .seconds(3_600))
                return .text("late")
            }
            try await client.write(Self.get)
            await begun.pass()
            let begin = loop.now
            try await server.shutdown(grace: .seconds(7))
            try await serving
            let seconds = begin.duration(to: loop.now).components.seconds
            client.close()
            return seconds
        }
        #expect(seconds == 7)
    }

    @Test("is at once when the serving task is cancelled", arguments: Setting.onLoop)
    func cancelledTask(setting: Setting) async throws {
        try await withLoop(setting, faults: SimulationFaults()) { loop in
            let begun = Gate()
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let serving = Task(executorPreference: loop) {
                try await HTTPServer().serve(listener) { _ in
                    begun.open()
                    try await loop.sleep(for: .seconds(3_600))
                    return .text("late")
                }
            }
            let client = try await TCPStream.connect(to: listener.address, on: loop)
            try await client.write(Self.get)
            await begun.pass()
            serving.cancel()
            try await serving.value
            client.close()
        }
    }
}
#endif
