import AsyncIOHTTP
import Testing

/// An example that runs as a process, on a port of its own.
enum Program {
    /// Where the program is: beside the tests.
    static func path(_ name: String) -> String {
        let own = CommandLine.arguments.first ?? ""
        let folder = own.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        return "\(folder)/\(name)"
    }

    /// Starts a server, asks it as soon as it listens, and ends it.
    static func ask<Success: Sendable>(
        _ name: String, before: [String] = [],
        _ body: @escaping @Sendable (HTTPClient, String) async throws -> Success
    ) async throws -> Success {
        let listener = try await TCPListener.bind("127.0.0.1", 0)
        let port = try #require(listener.address.port)
        listener.close()
        return try await Process.spawn(Command(path(name), before + ["\(port)"])) { process in
            try await withTimeout(.seconds(30)) {
                while (try? await TCPStream.connect("127.0.0.1", port)) == nil {
                    // sleeps: between attempts to connect, since nobody tells when the program listens.
                    try await EventLoop.current?.sleep(for: .milliseconds(20))
                }
            }
            let success = try await HTTPClient.withClient { client in
                try await body(client, "http://127.0.0.1:\(port)")
            }
            _ = try process.signal(.terminate)
            return success
        }
    }
}
