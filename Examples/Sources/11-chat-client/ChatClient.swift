import AsyncIO
import Glibc

/// A client for `asyncio serve chat`: what you type goes to the server, what the others say comes to you.
///
/// `swift run 11-chat-client [HOST] [PORT]`; ends with the end of input, or when the server leaves.
@main
struct ChatClient {
    static func main() throws {
        let arguments = CommandLine.arguments
        let host = arguments.count > 1 ? arguments[1] : "127.0.0.1"
        let port = arguments.count > 2 ? UInt16(arguments[2]) ?? 7000 : 7000
        try EventLoop.run {
            let server = try await TCPStream.connect(host, port)
            defer { server.close() }
            try await race(
                {
                    while let bytes = try await server.read() {
                        print(String(decoding: bytes, as: UTF8.self), terminator: "")
                        fflush(nil)
                    }
                },
                {
                    while let line = try await typed() { try await server.write(line) }
                    try await server.closeWriting()
                    // The server says its last words before it leaves.
                    try await Task.sleep(for: .seconds(5))
                }, until: .firstToFinish)
        }
    }

    /// What has been typed since the last call; nil at the end of input. Waits on the loop, not in `read`.
    static func typed() async throws -> [UInt8]? {
        try await EventLoop.current?.waitReadable(0)
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(0, &bytes, bytes.count)
        return count > 0 ? Array(bytes.prefix(count)) : nil
    }
}
