import AsyncIOKernel
import CAsyncIO
import Glibc
import SystemPackage

/// The options of a simulated socket: those that have a meaning here, and those that are remembered.
struct SocketOptions {
    private struct Key: Hashable {
        let level: CInt
        let name: CInt
    }

    /// What was set.
    private var values: [Key: [UInt8]] = [:]

    var reuseAddress: Bool { isOn(SOL_SOCKET, SO_REUSEADDR) }
    var reusePort: Bool { isOn(SOL_SOCKET, SO_REUSEPORT) }
    var broadcast: Bool { isOn(SOL_SOCKET, SO_BROADCAST) }
    var keepsAlive: Bool { isOn(SOL_SOCKET, SO_KEEPALIVE) }
    var onlyIPv6: Bool { isOn(CInt(IPPROTO_IPV6), IPV6_V6ONLY) }
    /// The bytes of payload that fit: the kernel doubles what is asked for, and needs half of it.
    var sendBuffer: Int { buffer(SO_SNDBUF) }
    /// What SO_SNDBUF says, bookkeeping included.
    var sendMemory: Int { number(SOL_SOCKET, SO_SNDBUF) ?? Self.largestBuffer }
    var receiveBuffer: Int { buffer(SO_RCVBUF) }
    /// Closing breaks the connection off.
    var lingersNoTime: Bool {
        guard let bytes = values[Key(level: SOL_SOCKET, name: SO_LINGER)], bytes.count >= 8 else { return false }
        return Self.number(bytes) != 0 && Self.number(Array(bytes[4...])) == 0
    }

    /// The system's `wmem_max` and `rmem_max`.
    private static let largestBuffer = 212_992

    private func buffer(_ name: CInt) -> Int {
        max(number(SOL_SOCKET, name) ?? 2 * Self.largestBuffer, 2) / 2
    }

    func isOn(_ level: CInt, _ name: CInt) -> Bool { (number(level, name) ?? 0) != 0 }

    func number(_ level: CInt, _ name: CInt) -> Int? {
        values.isEmpty ? nil : values[Key(level: level, name: name)].map { Int(Self.number($0)) }
    }

    /// What getsockopt(2) answers; nil for an option that does not exist.
    func value(_ level: CInt, _ name: CInt, _ transport: CInt) -> [UInt8]? {
        if let value = values[Key(level: level, name: name)] { return value }
        guard let usual = Self.usual(level, name, transport) else { return nil }
        return name == SO_LINGER && level == SOL_SOCKET ? [UInt8](repeating: 0, count: 8) : Self.bytes(usual)
    }

    mutating func set(_ level: CInt, _ name: CInt, _ value: [UInt8], _ transport: CInt) -> Int {
        guard Self.usual(level, name, transport) != nil else { return Errno.protocolNotAvailable.negated }
        guard value.count >= 4 else { return Errno.invalidArgument.negated }
        var value = value
        if level == SOL_SOCKET && (name == SO_SNDBUF || name == SO_RCVBUF) {
            let least = name == SO_SNDBUF ? 4608 : 2304
            let wanted = min(max(Int(Self.number(value)), 0), Self.largestBuffer)
            value = Self.bytes(CInt(max(2 * wanted, least)))
        }
        values[Key(level: level, name: name)] = value
        return 0
    }

    /// The value of an option that nobody has set; nil for one that does not exist for the transport.
    private static func usual(_ level: CInt, _ name: CInt, _ transport: CInt) -> CInt? {
        switch level {
        case SOL_SOCKET:
            switch name {
            case SO_SNDBUF, SO_RCVBUF: CInt(largestBuffer)
            case SO_REUSEADDR, SO_REUSEPORT, SO_BROADCAST, SO_KEEPALIVE, SO_LINGER, SO_PRIORITY, SO_OOBINLINE: 0
            default: nil
            }
        case CInt(IPPROTO_TCP) where transport == CInt(IPPROTO_TCP):
            switch name {
            case TCP_NODELAY, TCP_CORK, TCP_USER_TIMEOUT, TCP_DEFER_ACCEPT, TCP_QUICKACK, TCP_FASTOPEN: 0
            case TCP_KEEPIDLE: 7200
            case TCP_KEEPINTVL: 75
            case TCP_KEEPCNT: 9
            case TCP_SYNCNT: 6
            case TCP_MAXSEG: 1460
            default: nil
            }
        case CInt(IPPROTO_IP) where transport != 0:
            switch name {
            case IP_TTL: 64
            case IP_TOS, IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, IP_MULTICAST_IF: 0
            case IP_MULTICAST_TTL, IP_MULTICAST_LOOP: 1
            default: nil
            }
        case CInt(IPPROTO_IPV6) where transport != 0:
            switch name {
            case IPV6_UNICAST_HOPS: 64
            case IPV6_V6ONLY, IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS, IPV6_TCLASS, IPV6_MULTICAST_IF: 0
            case IPV6_MULTICAST_HOPS, IPV6_MULTICAST_LOOP: 1
            default: nil
            }
        default: nil
        }
    }

    /// Whether it joins or leaves a group.
    static func isMembership(_ level: CInt, _ name: CInt) -> Bool {
        switch level {
        case CInt(IPPROTO_IP):
            [IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP, IP_ADD_SOURCE_MEMBERSHIP].contains(name)
                || [MCAST_JOIN_GROUP, MCAST_LEAVE_GROUP, MCAST_JOIN_SOURCE_GROUP, MCAST_LEAVE_SOURCE_GROUP].contains(
                    name)
        case CInt(IPPROTO_IPV6):
            [IPV6_JOIN_GROUP, IPV6_LEAVE_GROUP].contains(name)
                || [MCAST_JOIN_GROUP, MCAST_LEAVE_GROUP, MCAST_JOIN_SOURCE_GROUP, MCAST_LEAVE_SOURCE_GROUP].contains(
                    name)
        default: false
        }
    }

    static func bytes(_ value: CInt) -> [UInt8] { unsafe withUnsafeBytes(of: value) { unsafe [UInt8]($0) } }

    private static func number(_ bytes: [UInt8]) -> CInt {
        guard bytes.count >= 4 else { return 0 }
        return unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(as: CInt.self) }
    }
}
