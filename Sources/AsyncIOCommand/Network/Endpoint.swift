import ArgumentParser
package import AsyncIO

/// Where a connection goes, or comes in, as people write it: `HOST:PORT`, `[::1]:80`, `:80`, `unix:PATH`.
package enum Endpoint: Sendable, Equatable, CustomStringConvertible {
    case tcp(host: String, port: UInt16)
    case unix(SocketAddress)

    /// Reads an endpoint; throws an error that names the text and the remedy.
    package init(parsing text: String) throws {
        if text.hasPrefix("unix:") {
            self = .unix(try SocketAddress(parsing: text))
            return
        }
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            throw ValidationError("\"\(text)\" has no port: write HOST:PORT (a port is 0 to 65535) or unix:PATH.")
        }
        var host = text[..<colon]
        if host.hasPrefix("[") && host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            throw ValidationError("\"\(text)\" is ambiguous: write an IPv6 address in brackets, [\(host)]:\(port).")
        }
        self = .tcp(host: String(host), port: port)
    }

    package var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let address): "\(address)"
        }
    }
}

extension Endpoint {
    /// Connects within a limit in time.
    func connect(within limit: Duration, resolver: (any Resolver)? = nil) async throws -> any ByteStream {
        switch self {
        case .tcp(let host, let port):
            return try await TCPStream.connect(host, port, options: ConnectOptions(timeout: limit, resolver: resolver))
        case .unix(let address):
            do {
                return try await withTimeout(limit) { try await UnixStream.connect(to: address) }
            } catch is TimeoutError {
                throw IOError(.timedOut, operation: "connect", subject: "\(self)", detail: "no answer within \(limit)")
            }
        }
    }
}
