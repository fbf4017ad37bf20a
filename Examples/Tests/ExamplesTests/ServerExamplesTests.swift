import AsyncIO
import Testing

extension TCPStream {
    /// Reads until the text has come.
    fileprivate func hears(_ wanted: String) async throws -> Bool {
        var heard = ""
        while !heard.contains(wanted), let bytes = try await read() { heard += String(decoding: bytes, as: UTF8.self) }
        return heard.contains(wanted)
    }
}

@Suite("The servers among the examples", .serialized)
struct ServerExamplesTests {
    @Test("the chat's rooms hear their own people, on whatever loop they are")
    func chat() async throws {
        let server = try RunningExample("18-sharded-chat", ["0"])
        let port = try await blocking { try server.port() }
        try await withClients { loop in
            var people: [TCPStream] = []
            for number in 1...6 {
                let person = try await TCPStream.connect("127.0.0.1", port, on: loop)
                try await person.write("lobby\n")
                #expect(try await person.hears("now \(number) in lobby\n"))
                people.append(person)
            }
            let other = try await TCPStream.connect("127.0.0.1", port, on: loop)
            try await other.write("attic\n")
            #expect(try await other.hears("now 1 in attic\n"))
            try await people[0].write("hello, lobby\n")
            for person in people { #expect(try await person.hears("hello, lobby\n")) }
            try await other.write("nobody here\n")
            #expect(try await other.read() == Array("nobody here\n".utf8))
        }
        server.terminate()
        #expect(try await blocking { server.end() } == 0)
    }

    @Test("a reload turns nobody away, and lets those that are connected finish")
    func reload() async throws {
        let old = try RunningExample("19-reload", ["0"])
        let port = try await blocking { try old.port() }
        try await withClients { loop in
            @Sendable func ask(_ connection: TCPStream) async throws {
                try await connection.write("still there?")
                #expect(try await connection.read() == Array("still there?".utf8))
            }
            let loyal = try await TCPStream.connect("127.0.0.1", port, on: loop)
            try await ask(loyal)
            let isOver = CancellationToken(name: "clients")
            // One client after the other, from before the reload until after it.
            async let served = { () async throws -> Int in
                var served = 0
                while !isOver.isCancelled {
                    let client = try await TCPStream.connect("127.0.0.1", port, on: loop)
                    try await ask(client)
                    client.close()
                    served += 1
                }
                return served
            }()
            let new = try RunningExample("19-reload", ["\(port)", "\(old.number)"])
            #expect(try await blocking { try new.port() } == port)
            // The new one has it all, while the old one still serves whom it has.
            for _ in 0..<50 { try await loop.sleep(for: .milliseconds(10)) }
            try await ask(loyal)
            isOver.cancel()
            #expect(try await served > 10)
            loyal.close()
            let last = try await blocking { old.line() }
            #expect(last?.hasSuffix("connections, and leaves") == true)
            #expect(try await blocking { old.end() } == 0)
            new.terminate()
            #expect(try await blocking { new.end() } == 0)
        }
    }
}
