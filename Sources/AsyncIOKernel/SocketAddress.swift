/// The address of one end of a socket: an IPv4 or IPv6 address with its port, or the path or name of a Unix socket.
///
/// A small value (at most 32 bytes inline; the bytes of a Unix path are shared between copies). Its text form is the
/// one that people write into configurations, and ``init(parsing:)`` reads back what ``description`` prints:
/// `127.0.0.1:80`, `[::1]:80`, `[fe80::1%3]:80`, `unix:/run/app.sock`, `unix:@abstract`.
///
/// The IPv6 flow information is handed to the kernel, but is part neither of the text nor of the comparison: two
/// packets that differ in it come from the same peer.
public struct SocketAddress: Hashable, Sendable {
    /// What an address consists of, in the order of bytes that a person reads.
    let storage: Storage

    init(_ storage: Storage) {
        self.storage = storage
    }

    enum Storage: Hashable, Sendable {
        case ipv4(IPv4)
        case ipv6(IPv6)
        /// What stands in `sun_path`, without terminator: empty is unnamed, a leading NUL makes it abstract.
        case unix([UInt8])
    }

    struct IPv4: Hashable, Sendable {
        var address: UInt32
        var port: UInt16
    }

    struct IPv6: Hashable, Sendable {
        var high: UInt64
        var low: UInt64
        var scope: UInt32
        var flow: UInt32
        var port: UInt16

        static func == (left: IPv6, right: IPv6) -> Bool {
            left.high == right.high && left.low == right.low && left.scope == right.scope && left.port == right.port
        }

        func hash(into hasher: inout Hasher) {
            hasher.combine(high)
            hasher.combine(low)
            hasher.combine(scope)
            hasher.combine(port)
        }
    }

    /// The kind of an address: which of the socket families it belongs to.
    public enum Family: Hashable, Sendable {
        /// Internet protocol version 4 (ip(7)).
        case ipv4
        /// Internet protocol version 6 (ipv6(7)).
        case ipv6
        /// Sockets of this machine, named in the file system or not (unix(7)).
        case unix
    }

    /// The version of the internet protocol, where a choice between both is needed.
    public enum IPVersion: Hashable, Sendable {
        /// Addresses of four bytes.
        case v4
        /// Addresses of sixteen bytes.
        case v6
    }

    /// The longest path or abstract name of a Unix socket, in bytes: `sun_path` has 108, of which one is a NUL
    /// (unix(7)).
    public static let maximumUnixLength = 107
}

// MARK: - Making addresses

extension SocketAddress {
    /// An IPv4 address from its four numbers, as in `.ipv4(127, 0, 0, 1, port: 80)`.
    public static func ipv4(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8, port: UInt16) -> SocketAddress {
        let address = UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d)
        return SocketAddress(.ipv4(IPv4(address: address, port: port)))
    }

    /// An IPv6 address from its eight groups, as in `.ipv6([0xfe80, 0, 0, 0, 0, 0, 0, 1], port: 80, scope: 3)`.
    ///
    /// `scope` is the number of an interface and only matters for link-local addresses, zero means none (RFC 4007);
    /// `flow` is `sin6_flowinfo` as a number in the machine's own order of bytes (ipv6(7)).
    public static func ipv6(
        _ groups: InlineArray<8, UInt16>, port: UInt16, scope: UInt32 = 0, flow: UInt32 = 0
    ) -> SocketAddress {
        var high: UInt64 = 0
        var low: UInt64 = 0
        for index in 0..<4 {
            high = high << 16 | UInt64(groups[index])
            low = low << 16 | UInt64(groups[index + 4])
        }
        return SocketAddress(.ipv6(IPv6(high: high, low: low, scope: scope, flow: flow, port: port)))
    }

    /// The address of a Unix socket in the file system.
    ///
    /// Throws ``IOError`` with `EINVAL` if the path is empty, contains a NUL, or has more than ``maximumUnixLength``
    /// bytes of UTF-8. A path whose bytes are not UTF-8 can be written with escapes, see ``init(parsing:)``.
    public static func unix(path: String) throws -> SocketAddress {
        try reportingFault("unix path", path) { () throws(Fault) in try unix(pathBytes: Array(path.utf8)) }
    }

    /// The address of a Unix socket in Linux's abstract namespace, which has no file and ends with its last socket.
    ///
    /// The name is given without the leading NUL; it may contain NULs itself, and may be empty. Throws ``IOError`` with
    /// `EINVAL` if it has more than ``maximumUnixLength`` bytes of UTF-8.
    public static func unix(abstract name: String) throws -> SocketAddress {
        try reportingFault("unix abstract name", name) { () throws(Fault) in
            try unix(abstractBytes: Array(name.utf8))
        }
    }

    /// The address that a Unix socket has which was never bound, as most clients are.
    public static let unnamedUnix = SocketAddress(.unix([]))

    /// This machine, reachable only from itself: `127.0.0.1`, or `::1` for version 6.
    public static func loopback(port: UInt16, version: IPVersion = .v4) -> SocketAddress {
        switch version {
        case .v4: .ipv4(127, 0, 0, 1, port: port)
        case .v6: .ipv6([0, 0, 0, 0, 0, 0, 0, 1], port: port)
        }
    }

    /// All addresses of this machine, to listen on: `0.0.0.0`, or `::` for version 6.
    public static func any(port: UInt16, version: IPVersion = .v4) -> SocketAddress {
        switch version {
        case .v4: .ipv4(0, 0, 0, 0, port: port)
        case .v6: .ipv6([0, 0, 0, 0, 0, 0, 0, 0], port: port)
        }
    }

    /// The same address with another port. A Unix address has no port and comes back unchanged.
    public func with(port: UInt16) -> SocketAddress {
        switch storage {
        case .ipv4(var value):
            value.port = port
            return SocketAddress(.ipv4(value))
        case .ipv6(var value):
            value.port = port
            return SocketAddress(.ipv6(value))
        case .unix:
            return self
        }
    }
}

// MARK: - Looking at addresses

extension SocketAddress {
    /// Which family of sockets the address belongs to.
    public var family: Family {
        switch storage {
        case .ipv4: .ipv4
        case .ipv6: .ipv6
        case .unix: .unix
        }
    }

    /// The port, or nil for a Unix address.
    public var port: UInt16? {
        switch storage {
        case .ipv4(let value): value.port
        case .ipv6(let value): value.port
        case .unix: nil
        }
    }

    /// Whether only this machine can be at the other end: `127.0.0.0/8`, `::1`, the same IPv4 addresses mapped into
    /// IPv6 (RFC 4291, 2.5.5.2), and every Unix address.
    public var isLoopback: Bool {
        switch storage {
        case .ipv4(let value): value.address >> 24 == 127
        case .ipv6(let value): value.high == 0 && (value.low == 1 || value.low >> 24 == 0xffff_7f)
        case .unix: true
        }
    }

    /// The path of a Unix socket in the file system, as bytes without terminator; nil for every other address.
    package var pathBytes: [UInt8]? {
        guard case .unix(let bytes) = storage, let first = bytes.first, first != 0 else { return nil }
        return bytes
    }
}

// MARK: - Printing addresses

extension SocketAddress: CustomStringConvertible {
    /// The address with its port, in the form that ``init(parsing:)`` reads.
    ///
    /// IPv6 is written as RFC 5952 asks, its scope as a number. In Unix paths and names every byte that does not print
    /// is written as `\xNN`.
    public var description: String {
        switch storage {
        case .ipv4: description(after: "")
        case .ipv6(let value): "[\(host)]:\(value.port)"
        case .unix: "unix:\(host)"
        }
    }

    /// The address without its port: `127.0.0.1`, `fe80::1%3`, `/run/app.sock`, `@abstract`, `(unnamed)`.
    public var host: String {
        switch storage {
        case .ipv4(let value): Self.dotted(value.address)
        case .ipv6(let value): value.scope == 0 ? value.hexadecimal : "\(value.hexadecimal)%\(value.scope)"
        case .unix(let bytes): Self.unixText(bytes)
        }
    }

    private static func dotted(_ address: UInt32) -> String {
        "\(address >> 24).\(address >> 16 & 255).\(address >> 8 & 255).\(address & 255)"
    }

    private static func unixText(_ bytes: [UInt8]) -> String {
        guard let first = bytes.first else { return unnamedText }
        if first == 0 { return "@" + escaped(bytes.dropFirst()) }
        // A path that begins like one of the special forms is kept apart from it by an escape.
        let text = escaped(bytes[...])
        guard first == UInt8(ascii: "@") || text == unnamedText else { return text }
        return escape(first) + String(text.unicodeScalars.dropFirst())
    }

    /// What stands for the address of a Unix socket that was never bound.
    static let unnamedText = "(unnamed)"
}

extension SocketAddress.IPv6 {
    /// The sixteen bytes as RFC 5952 writes them: lower case, the first longest run of zero groups as `::`.
    var hexadecimal: String {
        if high == 0 && low >> 32 == 0xffff {
            return "::ffff:\(low >> 24 & 255).\(low >> 16 & 255).\(low >> 8 & 255).\(low & 255)"
        }
        let groups = [high, low].flatMap { half in [48, 32, 16, 0].map { half >> UInt64($0) & 0xffff } }
        let zeros = Self.longestRunOfZeros(groups)
        let text = { (part: ArraySlice<UInt64>) in part.map { String($0, radix: 16) }.joined(separator: ":") }
        guard zeros.count >= 2 else { return text(groups[...]) }
        return "\(text(groups[..<zeros.lowerBound]))::\(text(groups[zeros.upperBound...]))"
    }

    private static func longestRunOfZeros(_ groups: [UInt64]) -> Range<Int> {
        var longest = 0..<0
        var start = 0
        for (index, group) in groups.enumerated() {
            if group != 0 {
                start = index + 1
            } else if index + 1 - start > longest.count {
                longest = start..<index + 1
            }
        }
        return longest
    }
}
