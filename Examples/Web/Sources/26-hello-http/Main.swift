// A web server: a closure that is asked, and answers.
//
// Each connection is a task on the loop; keep-alive, pipelining, timeouts and limits are the server's.

import AsyncIOHTTP

@main
struct Main {
    static func main() throws {
        try EventLoop.run {
            try await HTTPServer.serve("127.0.0.1", port(or: 8080), onReady: say) { request in
                .text("hello, you asked for \(request.path)\n")
            }
        }
    }
}

/// The port on the command line: 0 is any that is free.
func port(or usual: UInt16) -> UInt16 { CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? usual }

@Sendable
func say(_ addresses: [SocketAddress]) {
    for address in addresses { print("listening - try: curl http://\(address)/") }
}
