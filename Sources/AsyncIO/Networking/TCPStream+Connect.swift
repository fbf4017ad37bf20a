public import AsyncIOKernel
public import AsyncIOLoop
import Glibc
import SystemPackage

extension TCPStream {
    /// Connects to a host and port: a numeric address, or a name that the system's resolver knows.
    ///
    /// The addresses of a name are tried in the system's order until one answers. Suspends; a cancelled task gets
    /// `CancellationError`, and the attempt is closed. Throws ``IOError`` of the last attempt (`ECONNREFUSED`,
    /// `EHOSTUNREACH`, `ETIMEDOUT`, …) or of the name.
    public static func connect(
        _ host: String, _ port: UInt16, options: TCPOptions = TCPOptions(), on loop: EventLoop? = nil
    ) async throws -> TCPStream {
        let loop = try EventLoop.required(loop)
        var failure: (any Error)?
        for address in try await Resolver.addresses(of: host, port, on: loop) {
            do {
                return try await connect(to: address, options: options, on: loop)
            } catch let error as IOError {
                failure = error
            }
        }
        throw failure ?? IOError(.noSuchAddressOrDevice, operation: "connect", subject: "\(host):\(port)")
    }

    /// Connects to an address. As ``connect(_:_:options:on:)``, with one attempt.
    public static func connect(
        to address: SocketAddress, options: TCPOptions = TCPOptions(), on loop: EventLoop? = nil
    ) async throws -> TCPStream {
        let loop = try EventLoop.required(loop)
        while true {
            let descriptor = try Socket.openTCP(for: address, "connect")
            try Socket.apply(options, to: descriptor.number, "\(address)")
            let stream = try await adopt(descriptor, peer: address, on: loop)
            let outcome = await stream.core.connect(to: address)
            if outcome.result < 0 { stream.close() }
            try loop.check(outcome, "connect", "\(address)")
            // On loopback a client may get the very port that it dials, and meet itself. Nobody wants that: try again.
            if await !isMet(stream.local, by: address) { return stream }
            stream.close()
        }
    }

    /// Whether a socket that dialled the address, and got the local one, has reached itself. Any address means loopback
    /// here.
    private static func isMet(_ local: SocketAddress?, by address: SocketAddress) -> Bool {
        guard let local, let port = local.port, port == address.port else { return false }
        return local == address || address == .any(port: port) || address == .any(port: port, version: .v6)
    }

    /// Takes over a connected socket.
    static func adopt(
        _ descriptor: consuming Descriptor, peer: SocketAddress, on loop: EventLoop
    ) async throws -> TCPStream {
        TCPStream(try await StreamCore.adopt(descriptor, .address(peer), on: loop))
    }
}
