import AsyncIO
import Glibc

/// An echo server that is replaced by its next version while clients come and go.
///
/// `swift run 19-reload 7019` is the old one and tells its process's number; `swift run 19-reload 7019 NUMBER` the new
/// one. It listens on the same port, and when it does, it asks the old one to end: that one takes no more connections,
/// serves those that it has until they end, for half a minute at most, and then leaves.
///
/// Nobody is turned away: between the two, both listen, and what waits in the old one's queue is still served. A
/// handshake that is half done in that moment is lost over a real network, unless the system migrates it:
/// `sysctl net.ipv4.tcp_migrate_req=1`.
@main
struct Reload {
    static func main() throws {
        let arguments = CommandLine.arguments
        let port = arguments.count > 1 ? UInt16(arguments[1]) ?? 7019 : 7019
        let predecessor = arguments.count > 2 ? pid_t(arguments[2]) : nil
        // SIGTERM cancels what runs below; serving, cancelled, drains first.
        try EventLoop.run(options: EventLoop.Options(interrupts: [.interrupt, .terminate])) {
            let group = try LoopGroup()
            // Both versions have to agree to share the port.
            let server = try await group.bind("127.0.0.1", port, options: TCPOptions(reusePort: true))
            say("\(getpid()) listens on \(server.addresses[0])")
            if let predecessor { kill(predecessor, SIGTERM) }
            try await server.serve(drain: .seconds(30)) { connection in
                while let bytes = try await connection.read() { try await connection.write(bytes) }
            }
            try await group.shutdown()
            say("\(getpid()) has served \(server.statistics.accepted) connections, and leaves")
        }
    }

    static func say(_ line: String) {
        print(line)
        fflush(nil)
    }
}
