import AsyncIOKernel
import CAsyncIO
import Glibc

/// An address of IPv4 or IPv6; those of version 4 in their mapped form, `::ffff:10.0.0.1` (RFC 4291, 2.5.5.2).
struct IPAddress: Hashable {
    let high: UInt64
    let low: UInt64

    static func v4(_ address: UInt32) -> IPAddress { IPAddress(high: 0, low: 0xffff << 32 | UInt64(address)) }

    /// The address of four or sixteen bytes, as the network has them.
    static func of(_ bytes: some Collection<UInt8>) -> IPAddress {
        func number(_ bytes: some Sequence<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
        return bytes.count == 4
            ? v4(UInt32(truncatingIfNeeded: number(bytes)))
            : IPAddress(high: number(bytes.prefix(8)), low: number(bytes.dropFirst(8)))
    }

    static let anyV4 = v4(0)
    static let anyV6 = IPAddress(high: 0, low: 0)
    static let loopbackV4 = v4(0x7f00_0001)
    static let loopbackV6 = IPAddress(high: 0, low: 1)

    var isV4: Bool { high == 0 && low >> 32 == 0xffff }
    var isAny: Bool { self == .anyV4 || self == .anyV6 }
    var isLoopback: Bool { isV4 ? low >> 24 & 0xff == 127 : self == .loopbackV6 }
    var isMulticast: Bool { isV4 ? low >> 28 & 0xf == 0xe : high >> 56 == 0xff }
    var isBroadcast: Bool { isV4 && low & 0xffff_ffff == 0xffff_ffff }
}

/// An address and a port.
struct Endpoint: Hashable {
    var address: IPAddress
    var port: UInt16

    /// Nil for an address of another family.
    init?(_ address: SocketAddress) {
        let read = unsafe address.withSockaddr { pointer, length -> Endpoint? in
            let bytes = unsafe UnsafeRawBufferPointer(start: pointer, count: Int(length))
            switch CInt(unsafe bytes.loadUnaligned(as: sa_family_t.self)) {
            case AF_INET:
                return unsafe Endpoint(
                    .v4(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self))),
                    UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
            case AF_INET6:
                return unsafe Endpoint(
                    IPAddress(
                        high: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
                        low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self))),
                    UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
            default: return nil
            }
        }
        guard let read else { return nil }
        self = read
    }

    init(_ address: IPAddress, _ port: UInt16) {
        self.address = address
        self.port = port
    }

    /// The bytes of a `sockaddr` for a socket of that family.
    func sockaddr(_ family: CInt) -> [UInt8] {
        if family == AF_INET {
            var bytes = [UInt8](repeating: 0, count: MemoryLayout<sockaddr_in>.size)
            unsafe bytes.withUnsafeMutableBytes { memory in
                unsafe memory.storeBytes(of: sa_family_t(AF_INET), as: sa_family_t.self)
                unsafe memory.storeBytes(of: port.bigEndian, toByteOffset: 2, as: UInt16.self)
                let address = UInt32(truncatingIfNeeded: address.low)
                unsafe memory.storeBytes(of: address.bigEndian, toByteOffset: 4, as: UInt32.self)
            }
            return bytes
        }
        var bytes = [UInt8](repeating: 0, count: MemoryLayout<sockaddr_in6>.size)
        unsafe bytes.withUnsafeMutableBytes { memory in
            unsafe memory.storeBytes(of: sa_family_t(AF_INET6), as: sa_family_t.self)
            unsafe memory.storeBytes(of: port.bigEndian, toByteOffset: 2, as: UInt16.self)
            unsafe memory.storeBytes(of: address.high.bigEndian, toByteOffset: 8, as: UInt64.self)
            unsafe memory.storeBytes(of: address.low.bigEndian, toByteOffset: 16, as: UInt64.self)
        }
        return bytes
    }

    /// The text form of ``SocketAddress``.
    var text: String {
        SocketAddress(sockaddr: sockaddr(address.isV4 ? AF_INET : AF_INET6)).map { "\($0)" } ?? "?"
    }
}
