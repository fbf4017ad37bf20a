import Foundation
import Testing

@Suite("asyncio serve chat", .serialized)
struct ChatServerTests {
    /// A server on a free port, for people who write fast.
    private func serve() throws -> (server: RunningCommand, port: UInt16) {
        let server = try RunningCommand("serve", "chat", "--port", "0", "--lines-per-second", "1000000")
        return (server, try server.port())
    }

    @Test("tells how to come in")
    func greeting() async throws {
        try await blocking {
            let server = try RunningCommand("serve", "chat", "--port", "0")
            let line = try server.line()
            #expect(
                line.wholeMatch(
                    of: #/chat: listening on 127.0.0.1:(\d+) \((epoll|io_uring)\) - try: nc 127.0.0.1 (\d+)/#) != nil,
                "\(line)")
        }
    }

    @Test("lets two people talk")
    func talk() async throws {
        try await blocking {
            let (server, port) = try serve()
            let anna = try Caller(port, name: "anna")
            let bob = try Caller(port, name: "bob")
            #expect(try anna.line() == "-- bob joined #lobby")
            try anna.send("good morning, \u{1b}[31mBörk 🐧\n")
            #expect(try bob.line() == "anna: good morning, [31mBörk 🐧")
            try bob.send("/me waves\n/quit\n")
            #expect(try anna.line() == "* bob waves")
            #expect(try anna.line() == "-- bob left")
            #expect(try bob.rest() == ["* bob waves", "-- Goodbye."])
            withExtendedLifetime(server) {}
        }
    }

    @Test("answers clients that have closed their half, as printf | nc -N does")
    func halfClose() async throws {
        try await blocking {
            let (server, port) = try serve()
            let caller = try Caller(port)
            try caller.send("anna\n/who\n/rooms")
            caller.closeWriting()
            let lines = try caller.rest()
            #expect(lines.suffix(3) == ["-- In #lobby: anna (you)", "-- Rooms: #lobby (1)", "-- Goodbye."])
            withExtendedLifetime(server) {}
        }
    }

    @Test("speaks CR LF with telnet, and does not mind its commands")
    func telnet() async throws {
        try await blocking {
            let (server, port) = try serve()
            let caller = try Caller(port)
            try caller.send([255, 253, 3, 255, 251, 24] + Array("anna\r\n/who\r\n".utf8))
            #expect(try caller.lines(until: "-- In").last == "-- In #lobby: anna (you)\r")
            try caller.send([255, 244, 255, 253, 6])
            #expect(try caller.rest() == ["-- Goodbye.\r"])
            withExtendedLifetime(server) {}
        }
    }

    @Test("drops a reader who is stuck, while the others go on")
    func stuckReader() async throws {
        try await blocking {
            let (server, port) = try serve()
            let anna = try Caller(port, name: "anna")
            let bob = try Caller(port, name: "bob")
            let stuck = try Caller(port, name: "stuck", receiveBuffer: 4096)
            let text = String(repeating: "x", count: 1000)
            var wasDropped = false
            var rounds = 0
            // bob reads each round before the next one is sent: nobody's patience but his own is asked for.
            while !wasDropped && rounds < 5000 {
                rounds += 1
                try anna.send(String(repeating: text + "\n", count: 15) + "round \(rounds)\n")
                wasDropped = try bob.lines(until: "anna: round \(rounds)").contains("-- stuck left (too slow)")
            }
            #expect(wasDropped)
            #expect(try anna.lines(until: "-- stuck left").last == "-- stuck left (too slow)")
            try bob.send("/who\n")
            #expect(try bob.lines(until: "-- In").last == "-- In #lobby: anna, bob (you)")
            // Its connection is taken, although it never reads.
            #expect(try stuck.talkToNobody())
            withExtendedLifetime(server) {}
        }
    }

    @Test("drops nobody who reads, even if all talk at once")
    func crowd() async throws {
        try await blocking {
            let (server, port) = try serve()
            let callers = try (1...40).map { try Caller(port, name: "caller\($0)") }
            let words = (1...30).map { "word \($0)\n" }.joined()
            for caller in callers { try caller.send(words) }
            for caller in callers {
                var last = 0
                while last < callers.count - 1 {
                    let line = try #require(try caller.line())
                    if line.hasSuffix(": word 30") { last += 1 }
                }
            }
            withExtendedLifetime(server) {}
        }
    }

    @Test("refuses a line that is too long, politely, and goes on")
    func longLine() async throws {
        try await blocking {
            let (server, port) = try serve()
            let anna = try Caller(port, name: "anna")
            let bob = try Caller(port, name: "bob")
            try anna.send(String(repeating: "x", count: 300_000) + "\nshort\n")
            #expect(try bob.line() == "anna: short")
            #expect(try anna.lines(until: "-- That line").last?.contains("at most 1024 bytes") == true)
            withExtendedLifetime(server) {}
        }
    }

    @Test("does not mind people who vanish")
    func vanish() async throws {
        try await blocking {
            let (server, port) = try serve()
            let anna = try Caller(port, name: "anna")
            for _ in 1...5 {
                let bob = try Caller(port, name: "bob")
                bob.vanish()
                #expect(try anna.lines(until: "-- bob left").last == "-- bob left (connection lost)")
            }
            server.interrupt()
            #expect(try server.finish().errors == "")
        }
    }

    @Test("says goodbye to everybody at Ctrl-C, soon, and ends with 0")
    func goodbye() async throws {
        try await blocking {
            let (server, port) = try serve()
            let anna = try Caller(port, name: "anna")
            let nameless = try Caller(port)
            _ = try nameless.lines(until: "-- What is your name?")
            let stuck = try Caller(port, name: "stuck", receiveBuffer: 4096)
            try stuck.send(String(repeating: "/help\n", count: 200))
            let start = Date()
            server.interrupt()
            #expect(try anna.rest().last == "-- The server ends here. Goodbye!")
            #expect(try nameless.rest() == ["-- The server ends here. Goodbye!"])
            let end = try server.finish()
            #expect(end.code == 0)
            #expect(end.output == "chat: goodbye\n")
            #expect(end.errors == "")
            // The grace period is 5 s; the rest is for a busy machine.
            #expect(Date().timeIntervalSince(start) < 15)
        }
    }

    @Test("reads those who write too fast more slowly, and loses nothing")
    func pace() async throws {
        try await blocking {
            let server = try RunningCommand("serve", "chat", "--port", "0", "--lines-per-second", "200")
            let port = try server.port()
            let anna = try Caller(port, name: "anna")
            let bob = try Caller(port, name: "bob")
            let start = Date()
            try anna.send((1...300).map { "line \($0)\n" }.joined())
            let heard = try bob.lines(until: "anna: line 300")
            #expect(heard == (1...300).map { "anna: line \($0)" })
            // 99 at once, then 200 a second.
            #expect(Date().timeIntervalSince(start) > 0.9)
        }
    }
}
