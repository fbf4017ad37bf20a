public import AsyncIOKernel
public import AsyncIOLoop
import Glibc
import SystemPackage

extension TCPStream {
    /// Connects to a host and port: a numeric address, or a name that the resolver knows.
    ///
    /// A name with several addresses gets "happy eyeballs" (RFC 8305): its addresses are tried in the resolver's order,
    /// but with the versions of the internet protocol in turns; the next attempt begins when the last one has failed or
    /// has taken ``ConnectOptions/attemptDelay``; the first to connect wins, and the others are closed before this
    /// returns. At most the first 64 addresses are tried.
    ///
    /// Suspends; a cancelled task gets `CancellationError`, and every attempt is closed. Throws ``ResolutionError`` for
    /// the name; ``IOError`` if there was one address (`ECONNREFUSED`, `EHOSTUNREACH`, `ETIMEDOUT`, …), else
    /// ``ConnectError`` with the error of each. What ``ConnectOptions/timeout`` ends is reported in the same way, with
    /// `ETIMEDOUT` for each address that had not answered.
    public static func connect(
        _ host: String, _ port: UInt16, options: ConnectOptions = ConnectOptions(), on loop: EventLoop? = nil
    ) async throws -> TCPStream {
        try await Dialing(host, port, options, on: EventLoop.required(loop)).connection()
    }

    /// Connects to a host and port, with a choice of how the socket behaves.
    /// As ``connect(_:_:options:on:)-(_,_,ConnectOptions,_)``.
    public static func connect(
        _ host: String, _ port: UInt16, options: TCPOptions, on loop: EventLoop? = nil
    ) async throws -> TCPStream {
        try await connect(host, port, options: ConnectOptions(socket: options), on: loop)
    }

    /// Connects to an address, with one attempt.
    ///
    /// Both of the options' timeouts limit it; their resolver, version and attempt delay play no part. Suspends; a
    /// cancelled task gets `CancellationError`, and the attempt is closed. Throws ``IOError``.
    public static func connect(
        to address: SocketAddress, options: ConnectOptions = ConnectOptions(), on loop: EventLoop? = nil
    ) async throws -> TCPStream {
        let loop = try EventLoop.required(loop)
        let limit = [options.timeout, options.attemptTimeout].compactMap(\.self).min()
        return try await dial(address, options, within: limit, on: loop)
    }

    /// Connects to an address, with a choice of how the socket behaves.
    /// As ``connect(to:options:on:)-(_,ConnectOptions,_)``.
    public static func connect(
        to address: SocketAddress, options: TCPOptions, on loop: EventLoop? = nil
    ) async throws -> TCPStream {
        try await connect(to: address, options: ConnectOptions(socket: options), on: loop)
    }

    /// One attempt at one address, within a limit in time.
    static func dial(
        _ address: SocketAddress, _ options: ConnectOptions, within limit: Duration?, on loop: EventLoop
    ) async throws -> TCPStream {
        guard let limit else { return try await dial(address, options, on: loop) }
        do {
            return try await withTimeout(limit) { try await dial(address, options, on: loop) }
        } catch is TimeoutError {
            throw IOError.unanswered(address, within: limit)
        }
    }

    private static func dial(
        _ address: SocketAddress, _ options: ConnectOptions, on loop: EventLoop
    ) async throws -> TCPStream {
        while true {
            let descriptor = try Socket.openTCP(for: address, "connect")
            try Socket.apply(options.socket, to: descriptor.number, "\(address)")
            if let local = options.localAddress { try Socket.bind(descriptor.number, asCaller: local, options.socket) }
            let stream = try await adopt(descriptor, peer: address, on: loop)
            let outcome = await stream.core.connect(to: address)
            if outcome.result < 0 { stream.close() }
            try loop.check(outcome, "connect", "\(address)")
            // On loopback a client may get the very port that it dials, and meet itself. Nobody wants that: try again.
            if await !isMet(stream.local, by: address) { return stream }
            stream.close()
            if let local = options.localAddress, local.port != 0 {
                throw IOError(
                    .connectionRefused, operation: "connect", subject: "\(address)",
                    detail: "nobody listens there, and from \(local) the call reaches itself: choose another port")
            }
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

extension IOError {
    /// An attempt that a limit of ours has ended.
    static func unanswered(_ address: SocketAddress, within limit: Duration) -> IOError {
        IOError(.timedOut, operation: "connect", subject: "\(address)", detail: "no answer within \(limit)")
    }
}

extension Socket {
    /// Binds a socket that will connect to the address that it is to call from.
    static func bind(_ descriptor: CInt, asCaller local: SocketAddress, _ options: TCPOptions) throws(IOError) {
        let subject = "\(local)"
        if local.port == 0 {
            // bind(2) would take a port for this socket alone; connect(2) finds one that is free towards its peer. A
            // kernel without the option does what bind(2) does.
            do {
                try set(descriptor, CInt(IPPROTO_IP), IP_BIND_ADDRESS_NO_PORT, 1, subject)
            } catch {
                guard [.protocolNotAvailable, .notSupportedOnSocket].contains(error.code) else { throw error }
            }
        } else if options.reuseAddress {
            // A port of one's own may still linger from the last connection.
            try set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1, subject)
        }
        try bind(descriptor, to: local)
    }
}
