import ArgumentParser
import AsyncIO

/// `asyncio serve chat`.
struct ServeChat: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chat",
        abstract: "A chat server for people with nc or telnet.",
        discussion: """
            EXAMPLES
              asyncio serve chat                     then, elsewhere: nc 127.0.0.1 7000
              asyncio serve chat --host 0.0.0.0      for everybody in the network
              printf 'anna\\nhello\\n/who\\n' | nc -N 127.0.0.1 7000

            People choose a name, talk, and have the commands that /help lists. Those
            who do not read are dropped when 256 lines wait for them; those who write
            too fast are read more slowly. Ctrl-C says goodbye to everybody, and ends
            with exit code 0.
            """)

    @OptionGroup var place: Place

    @Option(help: "The port; 0 means any that is free.")
    var port: UInt16 = 7000

    @Option(help: "How many lines one person may write in a second, after the first hundred.")
    var linesPerSecond = 20

    func validate() throws {
        guard linesPerSecond > 0 else { throw ValidationError("--lines-per-second is at least 1.") }
    }

    func run() throws {
        let options = EventLoop.Options(name: "chat", interrupts: [.interrupt, .terminate])
        try EventLoop.run(options: options) { try await serve() }
        Console.sayGoodbye("chat: goodbye")
    }

    @MainActor
    private func serve() async throws {
        // People who vanish without a word are noticed after some minutes.
        let options = TCPOptions(keepAlive: TCPOptions.KeepAlive())
        let listener = try await place.listen(port: port) { try await TCPListener.bind($0, $1, options: options) }
        let driver = listener.loop.driverName
        Console.say("chat: listening on \(listener.address) (\(driver)) - try: \(listener.address.invitation)")
        try await ChatServer(limits: Chat.Limits(), linesPerSecond: linesPerSecond).run(on: listener)
    }
}
