import AsyncIOKernel

/// What may be a host: an address in numbers, or a name that a resolver is asked for.
///
/// getaddrinfo(3) would take more, and not always what its caller has checked: names that are cut at a NUL or at the
/// end of a buffer, and numbers in the manner of inet_aton(3), for which `127.1`, `0x7f.1` and `2130706433` are all
/// this machine. What a program has compared with its list of hosts must be what it connects to, so nothing of that
/// gets through.
enum HostName {
    /// The most bytes a name has, without the dot that may stand at its end (RFC 1035, 3.1, in text form).
    static let maximumLength = 253
    /// The most bytes between two dots (RFC 1035, 2.3.4).
    static let maximumLabel = 63

    enum Kind {
        /// In numbers; with port 0.
        case numeric(SocketAddress)
        /// What a resolver is asked for.
        case name
    }

    /// Which of the two it is. Throws, and says why, if it is neither.
    static func kind(of host: String) throws(ResolutionError) -> Kind {
        if let address = try numeric(host, port: 0) { return .numeric(address) }
        try check(host)
        return .name
    }

    /// The address of a host in numbers; nil for what has to be a name.
    static func numeric(_ host: String, port: UInt16) throws(ResolutionError) -> SocketAddress? {
        if host.utf8.first == UInt8(ascii: "[") {
            guard host.utf8.count > 2, host.utf8.last == UInt8(ascii: "]") else {
                throw invalid(host, "the bracket is not closed: write '[::1]', or '::1'")
            }
            let inner = String(host.dropFirst().dropLast())
            guard inner.utf8.contains(UInt8(ascii: ":")) else {
                throw invalid(host, "only an IPv6 address stands in brackets: leave them out")
            }
            return try address(inner, of: host, port)
        }
        if host.utf8.contains(UInt8(ascii: ":")) { return try address(host, of: host, port) }
        guard endsInNumber(host) else { return nil }
        return try address(host, of: host, port)
    }

    private static func address(
        _ text: String, of host: String, _ port: UInt16
    ) throws(ResolutionError) -> SocketAddress {
        do {
            return try SocketAddress(host: text, port: port)
        } catch {
            throw invalid(host, (error as? IOError)?.detail ?? "\(error)")
        }
    }

    /// Whether the part behind the last dot is a number, in some notation or other. No name on the internet ends so
    /// (RFC 3696, 2).
    private static func endsInNumber(_ host: String) -> Bool {
        var labels = host.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        if labels.last?.isEmpty == true { labels.removeLast() }
        guard let last = labels.last, let first = last.first, isDigit(first) else { return false }
        if last.allSatisfy(isDigit) { return true }
        return first == UInt8(ascii: "0") && (last.dropFirst().first ?? 0) | 0x20 == UInt8(ascii: "x")
            && last.dropFirst(2).allSatisfy { isDigit($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")) ~= ($0 | 0x20) }
    }

    /// Throws, and says why, if this cannot be the name of a host.
    static func check(_ host: String) throws(ResolutionError) {
        guard !host.isEmpty else { throw invalid(host, "the name is empty: write a host name or an address") }
        guard !host.utf8.contains(0) else { throw invalid(host, "the name contains a NUL byte: remove it") }
        var count = host.utf8.count
        if host.utf8.last == UInt8(ascii: ".") { count -= 1 }
        guard count <= maximumLength else {
            throw invalid(host, "the name has \(count) bytes, and no host's name has more than \(maximumLength)")
        }
        guard count > 0 else { throw invalid(host, "the name is a dot alone: write a host name or an address") }
        guard host.utf8.allSatisfy({ $0 < 0x80 }) else {
            throw invalid(host, "the name is not ASCII: write it in the form that begins with 'xn--' (RFC 5891)")
        }
        if let stranger = host.unicodeScalars.first(where: { !isPartOfName($0) }) {
            let text = SocketAddress.quoted(Substring(String(stranger)))
            throw invalid(host, "a name has no \(text): write the host alone, of letters, digits, '-', '_' and '.'")
        }
        for label in host.utf8.prefix(count).split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) {
            guard !label.isEmpty else { throw invalid(host, "two dots follow each other, or one stands in front") }
            guard label.count <= maximumLabel else {
                let part = SocketAddress.quoted(Substring(label))
                throw invalid(host, "\(part) has \(label.count) bytes, and no part of a name more than \(maximumLabel)")
            }
        }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    private static func isPartOfName(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", "-", "_", ".": true
        default: false
        }
    }

    private static func invalid(_ host: String, _ detail: String) -> ResolutionError {
        ResolutionError(.invalidName, subject: SocketAddress.quoted(host[...]), detail: detail)
    }
}
