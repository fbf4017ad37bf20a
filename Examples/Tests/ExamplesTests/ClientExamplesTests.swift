import AsyncIO
import Testing

@Suite("The clients among the examples", .serialized, .timeLimit(.minutes(1)))
struct ClientExamplesTests {
    @Test("the scanner finds what is open, and what it says, and keeps a stranger's commands from the terminal")
    func scanner() async throws {
        try await withClients { loop in
            let (talker, first) = try await neighbours(on: loop)
            let mute = try await TCPListener.bind("127.0.0.1", first + 1, on: loop)
            let last = first + 2
            async let spoken: Void = {
                let visitor = try await talker.accept()
                try await visitor.write("220 \u{1b}[2Jat your service\r\nand more\n")
                while try await visitor.read() != nil {}
            }()
            let outcome = try await run("15-port-scanner", ["127.0.0.1", "\(first)", "\(last)", "2"])
            try await spoken
            #expect(outcome.status == 0)
            #expect(
                outcome.lines.dropLast().sorted() == [
                    "127.0.0.1:\(first) open: 220 [2Jat your service", "127.0.0.1:\(first + 1) open",
                ])
            #expect(outcome.lines.last?.hasPrefix("2 open, 1 closed, 0 silent: 3 in ") == true)
            talker.close()
            mute.close()
        }
    }

    @Test(
        "the scanner refuses what makes no sense",
        arguments: [
            ["127.0.0.1", "9", "8"], ["127.0.0.1", "0"], ["127.0.0.1", "1", "2", "1025"], ["::1", "1", "x"],
        ])
    func refusal(arguments: [String]) async throws {
        let outcome = try await run("15-port-scanner", arguments)
        #expect(outcome.status == 64)
        #expect(outcome.lines.first?.hasPrefix("usage: ") == true)
    }

    @Test("the line client gets its answers from a server that breaks off, is silent, and is away for a while")
    func reconnects() async throws {
        try await withClients { loop in
            var listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let port = try #require(listener.address.port)
            let words = ["127.0.0.1", "\(port)", "20", "one", "two", "three"]
            let client = try RunningExample("16-line-client", words)

            let first = BufferedReader(try await listener.accept())
            #expect(try await first.readLine() == "one")
            try await first.stream.write("ONE\r\n")
            #expect(try await first.readLine() == "two")
            // It breaks off.
            first.stream.close()
            #expect(try await blocking { client.line() } == "two, try 1: read 127.0.0.1:\(port): the server has left")

            let second = BufferedReader(try await listener.accept())
            #expect(try await second.readLine() == "two")
            // It is silent, and then away.
            listener.close()
            #expect(try await blocking { client.line() } == "two, try 2: timed out after 0.5 seconds")
            #expect(try await second.readLine() == nil)
            #expect(try await blocking { client.line() }?.hasSuffix("Connection refused") == true)

            // And back.
            listener = try await TCPListener.bind("127.0.0.1", port, on: loop)
            let third = BufferedReader(try await listener.accept())
            for wanted in ["two", "three"] {
                #expect(try await third.readLine() == wanted)
                try await third.stream.write(wanted.uppercased() + "\n")
            }
            #expect(try await third.readLine() == nil)
            listener.close()
            let rest = try await blocking { Array(sequence(state: client) { $0.line() }) }
            #expect(rest.filter { !$0.contains(", try ") } == ["one: ONE", "two: TWO", "three: THREE"])
            #expect(try await blocking { client.end() } == 0)
        }
    }

    @Test("the line client gives up after so many tries, and says so for each line")
    func givesUp() async throws {
        let port = try await unusedPort()
        let outcome = try await run("16-line-client", ["127.0.0.1", "\(port)", "2", "one", "two"])
        let refused = "connect 127.0.0.1:\(port): Connection refused"
        #expect(
            outcome.lines == [
                "one, try 1: \(refused)", "one, try 2: \(refused)", "two, try 1: \(refused)",
                "two, try 2: \(refused)", "one: failed", "two: failed",
            ])
    }

    /// A listener, and its port, whose next two are free.
    private func neighbours(on loop: EventLoop) async throws -> (TCPListener, UInt16) {
        while true {
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            let port = try #require(listener.address.port)
            guard port < 65_530 else { continue }
            do {
                for next in [port + 1, port + 2] { try await TCPListener.bind("127.0.0.1", next, on: loop).close() }
                return (listener, port)
            } catch let error as IOError where error.code == .addressInUse {
                listener.close()
            }
        }
    }

    /// A port that nobody listens on.
    private func unusedPort() async throws -> UInt16 {
        let thread = try LoopThread()
        let listener = try await TCPListener.bind("127.0.0.1", 0, on: thread.loop)
        listener.close()
        await thread.shutdown()
        return try #require(listener.address.port)
    }
}
