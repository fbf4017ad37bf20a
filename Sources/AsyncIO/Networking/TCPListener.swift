public import AsyncIOKernel
public import AsyncIOLoop
import Glibc
import SystemPackage

/// A listening TCP socket.
///
/// ```swift
/// let listener = try await TCPListener.bind("127.0.0.1", 7000)
/// try await listener.serve { connection in
///     while let bytes = try await connection.read() { try await connection.write(bytes) }
/// }
/// ```
///
/// Letting go of the last reference closes it.
public final class TCPListener: Sendable, CustomStringConvertible {
    /// The loop that accepts, and that the connections' work is done on.
    public let loop: EventLoop
    /// Where it listens: with the port that the kernel chose, if none was asked for.
    public let address: SocketAddress
    let handle: Handle
    let server = Locked(ServerState())

    private init(loop: EventLoop, handle: Handle, address: SocketAddress) {
        self.loop = loop
        self.handle = handle
        self.address = address
    }

    deinit { loop.performSoon(closing: handle) }

    /// `TCPListener(127.0.0.1:7000)`.
    public var description: String { "TCPListener(\(address))" }

    /// Listens on a host and port; port 0 lets the kernel choose one. A name is looked up, and its first address taken.
    ///
    /// Suspends only to look up a name. Throws ``IOError``: `EADDRINUSE`, `EACCES` for a port below 1024,
    /// `EADDRNOTAVAIL`.
    public static func bind(
        _ host: String, _ port: UInt16, options: TCPOptions = TCPOptions(), on loop: EventLoop? = nil
    ) async throws -> TCPListener {
        let loop = try EventLoop.required(loop)
        guard let address = try await lookUp(host, port).first else {
            throw IOError(.addressNotAvailable, operation: "bind", subject: "\(host):\(port)")
        }
        return try await bind(to: address, options: options, on: loop)
    }

    /// Listens on an address. As ``bind(_:_:options:on:)``.
    public static func bind(
        to address: SocketAddress, options: TCPOptions = TCPOptions(), on loop: EventLoop? = nil
    ) async throws -> TCPListener {
        let loop = try EventLoop.required(loop)
        let descriptor = try Socket.openTCP(for: address, "bind")
        let subject = "\(address)"
        if options.reuseAddress { try Socket.set(descriptor.number, SOL_SOCKET, SO_REUSEADDR, 1, subject) }
        if options.reusePort { try Socket.set(descriptor.number, SOL_SOCKET, SO_REUSEPORT, 1, subject) }
        // Accepted sockets inherit these: no further call for each connection.
        try Socket.apply(options, to: descriptor.number, subject)
        try Socket.bind(descriptor.number, to: address)
        let number = descriptor.number
        try SystemCall.call("listen", subject) { listen(number, options.backlog) }
        let local = Socket.localAddress(number) ?? address
        let handle = try await loop.adopt(descriptor, subject)
        return TCPListener(loop: loop, handle: handle, address: local)
    }

    /// Accepts one connection.
    ///
    /// Suspends until there is one. Throws ``IOError`` for whatever accept(2) reports, also for what a server would
    /// survive: ``serve(drain:_:)`` knows which those are. A cancelled task gets `CancellationError`, and no connection
    /// is lost.
    public func accept() async throws -> TCPStream {
        let outcome = await loop.perform(.accept(handle))
        try loop.check(outcome, "accept", "\(address)")
        return stream(from: outcome)
    }

    func stream(from outcome: Outcome) -> TCPStream {
        let peer = outcome.bytes.flatMap(SocketAddress.init(sockaddr:)) ?? .unnamedUnix
        let handle = Handle(rawValue: outcome.result)
        return TCPStream(StreamCore(loop: loop, reader: handle, writer: handle, subject: .address(peer)))
    }

    /// Stops listening. Connections go on. Calling it again does nothing.
    public func close() {
        loop.performSoon(closing: handle)
    }
}
