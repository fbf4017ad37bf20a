import AsyncIO
import AsyncIOTesting

/// A client and an echo server: so many exchanges of so many bytes.
enum EchoScenario {
    static func run(_ world: World, exchanges: Int, bytes: Int = 64) async throws {
        let server = try world.addHost("server")
        let client = try world.addHost("client")
        try server.program("echo") {
            let listener = try await TCPListener.bind("0.0.0.0", 7)
            try await listener.serve { connection in
                while let bytes = try await connection.read(upTo: 65_536) { try await connection.write(bytes) }
            }
        }
        try await client.run("exchanges") {
            let stream = try await TCPStream.connect("server", 7)
            let message = [UInt8](repeating: 7, count: bytes)
            for _ in 0..<exchanges {
                try await stream.write(message)
                var missing = bytes
                while missing > 0, let part = try await stream.read(upTo: missing) { missing -= part.count }
            }
            stream.close()
        }
    }
}
