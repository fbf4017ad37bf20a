public import ArgumentParser
import AsyncIO

/// The command `asyncio`.
public struct CommandLineTool: ParsableCommand {
    /// What the command is called, and what it says of itself.
    public static let configuration = CommandConfiguration(
        commandName: "asyncio",
        abstract: "An event loop for Swift: to look at, and to try.",
        discussion: """
            EXAMPLES
              asyncio tour                   what an event loop does, shown by running one
              asyncio serve chat             a chat; come in with: nc 127.0.0.1 7000
              asyncio serve echo --loops 2   an echo server: two threads share a port
              asyncio connect 127.0.0.1:7000 talk to a server from the terminal
              asyncio run -- 'make a' 'make b'   commands side by side
              asyncio serve files            this folder, for browsers
              asyncio fetch URL…             files from the web, many at once
              asyncio bench                  what tasks, timers and sockets cost here
              asyncio ps                     what running programs are doing: see also
                                             pstree, top and trace

            EXIT CODES
              0     done; also a server that was ended by Ctrl-C and has said goodbye
              1     failed; standard error says why
              64    the command line was not understood
              130   interrupted by Ctrl-C half-way
            """,
        subcommands: [
            Tour.self, Serve.self, Connect.self, Run.self, Fetch.self, Bench.self, Ps.self, Pstree.self, Top.self,
            Trace.self,
        ])

    /// Creates the command.
    public init() {}

    /// Does what the process's arguments say, and ends the process if they are no good.
    public static func start() { main() }
}

/// `asyncio serve`: the servers.
struct Serve: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a server on the loop.",
        discussion: """
            EXAMPLES
              asyncio serve chat --port 7000
              asyncio serve echo --host 0.0.0.0 --port 7007 --loops 4
              asyncio serve proxy --listen :8080 --to example.org:80
              asyncio serve files site --port 8000

            Ctrl-C ends a server in good order, with exit code 0; a second Ctrl-C ends it at once.
            """,
        subcommands: [ServeChat.self, ServeEcho.self, ServeProxy.self, ServeFiles.self])
}
