import ArgumentParser
import AsyncIO

#if HTTP
import AsyncIOHTTP
#endif

/// `asyncio serve chat`.
struct ServeChat: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chat",
        abstract: "A chat server for people with nc or telnet.",
        discussion: """
            EXAMPLES
              asyncio serve chat                     then, elsewhere: nc 127.0.0.1 7000
              asyncio serve chat --host 0.0.0.0      for everybody in the network
              asyncio serve chat --web 8080          and for browsers: http://127.0.0.1:8080
              printf 'anna\\nhello\\n/who\\n' | nc -N 127.0.0.1 7000

            People choose a name, talk, and have the commands that /help lists. Those
            who do not read are dropped when 256 lines wait for them; those who write
            too fast are read more slowly. Ctrl-C says goodbye to everybody, and ends
            with exit code 0.
            """)

    @OptionGroup var place: Place

    @Option(help: "The port; 0 means any that is free.")
    var port: UInt16 = 7000

    @Option(help: "Also serve a page for browsers on this port; 0 means any that is free.")
    var web: UInt16?

    @Option(help: "How many lines one person may write in a second, after the first hundred.")
    var linesPerSecond = 20

    @OptionGroup var inspection: InspectOption

    func validate() throws {
        guard linesPerSecond > 0 else { throw ValidationError("--lines-per-second is at least 1.") }
    }

    func run() throws {
        inspection.apply()
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
        let chat = ChatServer(limits: Chat.Limits(), linesPerSecond: linesPerSecond)
        guard let web else { return try await chat.run(on: listener) }
        try await serve(chat, on: listener, web: web)
    }

    #if HTTP
    /// Both doors; whichever fails closes both.
    @MainActor
    private func serve(_ chat: ChatServer, on listener: TCPListener, web: UInt16) async throws {
        let door = try await place.listen(port: web) { try await TCPListener.bind($0, $1) }
        Console.say("chat: in browsers at http://\(door.address)")
        let page = WebChat(chat: chat)
        try await withThrowingTaskGroup { group in
            group.addTask(name: "web") { try await HTTPServer().serve(door) { try await page.answer($0) } }
            group.addTask(name: "chat") { try await chat.run(on: listener) }
            try await group.next()
            group.cancelAll()
        }
    }
    #else
    private func serve(_ chat: ChatServer, on listener: TCPListener, web: UInt16) async throws {
        throw MissingTrait(what: "--web", trait: "HTTP")
    }
    #endif
}
