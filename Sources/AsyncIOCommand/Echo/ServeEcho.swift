public import ArgumentParser
public import AsyncIO

#if HTTP
import AsyncIOHTTP
#endif

/// `asyncio serve echo`.
struct ServeEcho: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "echo",
        abstract: "A server that sends back what it gets, on one loop or on several.",
        discussion: """
            EXAMPLES
              asyncio serve echo                     then, elsewhere: nc 127.0.0.1 7007
              asyncio serve echo --loops 4           four threads share the port
              asyncio serve echo --websocket         ws://127.0.0.1:7007
              head -c 1G /dev/zero | nc -N 127.0.0.1 7007 | wc -c

            Each loop accepts on a socket of its own (SO_REUSEPORT); the kernel spreads
            the connections. Ctrl-C closes all of them, and ends with exit code 0.
            """)

    @OptionGroup var place: Place

    @Option(help: "The port; 0 means any that is free.")
    var port: UInt16 = 7007

    @Option(help: "How the loops ask the system.")
    var driver = DriverChoice.auto

    @Option(help: "How many loops, each on its own thread.")
    var loops = 1

    @OptionGroup var inspection: InspectOption

    @Flag(help: "Echo the messages of WebSockets, at any path.")
    var websocket = false

    func validate() throws {
        guard (1...256).contains(loops) else { throw ValidationError("--loops is a number from 1 to 256.") }
    }

    func run() throws {
        inspection.apply()
        let options = EventLoop.Options(name: "echo 1", driver: driver, interrupts: [.interrupt, .terminate])
        try EventLoop.run(options: options) {
            // The main loop is one of them: it would have nothing else to do.
            let own = EventLoop.Options(name: "echo", driver: driver, interrupts: [])
            let group = try LoopGroup(count: loops, including: EventLoop.current, options: own)
            let result: Result<Void, any Error>
            do { result = .success(try await serve(on: group)) } catch { result = .failure(error) }
            try await group.shutdown()
            try result.get()
        }
        Console.sayGoodbye("echo: goodbye")
    }

    /// Serves until cancelled.
    private func serve(on group: LoopGroup) async throws {
        let server = try await place.listen(port: port) { try await group.bind($0, $1) }
        let loops = group.loops.count == 1 ? "1 loop" : "\(group.loops.count) loops on as many threads"
        let how = "\(group.loops[0].driverName), \(loops)"
        let places = server.addresses.map(\.description).joined(separator: ", ")
        Console.say("echo: listening on \(places) (\(how)) - try: \(server.addresses[0].invitation)")
        if websocket { try await serveWebSockets(on: server) } else { try await server.serve(Self.echo) }
    }

    #if HTTP
    private func serveWebSockets(on server: StreamServer<TCPStream>) async throws {
        try await HTTPServer().serve(server) { request in
            try .webSocket(request, origin: { _, _ in true }) { socket in
                for try await message in socket { try await socket.send(message) }
            }
        }
    }
    #else
    private func serveWebSockets(on server: StreamServer<TCPStream>) async throws {
        throw MissingTrait(what: "--websocket", trait: "HTTP")
    }
    #endif

    /// Sends back what comes, until the other side has finished.
    @Sendable
    static func echo(_ connection: TCPStream) async throws {
        do {
            while try await connection.withReceivedBytes({ try await connection.write($0) }) != nil {}
        } catch let error where error.isDeparture {
            // Clients break off; that is no news.
        }
    }
}

extension DriverChoice: ExpressibleByArgument {
    /// By its name; io_uring also without what stands before the line.
    public init?(argument: String) { self.init(rawValue: argument == "uring" ? "io_uring" : argument) }
}
