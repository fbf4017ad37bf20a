import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

/// Making and asking sockets: the calls that never wait.
enum Socket {
    /// A non-blocking, close-on-exec TCP socket of the address's family.
    static func openTCP(for address: SocketAddress, _ operation: String) throws(IOError) -> Descriptor {
        guard address.family != .unix else {
            throw IOError(
                .addressFamilyNotSupported, operation: operation, subject: "\(address)",
                detail: "TCP needs an IPv4 or IPv6 address")
        }
        return try open(for: address, CInt(SOCK_STREAM.rawValue), operation)
    }

    /// A non-blocking, close-on-exec Unix socket.
    static func openUnix(
        for address: SocketAddress, _ type: CInt, _ operation: String
    ) throws(IOError) -> Descriptor {
        guard address.family == .unix else {
            throw IOError(
                .addressFamilyNotSupported, operation: operation, subject: "\(address)",
                detail: "a Unix socket needs a path, or a name after unix:@")
        }
        return try open(for: address, type, operation)
    }

    /// A non-blocking, close-on-exec socket of the address's family and a type.
    static func open(
        for address: SocketAddress, _ type: CInt, _ operation: String
    ) throws(IOError) -> Descriptor {
        let number = try SystemCall.check(
            SystemCall.socket(family: address.systemFamily, type), operation, "\(address)")
        return Descriptor(owning: CInt(truncatingIfNeeded: number))
    }

    static func apply(_ options: TCPOptions, to descriptor: CInt, _ subject: String) throws(IOError) {
        if options.noDelay { try set(descriptor, .noDelay(true), subject) }
        if let time = options.userTimeout { try set(descriptor, .userTimeout(time), subject) }
        if let bytes = options.sendBuffer { try set(descriptor, SOL_SOCKET, SO_SNDBUF, size(bytes), subject) }
        if let bytes = options.receiveBuffer { try set(descriptor, SOL_SOCKET, SO_RCVBUF, size(bytes), subject) }
        guard let keepAlive = options.keepAlive else { return }
        for option in SocketOption.keepAlive(keepAlive) { try set(descriptor, option, subject) }
    }

    /// The options that matter before bind(2) and listen(2) alone.
    static func applyForListening(
        _ options: TCPOptions, to descriptor: CInt, _ address: SocketAddress
    ) throws(IOError) {
        let subject = "\(address)"
        if options.reuseAddress { try set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1, subject) }
        if options.reusePort { try set(descriptor, SOL_SOCKET, SO_REUSEPORT, 1, subject) }
        if let dualStack = options.dualStack, address.family == .ipv6 {
            try set(descriptor, CInt(IPPROTO_IPV6), IPV6_V6ONLY, dualStack == .onlyIPv6 ? 1 : 0, subject)
        }
        if let time = options.deferAccept {
            try set(descriptor, CInt(IPPROTO_TCP), TCP_DEFER_ACCEPT, SocketOption.seconds(time), subject)
        }
    }

    static func set(_ descriptor: CInt, _ option: SocketOption, _ subject: String) throws(IOError) {
        try set(descriptor, option.level, option.name, option.value, subject)
    }

    static func set(
        _ descriptor: CInt, _ level: CInt, _ option: CInt, _ value: CInt, _ subject: String
    ) throws(IOError) {
        try SystemCall.check(SystemCall.setOption(descriptor, level, option, number: value), "setsockopt", subject)
    }

    /// The kernel doubles it, and raises what is too little.
    private static func size(_ bytes: Int) -> CInt { CInt(clamping: max(bytes, 0)) }

    static func bind(_ descriptor: CInt, to address: SocketAddress) throws(IOError) {
        try SystemCall.check(SystemCall.bind(descriptor, address), "bind", "\(address)")
    }

    static func listen(_ descriptor: CInt, backlog: CInt, _ address: SocketAddress) throws(IOError) {
        try SystemCall.check(SystemCall.listen(descriptor, backlog: backlog), "listen", "\(address)")
    }

    /// Looks at a socket that somebody else has opened, makes it close-on-exec and non-blocking, and returns the
    /// address on which it listens.
    static func inspect(listening descriptor: CInt, _ subject: String) throws(IOError) -> SocketAddress {
        let address = try look(listening: descriptor, subject)
        try prepare(descriptor, subject)
        return address
    }

    /// Makes it close-on-exec and non-blocking.
    static func prepare(_ descriptor: CInt, _ subject: String) throws(IOError) {
        try Descriptor.setNonBlocking(descriptor)
        try SystemCall.call("fcntl", subject) { fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    }

    /// Looks at a socket that somebody else has opened, without changing it, and returns the address on which it
    /// listens.
    static func look(listening descriptor: CInt, _ subject: String) throws(IOError) -> SocketAddress {
        let type = try type(of: descriptor, subject, wanted: "a listening stream socket")
        guard type == CInt(SOCK_STREAM.rawValue) else {
            throw IOError(
                .invalidArgument, operation: "adopt", subject: subject,
                detail: "this is no stream socket, but one of type \(type) (socket(2)); a listening one is needed")
        }
        guard value(descriptor, SO_ACCEPTCONN).value == 1 else {
            throw IOError(
                .invalidArgument, operation: "adopt", subject: subject,
                detail: "this socket does not listen; whoever opens it has to call listen(2)")
        }
        guard let address = localAddress(descriptor) else {
            throw IOError(
                .addressFamilyNotSupported, operation: "adopt", subject: subject,
                detail: "this socket is neither IPv4, IPv6 nor Unix")
        }
        return address
    }

    /// The two ends of a datagram socket that somebody else has opened. It is not changed. The family is IPv4 or IPv6,
    /// or else Unix.
    static func look(
        datagrams descriptor: CInt, _ subject: String
    ) throws(IOError) -> (local: SocketAddress, peer: SocketAddress?) {
        let type = try type(of: descriptor, subject, wanted: "a datagram socket")
        guard type == CInt(SOCK_DGRAM.rawValue) else {
            throw IOError(
                .invalidArgument, operation: "adopt", subject: subject,
                detail: "this is no datagram socket, but one of type \(type) (socket(2))")
        }
        guard let local = localAddress(descriptor) else {
            throw IOError(
                .addressFamilyNotSupported, operation: "adopt", subject: subject,
                detail: "this socket is neither IPv4, IPv6 nor Unix")
        }
        let protocolNumber = value(descriptor, SO_PROTOCOL).value
        guard local.family == .unix || protocolNumber == CInt(IPPROTO_UDP) else {
            throw IOError(
                .protocolNotSupported, operation: "adopt", subject: subject,
                detail: "this socket is not for UDP, but for protocol \(protocolNumber) (protocols(5))")
        }
        return (local, peerAddress(descriptor))
    }

    /// SO_TYPE of socket(7).
    static func type(of descriptor: CInt, _ subject: String, wanted: String) throws(IOError) -> CInt {
        let (code, type) = value(descriptor, SO_TYPE)
        guard code < 0 else { return type }
        let detail = code == Errno.notSocket.negated ? "no socket; \(wanted) is needed" : nil
        throw IOError(Errno(negated: code), operation: "adopt", subject: subject, detail: detail)
    }

    private static func value(_ descriptor: CInt, _ option: CInt) -> (code: Int, value: CInt) {
        let (code, bytes) = SystemCall.option(descriptor, SOL_SOCKET, option, MemoryLayout<CInt>.size)
        return (code, SocketOption.number(bytes))
    }

    /// The socket's own address.
    static func localAddress(_ descriptor: CInt) -> SocketAddress? {
        address(SystemCall.localAddress(descriptor))
    }

    /// The address of the socket that it is connected to, if it is.
    static func peerAddress(_ descriptor: CInt) -> SocketAddress? {
        address(SystemCall.peerAddress(descriptor))
    }

    private static func address(_ answer: (result: Int, bytes: [UInt8])) -> SocketAddress? {
        answer.result < 0 ? nil : SocketAddress(sockaddr: answer.bytes)
    }
}
