import AsyncIO
import AsyncIOTesting

/// Two hosts, of which one serves.
struct Scene: Sendable {
    let world: World
    let server: SimulatedHost
    let client: SimulatedHost

    init(_ world: World, _ link: Link = Link()) throws {
        self.world = world
        server = try world.addHost("server")
        client = try world.addHost("client")
        world.network.link = link
    }

    /// The server gives back what comes until the end of the stream.
    func serveEcho() throws {
        try server.program("echo") {
            let listener = try await TCPListener.bind("0.0.0.0", 7)
            try await listener.serve { stream in
                while let bytes = try await stream.read() { try await stream.write(bytes) }
                try await stream.closeWriting()
            }
        }
    }

    /// The server hands one connection to a body.
    func serveOnce(_ body: @escaping @Sendable (TCPStream) async throws -> Void) throws {
        try server.program("once") {
            let listener = try await TCPListener.bind("0.0.0.0", 7)
            let stream = try await listener.accept()
            try await body(stream)
        }
    }

    /// A connection of the client's, as soon as the server listens.
    func dial(options: TCPOptions = TCPOptions()) async throws -> TCPStream {
        try await world.sleep(for: .milliseconds(10))
        return try await TCPStream.connect("server", 7, options: options)
    }
}

extension TCPStream {
    /// Reads exactly so many bytes.
    func readAll(_ count: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count, let more = try await read() { bytes += more }
        return bytes
    }

    /// Reads up to the end.
    func readToEnd() async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while let more = try await read() { bytes += more }
        return bytes
    }
}

extension Link {
    /// A fixed latency and nothing else.
    static func after(_ latency: Duration) -> Link { Link { $0.latency = .fixed(latency) } }
}
