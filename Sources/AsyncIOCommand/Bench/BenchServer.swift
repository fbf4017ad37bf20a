import AsyncIO

/// `asyncio bench serve`: a server for load generators that compare it with others. One thread, TCP_NODELAY, and it
/// says `ready` as soon as clients may come.
enum BenchServer: Sendable, Equatable {
    /// Sends back what comes.
    case echo(port: UInt16)
    /// Passes connections on to a port of this machine.
    case proxy(port: UInt16, target: UInt16)
    /// Sends back datagrams.
    case udp(port: UInt16)

    /// Serves until cancelled. With port 0, the system's choice stands behind `ready`.
    func run() async throws {
        switch self {
        case .echo(let port):
            let listener = try await TCPListener.bind("127.0.0.1", port)
            Self.announce(listener.address, port)
            try await listener.serve(ServeEcho.echo)
        case .proxy(let port, let target):
            let listener = try await TCPListener.bind("127.0.0.1", port)
            Self.announce(listener.address, port)
            try await Self.proxy(listener, to: .loopback(port: target))
        case .udp(let port):
            let socket = try await UDPSocket.bind("127.0.0.1", port)
            Self.announce(socket.local, port)
            do { try await Self.echo(socket) } catch is CancellationError {}
        }
    }

    private static func announce(_ address: SocketAddress, _ wanted: UInt16) {
        Console.say(wanted == 0 ? "ready \(address.port ?? 0)" : "ready")
    }

    private static func proxy(_ listener: TCPListener, to target: SocketAddress) async throws {
        try await listener.serve { client in
            let server = try await TCPStream.connect(to: target)
            _ = try? await copyBidirectional(client, server)
            server.close()
        }
    }

    private static func echo(_ socket: UDPSocket) async throws {
        while true {
            let datagrams = try await socket.receiveBatch()
            // What the system refuses to send is lost, as datagrams are.
            _ = try? await socket.sendBatch(datagrams)
        }
    }
}

extension BenchServer {
    /// Reads `echo PORT`, `proxy PORT TARGETPORT`, `udp PORT`.
    init(_ words: ArraySlice<String>) throws(NotUnderstood) {
        let words = Array(words)
        guard let kind = words.first, ["echo", "proxy", "udp"].contains(kind) else {
            throw NotUnderstood(
                "serve what? Write: serve echo PORT, serve proxy PORT TARGETPORT, or serve udp PORT.")
        }
        let usage = kind == "proxy" ? "serve proxy PORT TARGETPORT" : "serve \(kind) PORT"
        guard words.count == (kind == "proxy" ? 3 : 2) else { throw NotUnderstood("write: \(usage).") }
        let ports = try words.dropFirst().map { word throws(NotUnderstood) in
            guard let port = UInt16(word) else {
                throw NotUnderstood("'\(CleanText(word))' is no port: write \(usage), with numbers from 0 to 65535.")
            }
            return port
        }
        self =
            switch kind {
            case "echo": .echo(port: ports[0])
            case "proxy": .proxy(port: ports[0], target: ports[1])
            default: .udp(port: ports[0])
            }
    }

    struct NotUnderstood: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }
}
