import Glibc
import SystemPackage

extension SocketAddress: LosslessStringConvertible {
    /// Reads an address and its port from text; nothing is looked up except the names of interfaces.
    ///
    /// The forms are `127.0.0.1:80`, `[::1]:80`, `[fe80::1%eth0]:80` or `[fe80::1%3]:80` (a scope of digits is a
    /// number), `unix:/path`, `unix:@abstract` and `unix:(unnamed)`. After `unix:` a byte can be written as `\xNN`, and
    /// a backslash has to be. Numbers are decimal digits without sign and without leading zeros, so that `010` is not
    /// taken for 8 by one program and for 10 by another; an IPv4 address has all four of them (RFC 6943, 3.1.1).
    ///
    /// Throws ``IOError`` with `EINVAL`, or with `ENODEV` for an interface that this machine does not have; it says
    /// which part is wrong and what to write instead.
    public init(parsing text: String) throws {
        self = try Self.reportingFault("parse address", text) { () throws(Fault) in try Self.parse(text) }
    }

    /// Makes an address from a numeric host, without brackets, and a port.
    ///
    /// Takes what stands before the port in ``init(parsing:)``: `127.0.0.1`, `::1`, `fe80::1%eth0`. Names are not
    /// looked up: that is the resolver's task. Throws ``IOError`` as ``init(parsing:)`` does.
    public init(host: String, port: UInt16) throws {
        self = try Self.reportingFault("parse host", host) { () throws(Fault) in
            guard !host.utf8.contains(0) else { throw Fault("contains a NUL byte: remove it") }
            return try host.utf8.contains(UInt8(ascii: ":"))
                ? Self.ipv6(parsing: host[...], port: port) : Self.ipv4(parsing: host[...], port: port)
        }
    }

    /// Reads an address as ``init(parsing:)`` does, or returns nil.
    public init?(_ description: String) {
        guard let address = try? Self.parse(description) else { return nil }
        self = address
    }
}

// MARK: - Faults

extension SocketAddress {
    /// What is wrong with a part of a text, and the remedy.
    struct Fault: Error {
        let code: Errno
        let message: String

        init(_ message: String, code: Errno = .invalidArgument) {
            self.code = code
            self.message = message
        }
    }

    /// Runs a body and tells its fault as the error of an operation on a text.
    static func reportingFault(
        _ operation: String, _ text: String, _ body: () throws(Fault) -> SocketAddress
    ) throws(IOError) -> SocketAddress {
        do throws(Fault) {
            return try body()
        } catch {
            throw IOError(error.code, operation: operation, subject: quoted(text[...]), detail: error.message)
        }
    }

    /// A piece of foreign text, safe to print: what does not print is escaped, and what would flood a log is cut.
    /// A backslash stays as it was written.
    package static func quoted(_ text: Substring) -> String {
        let limit = 256
        let bytes = Array(text.utf8.prefix(limit + 1))
        let text = escaped(bytes.prefix(limit)).replacing(escape(UInt8(ascii: "\\")), with: "\\")
        return "'\(text)\(bytes.count > limit ? "…" : "")'"
    }
}

// MARK: - The grammar

extension SocketAddress {
    private static let unixPrefix = "unix:"

    private static func parse(_ text: String) throws(Fault) -> SocketAddress {
        guard !text.isEmpty else { throw Fault("the text is empty: write HOST:PORT or unix:PATH") }
        guard !text.utf8.contains(0) else { throw Fault("contains a NUL byte: remove it, or write \\x00 after unix:@") }
        if text.utf8.starts(with: unixPrefix.utf8) {
            return try unix(parsing: text.utf8.dropFirst(unixPrefix.utf8.count))
        }
        if text.utf8.first == UInt8(ascii: "[") { return try bracketed(text.utf8.dropFirst()) }
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) else {
            throw Fault("the port is missing: write \(quoted("\(text):80"))")
        }
        let host = text[..<colon]
        guard !host.utf8.contains(UInt8(ascii: ":")) else {
            throw Fault("an IPv6 address stands in brackets before its port: write '[::1]:80'")
        }
        guard !host.isEmpty else { throw Fault("the host is missing: write \(quoted("0.0.0.0\(text)"))") }
        return try ipv4(parsing: host, port: port(parsing: Substring(text.utf8[colon...].dropFirst())))
    }

    private static func bracketed(_ rest: Substring.UTF8View) throws(Fault) -> SocketAddress {
        guard let end = rest.firstIndex(of: UInt8(ascii: "]")) else {
            throw Fault("the bracket is not closed: write \(quoted("[::1]:80"))")
        }
        let host = Substring(rest[..<end])
        let tail = Substring(rest[end...].dropFirst())
        guard !tail.isEmpty else { throw Fault("the port is missing: write \(quoted("[\(host)]:80"))") }
        guard tail.utf8.first == UInt8(ascii: ":") else {
            throw Fault("\(quoted(tail)) follows the bracket: write a colon and the port there")
        }
        return try ipv6(parsing: host, port: port(parsing: Substring(tail.utf8.dropFirst())))
    }

    private static func port(parsing text: Substring) throws(Fault) -> UInt16 {
        guard !text.isEmpty else { throw Fault("the port is missing: write a number from 0 to 65535 after the colon") }
        guard let value = number(text, below: 65536) else {
            throw Fault("port \(quoted(text)) is not valid: write a number from 0 to 65535, \(digitsOnly)")
        }
        return UInt16(value)
    }

    private static func ipv4(parsing text: Substring, port: UInt16) throws(Fault) -> SocketAddress {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 == UInt8(ascii: ".") || isDigit($0) }) else {
            throw Fault("\(quoted(text)) is not a numeric address: write one such as 127.0.0.1, or resolve the name")
        }
        guard parts.count == 4 else {
            throw Fault("\(quoted(text)) has \(parts.count) of the 4 numbers of an IPv4 address: write them all")
        }
        var address: UInt32 = 0
        for part in parts {
            guard let value = number(part, below: 256) else {
                throw Fault("\(quoted(part)) in \(quoted(text)) is not a number from 0 to 255, \(digitsOnly)")
            }
            address = address << 8 | value
        }
        return SocketAddress(.ipv4(IPv4(address: address, port: port)))
    }

    private static func ipv6(parsing text: Substring, port: UInt16) throws(Fault) -> SocketAddress {
        let percent = text.utf8.firstIndex(of: UInt8(ascii: "%"))
        let digits = text[..<(percent ?? text.endIndex)]
        var address = in6_addr()
        guard unsafe inet_pton(AF_INET6, String(digits), &address) == 1 else {
            throw Fault("\(quoted(digits)) is not an IPv6 address: write one such as ::1, without brackets inside")
        }
        var value = unsafe withUnsafeBytes(of: address) { bytes in
            unsafe IPv6(
                high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
                scope: 0, flow: 0, port: port)
        }
        if let percent { value.scope = try scope(parsing: Substring(text.utf8[percent...].dropFirst())) }
        return SocketAddress(.ipv6(value))
    }

    private static func scope(parsing text: Substring) throws(Fault) -> UInt32 {
        guard !text.isEmpty else { throw Fault("the scope is missing: write an interface after '%', or leave it out") }
        if text.utf8.allSatisfy(isDigit) {
            guard let value = number(text, below: 1 << 32) else {
                throw Fault("scope \(quoted(text)) is not valid: write a number from 0 to 4294967295, \(digitsOnly)")
            }
            return value
        }
        let index = SystemCall.result {
            let index = unsafe if_nametoindex(String(text))
            return index == 0 ? -1 : Int(index)
        }
        if index > 0 { return UInt32(truncatingIfNeeded: index) }
        let code = Errno(negated: index)
        let remedy = code == .operationNotSupportedByDevice ? "see 'ip link' for their names" : "\(code)"
        throw Fault("interface \(quoted(text)) is not known on this machine: \(remedy)", code: code)
    }

    private static let digitsOnly = "digits only, no sign, no leading zeros"

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    /// A decimal number without sign and leading zeros, below a limit of at most 2^32.
    private static func number(_ text: Substring, below limit: UInt64) -> UInt32? {
        guard !text.isEmpty, text.utf8.count <= 10, text.utf8.allSatisfy(isDigit) else { return nil }
        guard text.utf8.count == 1 || text.utf8.first != UInt8(ascii: "0") else { return nil }
        guard let value = UInt64(text), value < limit else { return nil }
        return UInt32(truncatingIfNeeded: value)
    }
}

// MARK: - Unix names

extension SocketAddress {
    static func unix(pathBytes bytes: [UInt8]) throws(Fault) -> SocketAddress {
        guard !bytes.isEmpty else { throw Fault("the path is empty: write one such as /run/app.sock") }
        guard !bytes.contains(0) else { throw Fault("the path contains a NUL byte: remove it") }
        guard bytes.count <= maximumUnixLength else {
            throw Fault("the path has \(bytes.count) bytes, at most \(maximumUnixLength) fit: shorten it")
        }
        return SocketAddress(.unix(bytes))
    }

    static func unix(abstractBytes bytes: [UInt8]) throws(Fault) -> SocketAddress {
        guard bytes.count <= maximumUnixLength else {
            throw Fault("the abstract name has \(bytes.count) bytes, at most \(maximumUnixLength) fit: shorten it")
        }
        return SocketAddress(.unix([0] + bytes))
    }

    private static func unix(parsing text: Substring.UTF8View) throws(Fault) -> SocketAddress {
        if text.elementsEqual(unnamedText.utf8) { return unnamedUnix }
        guard text.first == UInt8(ascii: "@") else { return try unix(pathBytes: unescaped(text)) }
        return try unix(abstractBytes: unescaped(text.dropFirst()))
    }

    static func escape(_ byte: UInt8) -> String {
        "\\x\(String(byte >> 4, radix: 16, uppercase: true))\(String(byte & 15, radix: 16, uppercase: true))"
    }

    /// The bytes as text: what prints as itself, the rest and the backslash as `\xNN`, byte by byte.
    static func escaped(_ bytes: ArraySlice<UInt8>) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            return bytes.map { $0 < 0x80 ? escaped(Unicode.Scalar($0)) : escape($0) }.joined()
        }
        return text.unicodeScalars.map(escaped).joined()
    }

    private static func escaped(_ scalar: Unicode.Scalar) -> String {
        let printsAsItself =
            switch scalar.properties.generalCategory {
            case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
            case .spaceSeparator: scalar == " "
            default: scalar != "\\"
            }
        return printsAsItself ? String(scalar) : UTF8.encode(scalar).map { $0.map(escape).joined() } ?? ""
    }

    private static func unescaped(_ text: Substring.UTF8View) throws(Fault) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = text
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\") else {
                bytes.append(byte)
                continue
            }
            guard rest.popFirst() == UInt8(ascii: "x"), let high = rest.popFirst().flatMap(hexadecimal),
                let low = rest.popFirst().flatMap(hexadecimal)
            else { throw Fault("'\\' begins no escape: write a byte as \\xNN, and a backslash as \\x5C") }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    private static func hexadecimal(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
