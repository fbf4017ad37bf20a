public import AsyncIOKernel
public import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

/// A listening TCP socket. See ``StreamListener`` for how it serves.
public typealias TCPListener = StreamListener<TCPStream>

/// Several listening TCP sockets that serve one handler. See ``StreamServer``.
public typealias TCPServer = StreamServer<TCPStream>

extension StreamListener where Connection == TCPStream {
    convenience init(_ core: ServerCore) { self.init(core) { TCPStream($0) } }

    /// Listens on a host and port; port 0 lets the kernel choose one. A name is looked up, and its first address taken;
    /// for all of them see ``StreamServer/bind(_:_:options:on:)``.
    ///
    /// Suspends only to look up a name. Throws ``IOError``: `EADDRINUSE`, `EACCES` for a port below 1024,
    /// `EADDRNOTAVAIL`; ``ResolutionError`` for the name.
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
        TCPListener(try await ServerCore.bind(to: address, options, on: EventLoop.required(loop)))
    }

    /// Takes over a TCP socket that listens already: one that another program has opened, and handed to this one.
    ///
    /// Makes it close-on-exec and non-blocking; the latter holds for everybody who shares the socket. Of the options,
    /// those for connections are set on it. The descriptor is closed if this throws: ``IOError`` with `EINVAL` if it is
    /// no listening TCP socket, `EBADF` if it is not open.
    public convenience init(
        adopting descriptor: consuming Descriptor, options: TCPOptions = TCPOptions(), on loop: EventLoop? = nil
    ) async throws {
        let loop = try EventLoop.required(loop)
        let address = try Socket.inspect(listening: descriptor.number, "descriptor \(descriptor.number)")
        guard address.family != .unix else {
            throw IOError(
                .invalidArgument, operation: "adopt", subject: "\(address)",
                detail: "this is a Unix socket; adopt it as a UnixListener")
        }
        try Socket.apply(options, to: descriptor.number, "\(address)")
        let handle = try await loop.adopt(descriptor, "\(address)")
        self.init(ServerCore(loop: loop, source: .socket(handle), address: address))
    }
}

extension StreamServer where Connection == TCPStream {
    /// Listens on all addresses of a host, all on the same port; port 0 lets the kernel choose one.
    ///
    /// For `localhost` that is `127.0.0.1` and `::1`. An IPv6 address takes IPv6 connections alone, so that both
    /// versions fit on one port. An address that this machine does not have is left out if another one is left.
    /// Suspends only to look up a name. Throws ``IOError``: `EADDRINUSE` if any of them is taken, `EACCES`,
    /// `EADDRNOTAVAIL`.
    public static func bind(
        _ host: String, _ port: UInt16, options: TCPOptions = TCPOptions(), on loop: EventLoop? = nil
    ) async throws -> TCPServer {
        let loop = try EventLoop.required(loop)
        return try await bind(to: lookUp(host, port), options: options, on: loop)
    }

    /// Listens on several addresses. Those with port 0 get the same one. As ``bind(_:_:options:on:)``.
    public static func bind(
        to addresses: [SocketAddress], options: TCPOptions = TCPOptions(), on loop: EventLoop? = nil
    ) async throws -> TCPServer {
        let loop = try EventLoop.required(loop)
        let parts = try await ServerCore.bind(to: addresses, options, on: loop)
        return TCPServer(parts: parts) { TCPStream($0) }
    }
}

extension ServerCore {
    /// Whether further sockets may listen on the same address.
    enum Sharing {
        /// As the options say.
        case asOptions
        /// Not with those that are there already, but with those that come.
        case afterwards
    }

    /// Listens on an address.
    static func bind(
        to address: SocketAddress, _ options: TCPOptions, sharing: Sharing = .asOptions, on loop: EventLoop
    ) async throws -> ServerCore {
        let descriptor = try Socket.openTCP(for: address, "bind")
        let subject = "\(address)"
        let number = descriptor.number
        try Socket.applyForListening(options, to: number, address)
        // Accepted sockets inherit these: no further call for each connection.
        try Socket.apply(options, to: number, subject)
        try Socket.bind(number, to: address)
        // The kernel compares the options of both sockets when the second one binds.
        if sharing == .afterwards { try Socket.set(number, SOL_SOCKET, SO_REUSEPORT, 1, subject) }
        try Socket.listen(number, backlog: options.backlog, address)
        let local = Socket.localAddress(number) ?? address
        let handle = try await loop.adopt(descriptor, subject)
        return ServerCore(loop: loop, source: .socket(handle), address: local, backlog: options.backlog)
    }

    /// Listens on several addresses, those with port 0 on the same one.
    static func bind(
        to addresses: [SocketAddress], _ options: TCPOptions, sharing: Sharing = .asOptions, on loop: EventLoop
    ) async throws -> [ServerCore] {
        var options = options
        let both = addresses.contains { $0.family == .ipv4 } && addresses.contains { $0.family == .ipv6 }
        if both && options.dualStack == nil { options.dualStack = .onlyIPv6 }
        // A port that is free at the first address may be taken at the second: then another one.
        let choosesPort = addresses.contains { $0.port == 0 }
        var attempts = 1
        while true {
            do {
                return try await bindOnce(to: addresses, options, sharing, on: loop)
            } catch let error as IOError where error.code == .addressInUse && choosesPort && attempts < 16 {
                attempts += 1
            }
        }
    }

    private static func bindOnce(
        to addresses: [SocketAddress], _ options: TCPOptions, _ sharing: Sharing, on loop: EventLoop
    ) async throws -> [ServerCore] {
        var bound: [ServerCore] = []
        var absent: IOError?
        for address in addresses {
            let port = address.port == 0 ? bound.first?.address.port ?? 0 : address.port ?? 0
            do {
                bound.append(try await bind(to: address.with(port: port), options, sharing: sharing, on: loop))
            } catch let error as IOError
                where error.code == .addressNotAvailable || error.code == .addressFamilyNotSupported
            {
                absent = absent ?? error
            } catch {
                for other in bound { other.close() }
                throw error
            }
        }
        guard bound.isEmpty else { return bound }
        throw absent ?? IOError(.addressNotAvailable, operation: "bind", detail: "no address to listen on was given")
    }
}
