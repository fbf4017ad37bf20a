import ArgumentParser
import AsyncIO

/// `asyncio connect`: a connection at the terminal.
struct Connect: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connect",
        abstract: "Connect, send what is typed or piped in, print what comes back.",
        discussion: """
            EXAMPLES
              asyncio connect 127.0.0.1:7000                      talk to a chat server
              printf 'GET / HTTP/1.0\\r\\n\\r\\n' | asyncio connect localhost:80
              asyncio connect unix:/run/app.sock < request > reply

            The end of the input closes our half of the connection; what the other side
            still sends is printed. The command ends when the other side is done.

            EXIT CODES
              0     the other side has finished
              1     could not connect, or the connection broke off; standard error says why
            """)

    @Argument(
        help: ArgumentHelp("Where to: HOST:PORT, [IPv6]:PORT or unix:PATH.", valueName: "endpoint"),
        transform: Endpoint.init(parsing:))
    var endpoint: Endpoint

    @Option(help: "Seconds that connecting may take.")
    var timeout: Double = 10

    @Flag(help: "Stay when the input has ended and the other side says nothing: do not close our half.")
    var keepOpen = false

    func validate() throws {
        guard timeout > 0, timeout <= 86_400 else { throw ValidationError("--timeout is a number of seconds above 0.") }
    }

    func run() throws {
        try EventLoop.run {
            let connection = try await endpoint.connect(within: .seconds(timeout))
            let terminal = try await StandardStream.open()
            try await talk(terminal, connection)
            connection.close()
        }
    }

    /// Sends the input and prints what comes, until the other side has finished.
    private func talk(_ terminal: StandardStream, _ connection: any ByteStream) async throws {
        try await withThrowingTaskGroup(of: Direction.self) { group in
            group.addTask {
                do {
                    while let bytes = try await terminal.read() { try await connection.write(bytes) }
                    if !keepOpen { try await connection.closeWriting() }
                } catch let error as IOError where error.code == .brokenPipe || error.code == .connectionReset {
                    // It takes no more. What it has said, and how that ends, is the other direction's business.
                }
                return .sending
            }
            group.addTask {
                do {
                    while let bytes = try await connection.read(upTo: 65_536) { try await terminal.write(bytes) }
                } catch let error as IOError where error.code == .brokenPipe {
                    // Nobody reads what we print any more, as after `| head`: done.
                }
                return .receiving
            }
            while let ended = try await group.next(), ended == .sending {}
            group.cancelAll()
        }
    }

    private enum Direction { case sending, receiving }
}
