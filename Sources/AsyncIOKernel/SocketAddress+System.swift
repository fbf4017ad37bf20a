package import Glibc

/// The kernel's form of an address: `sockaddr` and its relatives.
extension SocketAddress {
    /// Lends the address to a system call, in the form and with the length that the call expects.
    ///
    /// The pointer is valid only inside the closure. An unnamed Unix address is two bytes long: bind(2) takes that as a
    /// wish for any free abstract name (unix(7)).
    package func withSockaddr<Result>(
        _ body: (UnsafePointer<sockaddr>, socklen_t) throws -> Result
    ) rethrows -> Result {
        switch storage {
        case .ipv4(let value):
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = value.port.bigEndian
            address.sin_addr.s_addr = value.address.bigEndian
            return try unsafe Self.lend(&address, MemoryLayout<sockaddr_in>.size, body)
        case .ipv6(let value):
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = value.port.bigEndian
            address.sin6_flowinfo = value.flow.bigEndian
            address.sin6_scope_id = value.scope
            unsafe withUnsafeMutableBytes(of: &address.sin6_addr) { bytes in
                unsafe bytes.storeBytes(of: value.high.bigEndian, as: UInt64.self)
                unsafe bytes.storeBytes(of: value.low.bigEndian, toByteOffset: 8, as: UInt64.self)
            }
            return try unsafe Self.lend(&address, MemoryLayout<sockaddr_in6>.size, body)
        case .unix(let name):
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            unsafe withUnsafeMutableBytes(of: &address.sun_path) { bytes in
                unsafe bytes.copyBytes(from: name.prefix(bytes.count))
            }
            return try unsafe Self.lend(&address, Self.unixLength(name), body)
        }
    }

    /// Reads an address that a system call has filled in; nil if it is none that this package knows.
    ///
    /// Neither the family nor the length is trusted: at most `length` bytes are read, never more than a
    /// `sockaddr_storage` has, and an address that is cut short is none. A peer may be bound to a path of 108 bytes,
    /// which has no room for a terminator (unix(7)): it is kept as it is, though ``init(parsing:)`` refuses it.
    package init?(_ address: UnsafePointer<sockaddr>, length: socklen_t) {
        let count = min(Int(length), MemoryLayout<sockaddr_storage>.size)
        guard let storage = unsafe Self.read(UnsafeRawBufferPointer(start: address, count: count)) else { return nil }
        self.init(storage)
    }

    /// Reads an address from the storage that a system call was given; see ``init(_:length:)``.
    package init?(_ storage: sockaddr_storage, length: socklen_t) {
        let read = unsafe withUnsafeBytes(of: storage) { bytes in
            unsafe Self.read(UnsafeRawBufferPointer(rebasing: bytes.prefix(Int(length))))
        }
        guard let read else { return nil }
        self.init(read)
    }

    /// The number of the address' family, for socket(2).
    package var systemFamily: CInt {
        switch family {
        case .ipv4: AF_INET
        case .ipv6: AF_INET6
        case .unix: AF_UNIX
        }
    }

    private static func lend<Address, Result>(
        _ address: inout Address, _ length: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) throws -> Result
    ) rethrows -> Result {
        try unsafe withUnsafeBytes(of: &address) { bytes in
            // A local variable is never empty, so the bytes have a base.
            guard let base = bytes.baseAddress else { preconditionFailure("an address without bytes") }
            return try unsafe body(base.assumingMemoryBound(to: sockaddr.self), socklen_t(truncatingIfNeeded: length))
        }
    }

    /// How long a Unix address is for the kernel: a path counts with its terminator, if it has room for one.
    private static func unixLength(_ name: [UInt8]) -> Int {
        let terminator = name.first == nil || name.first == 0 || name.count >= pathCapacity ? 0 : 1
        return pathOffset + name.count + terminator
    }

    private static var pathOffset: Int { MemoryLayout<sa_family_t>.size }
    private static var pathCapacity: Int { MemoryLayout<sockaddr_un>.size - pathOffset }

    /// Takes apart what the kernel wrote. The offsets are those of Linux's ABI (ip(7), ipv6(7), unix(7)).
    private static func read(_ bytes: UnsafeRawBufferPointer) -> Storage? {
        guard bytes.count >= pathOffset else { return nil }
        switch CInt(unsafe bytes.loadUnaligned(as: sa_family_t.self)) {
        case AF_INET:
            guard bytes.count >= MemoryLayout<sockaddr_in>.size else { return nil }
            return unsafe .ipv4(
                IPv4(
                    address: UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self)),
                    port: UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self))))
        case AF_INET6:
            guard bytes.count >= MemoryLayout<sockaddr_in6>.size else { return nil }
            return unsafe .ipv6(
                IPv6(
                    high: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
                    low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self)),
                    scope: bytes.loadUnaligned(fromByteOffset: 24, as: UInt32.self),
                    flow: UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self)),
                    port: UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self))))
        case AF_UNIX:
            let name = unsafe Array(bytes.dropFirst(pathOffset).prefix(pathCapacity))
            guard let first = name.first, first != 0 else { return .unix(name) }
            return .unix(Array(name.prefix { $0 != 0 }))
        default:
            return nil
        }
    }
}

extension SocketAddress {
    /// The address in the bytes of a `sockaddr`, as accept4(2) reports it.
    package init?(sockaddr bytes: [UInt8]) {
        guard let storage = unsafe bytes.withUnsafeBytes({ unsafe Self.read($0) }) else { return nil }
        self.init(storage)
    }
}
