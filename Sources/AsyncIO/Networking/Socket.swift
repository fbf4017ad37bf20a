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
        let kind = type | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        let number = try SystemCall.call(operation, "\(address)") { socket(address.systemFamily, kind, 0) }
        return Descriptor(owning: CInt(truncatingIfNeeded: number))
    }

    static func apply(_ options: TCPOptions, to descriptor: CInt, _ subject: String) throws(IOError) {
        let tcp = CInt(IPPROTO_TCP)
        if options.noDelay { try set(descriptor, tcp, TCP_NODELAY, 1, subject) }
        if let bytes = options.sendBuffer { try set(descriptor, SOL_SOCKET, SO_SNDBUF, size(bytes), subject) }
        if let bytes = options.receiveBuffer { try set(descriptor, SOL_SOCKET, SO_RCVBUF, size(bytes), subject) }
        guard let keepAlive = options.keepAlive else { return }
        try set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1, subject)
        try set(descriptor, tcp, TCP_KEEPIDLE, seconds(keepAlive.idle), subject)
        try set(descriptor, tcp, TCP_KEEPINTVL, seconds(keepAlive.interval), subject)
        try set(descriptor, tcp, TCP_KEEPCNT, CInt(clamping: max(keepAlive.count, 1)), subject)
    }

    static func set(
        _ descriptor: CInt, _ level: CInt, _ option: CInt, _ value: CInt, _ subject: String
    ) throws(IOError) {
        var value = value
        try SystemCall.call("setsockopt", subject) {
            unsafe setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<CInt>.size))
        }
    }

    /// The kernel doubles it, and raises what is too little.
    private static func size(_ bytes: Int) -> CInt { CInt(clamping: max(bytes, 0)) }

    private static func seconds(_ duration: Duration) -> CInt {
        CInt(clamping: max(duration.components.seconds, 1))
    }

    static func bind(_ descriptor: CInt, to address: SocketAddress) throws(IOError) {
        try SystemCall.call("bind", "\(address)") {
            unsafe address.withSockaddr { pointer, length in unsafe Glibc.bind(descriptor, pointer, length) }
        }
    }

    /// The socket's own address.
    static func localAddress(_ descriptor: CInt) -> SocketAddress? {
        unsafe address { unsafe getsockname(descriptor, $0, $1) }
    }

    private static func address(
        _ body: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> CInt
    ) -> SocketAddress? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                SystemCall.result { unsafe body(address, &length) }
            }
        }
        return result < 0 ? nil : SocketAddress(storage, length: length)
    }
}

extension SocketAddress {
    /// The address in the bytes of a `sockaddr`, as accept4(2) reports it.
    init?(sockaddr bytes: [UInt8]) {
        var storage = sockaddr_storage()
        let count = min(bytes.count, MemoryLayout<sockaddr_storage>.size)
        unsafe withUnsafeMutableBytes(of: &storage) { unsafe $0.copyBytes(from: bytes.prefix(count)) }
        self.init(storage, length: socklen_t(count))
    }
}
