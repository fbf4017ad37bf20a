import AsyncIO

extension Work {
    /// What the loop asks the system for.
    static let system = [
        Work("echo", "64 B to a server and back", count: 50_000) { count in
            guard LoopGroup.usableCores > 1 else { return try await exchange(count, with: EventLoop.here()) }
            return try await withTwoLoops { try await exchange(count, with: $0) }
        },
        Work("files", "4 KiB that are in memory", count: 100_000, warmUp: 0) { count in
            let file = try await File.temporary()
            let piece = [UInt8](repeating: 7, count: 1 << 20)
            for _ in 0..<64 { try await file.write(piece) }
            var buffer = IOBuffer(capacity: 4_096)
            var random: UInt64 = 1
            let measurement = try await Measurement.of(count) {
                for _ in 0..<count {
                    buffer.removeAll()
                    // Its upper bits are the most random (Knuth's MMIX generator); there are 2^14 blocks.
                    random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                    let offset = Int64(random >> 50) * 4_096
                    guard try await file.read(into: &buffer, at: offset) == 4_096 else {
                        throw WorkFailure(description: "a read was too short")
                    }
                }
            }
            try await file.close()
            return measurement
        },
        Work("children", "/bin/true, from start to end", count: 200, most: 1_000_000, warmUp: 10) { count in
            try await Measurement.of(count) {
                for _ in 0..<count {
                    let status = try await Process.spawn("/bin/true").wait()
                    guard status.isSuccess else { throw WorkFailure(description: "/bin/true: \(status)") }
                }
            }
        },
    ]

    /// How many clients at once.
    private static let clients = 16

    /// Exchanges 64 bytes again and again with a server on that loop, by several clients on this one.
    private static func exchange(_ count: Int, with loop: EventLoop) async throws -> Measurement {
        let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
        let server = loop.spawn(name: "server") { try await listener.serve(ServeEcho.echo) }
        let clients = try await gatherEach(0..<clients, limit: clients) { _ in
            try await TCPStream.connect(to: listener.address)
        }
        let rounds = (count + clients.count - 1) / clients.count
        let message = Array(UInt8(0)..<64)
        let measurement = try await Measurement.of(rounds * clients.count) {
            try await withThrowingDiscardingTaskGroup { group in
                for client in clients {
                    group.addTask { for _ in 0..<rounds { try await exchange(message, with: client) } }
                }
            }
        }
        for client in clients { client.close() }
        server.cancel()
        try await server.value
        return measurement
    }

    private static func exchange(_ message: [UInt8], with server: TCPStream) async throws {
        try await server.write(message)
        var left = message.count
        while left > 0 {
            guard let bytes = try await server.read(upTo: left),
                bytes.elementsEqual(message.suffix(left).prefix(bytes.count))
            else { throw WorkFailure(description: "the server sent back something else") }
            left -= bytes.count
        }
    }
}
