import AsyncIO

/// A server and its client in one program, on one thread.
@main
struct Echo {
    static func main() throws {
        try EventLoop.run {
            let listener = try await TCPListener.bind("127.0.0.1", 0)
            try await withThrowingTaskGroup { group in
                group.addTask {
                    try await listener.serve { connection in
                        while let bytes = try await connection.read() { try await connection.write(bytes) }
                    }
                }
                let client = try await TCPStream.connect(to: listener.address)
                try await client.write("a letter\n")
                try await client.closeWriting()
                while let bytes = try await client.read() {
                    print(String(decoding: bytes, as: UTF8.self), terminator: "")
                }
                listener.shutdown()
                try await group.waitForAll()
            }
        }
    }
}
