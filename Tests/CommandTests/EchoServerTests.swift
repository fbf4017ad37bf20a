import Foundation
import Testing

@Suite("asyncio serve echo", .serialized)
struct EchoServerTests {
    @Test("sends back what it gets, on each of its loops", arguments: ["1", "3"])
    func echo(_ loops: String) async throws {
        try await blocking {
            let server = try RunningCommand("serve", "echo", "--port", "0", "--loops", loops, "--driver", "epoll")
            let port = try server.port()
            let callers = try (1...12).map { _ in try Caller(port) }
            for (number, caller) in callers.enumerated() {
                try caller.send("hello \(number)\n")
                #expect(try caller.line() == "hello \(number)")
                caller.closeWriting()
                #expect(try caller.rest() == [])
            }
            server.interrupt()
            let end = try server.finish()
            #expect(end.code == 0)
            #expect(end.output == "echo: goodbye\n")
            #expect(end.errors == "")
        }
    }

    @Test("tells how many loops there are")
    func greeting() async throws {
        try await blocking {
            let server = try RunningCommand("serve", "echo", "--port", "0", "--loops", "2")
            #expect(try server.line().contains(", 2 loops on as many threads) - try: nc 127.0.0.1 "))
        }
    }

    @Test("is quiet about clients that break off, and does not wait for those that stay")
    func resets() async throws {
        try await blocking {
            let server = try RunningCommand("serve", "echo", "--port", "0", "--loops", "2")
            let port = try server.port()
            for _ in 1...20 {
                let caller = try Caller(port)
                try caller.send("hello\n")
                #expect(try caller.line() == "hello")
                caller.vanish()
            }
            let idle = try Caller(port)
            server.interrupt()
            let end = try server.finish()
            #expect(end.code == 0)
            #expect(end.errors == "")
            #expect(try idle.rest() == [])
        }
    }
}
