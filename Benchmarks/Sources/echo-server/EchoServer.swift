import AsyncIO

/// `echo-server PORT [driver]`: sends back what comes, on one loop.
@main
struct EchoServer {
    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count >= 2, let port = UInt16(arguments[1]),
            let driver = DriverChoice(rawValue: arguments.count > 2 ? arguments[2] : "auto")
        else {
            print("usage: echo-server PORT [\(DriverChoice.allCases.map(\.rawValue).joined(separator: "|"))]")
            return
        }
        try EventLoop.run(options: EventLoop.Options(driver: driver)) {
            let listener = try await TCPListener.bind("127.0.0.1", port)
            try await listener.serve { connection in
                // A load generator that breaks off is no news.
                while let bytes = try? await connection.read() { try await connection.write(bytes) }
            }
        }
    }
}
