#if HTTP
import AsyncIOKernel

extension HTTPURL {
    /// What is wrong with a part of a text.
    private struct Fault: Error {
        let message: String

        init(_ message: String) { self.message = message }
    }

    /// The parts of a reference (RFC 3986 section 4.1), as they are written.
    private struct Parts {
        var scheme: Substring?
        var authority: Substring?
        var path: Substring
        var query: Substring?
        var fragment: Substring?
    }

    static func parse(_ text: String) throws -> HTTPURL {
        try reportingFault(text) { () throws(Fault) in
            let parts = try split(text)
            guard let scheme = try parts.scheme.map({ text throws(Fault) in try Self.scheme(text) }) else {
                throw Fault("it begins with no scheme: write http:// or https:// in front")
            }
            guard let authority = parts.authority else {
                throw Fault("two slashes are missing behind the scheme: write \(scheme.rawValue)://HOST/")
            }
            return try make(scheme, authority, parts)
        }
    }

    /// The URL that a reference in a document, or in a `Location`, means from here (RFC 3986 section 5.2).
    ///
    /// Throws as ``init(_:)``.
    public func resolving(_ reference: String) throws -> HTTPURL {
        try Self.reportingFault(reference) { () throws(Fault) in
            let parts = try Self.split(reference)
            let scheme = try parts.scheme.map { text throws(Fault) in try Self.scheme(text) }
            if let authority = parts.authority { return try Self.make(scheme ?? self.scheme, authority, parts) }
            // `http:path` is from a time before 1998: who follows it as a path, and who as a host, is not foreseeable.
            guard scheme == nil else { throw Fault("two slashes are missing behind the scheme") }
            let path: String
            var query = parts.query.map { Self.encoded($0, Self.inQuery) }
            if parts.path.isEmpty {
                path = self.path
                if parts.query == nil { query = self.query }
            } else {
                let given = Self.encoded(parts.path, Self.inPath)
                let folder = self.path.prefix(through: self.path.lastIndex(of: "/") ?? self.path.startIndex)
                path = Self.removingDots(given.hasPrefix("/") ? given : folder + given)
            }
            let fragment = parts.fragment.map { Self.encoded($0, Self.inQuery) }
            return HTTPURL(origin: origin, path: path, query: query, fragment: fragment, userInfo: userInfo)
        }
    }

    private static func reportingFault(_ text: String, _ body: () throws(Fault) -> HTTPURL) throws -> HTTPURL {
        do throws(Fault) {
            return try body()
        } catch {
            throw HTTPClientError(.invalidURL, subject: "the URL \(redacted(text))", detail: error.message)
        }
    }

    /// The text for an error: what may be a password is left out, and so is a query.
    private static func redacted(_ text: String) -> String {
        var shown = text.prefix { $0 != "?" && $0 != "#" }
        guard let at = shown.lastIndex(of: "@") else { return SocketAddress.quoted(shown) }
        let start = shown.firstRange(of: "//")?.upperBound ?? shown.startIndex
        if start < at { shown.replaceSubrange(start..<at, with: "…") }
        return SocketAddress.quoted(shown)
    }

    // MARK: Taking apart

    private static func split(_ text: String) throws(Fault) -> Parts {
        for byte in text.utf8 where byte < 0x20 || byte == 0x7f {
            throw Fault("it contains the control character \(byte), which would go into the request: remove it")
        }
        guard text.utf8.count <= 65_536 else { throw Fault("it is longer than 65,536 bytes") }
        var rest = text[...]
        var parts = Parts(path: "")
        if let mark = rest.firstIndex(of: "#") {
            parts.fragment = rest[rest.index(after: mark)...]
            rest = rest[..<mark]
        }
        if let mark = rest.firstIndex(of: "?") {
            parts.query = rest[rest.index(after: mark)...]
            rest = rest[..<mark]
        }
        if let colon = rest.firstIndex(of: ":"), !rest[..<colon].contains("/") {
            parts.scheme = rest[..<colon]
            rest = rest[rest.index(after: colon)...]
        }
        if rest.hasPrefix("//") {
            rest = rest.dropFirst(2)
            let end = rest.firstIndex(of: "/") ?? rest.endIndex
            parts.authority = rest[..<end]
            rest = rest[end...]
        }
        parts.path = rest
        return parts
    }

    private static func scheme(_ text: Substring) throws(Fault) -> Scheme {
        if let scheme = Scheme(rawValue: text.lowercased()) { return scheme }
        // `localhost:8080/x` has a scheme by the letter.
        throw Fault("the scheme is \(SocketAddress.quoted(text)): only http:// and https:// are spoken here")
    }

    private static func make(_ scheme: Scheme, _ authority: Substring, _ parts: Parts) throws(Fault) -> HTTPURL {
        let (userInfo, origin) = try origin(scheme, authority)
        let path = encoded(parts.path, inPath)
        return HTTPURL(
            origin: origin, path: removingDots(path.isEmpty ? "/" : path),
            query: parts.query.map { encoded($0, inQuery) },
            fragment: parts.fragment.map { encoded($0, inQuery) }, userInfo: userInfo)
    }

    // MARK: Authority

    private static func origin(_ scheme: Scheme, _ text: Substring) throws(Fault) -> (UserInfo?, Origin) {
        var rest = text
        var userInfo: UserInfo?
        if let at = rest.firstIndex(of: "@") {
            userInfo = try Self.userInfo(rest[..<at])
            rest = rest[rest.index(after: at)...]
            guard !rest.contains("@") else { throw Fault("two @ stand before the path: write %40 for the first") }
        }
        var host = rest
        var port = scheme.defaultPort
        let isBracketed = rest.first == "["
        let end = isBracketed ? rest.lastIndex(of: "]") : rest.startIndex
        guard let end else { throw Fault("the bracket of the address is not closed: write [::1]") }
        if let colon = rest[end...].firstIndex(of: ":") {
            host = rest[..<colon]
            port = try Self.port(rest[rest.index(after: colon)...], or: port)
        }
        return (userInfo, Origin(scheme: scheme, host: try Self.host(host), port: port))
    }

    private static func userInfo(_ text: Substring) throws(Fault) -> UserInfo {
        // To many, a backslash ends the host, and what is in front of the @ is one then.
        guard text.utf8.allSatisfy({ $0 == UInt8(ascii: "%") || inUserInfo[Int($0)] }) else {
            throw Fault("name and password before the @ have signs that may not stand there: encode them, as %5C")
        }
        let colon = text.firstIndex(of: ":") ?? text.endIndex
        guard let user = decoded(text[..<colon]), let password = decoded(text[colon...].dropFirst()) else {
            throw Fault("name and password before the @ are no encoded text: write % as %25")
        }
        // Basic authentication cannot tell where the name ends, otherwise (RFC 7617 section 2).
        guard !user.utf8.contains(UInt8(ascii: ":")) else { throw Fault("a name before the @ has no colon") }
        return UserInfo(user: user, password: password)
    }

    private static func port(_ text: Substring, or standard: UInt16) throws(Fault) -> UInt16 {
        if text.isEmpty { return standard }
        guard text.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), let port = UInt16(text), port > 0 else {
            throw Fault("the port is \(SocketAddress.quoted(text)): write a number from 1 to 65535")
        }
        return port
    }

    private static func host(_ text: Substring) throws(Fault) -> String {
        guard !text.isEmpty else { throw Fault("it names no host") }
        if text.first == "[" {
            guard text.last == "]", text.utf8.count > 2 else { throw Fault("only a port stands behind a bracket") }
            return try address(String(text.dropFirst().dropLast()), isIPv6: true)
        }
        guard text.utf8.allSatisfy({ $0 < 0x80 }) else {
            throw Fault("the host has letters beyond ASCII's: write it in its encoded form, which begins with xn--")
        }
        let name = text.lowercased()
        if let wrong = name.utf8.first(where: { !isInName($0) }) {
            let sign = Character(Unicode.Scalar(wrong))
            throw Fault("the host has a '\(sign)': it consists of letters, digits, dots, hyphens and underscores")
        }
        var labels = name.split(separator: ".", omittingEmptySubsequences: false)
        // One dot at the end says that nothing is to be added. It is another spelling, so it stays.
        if labels.count > 1, labels.last?.isEmpty == true { labels.removeLast() }
        guard labels.allSatisfy({ 1...63 ~= $0.utf8.count }), name.utf8.count <= 254 else {
            throw Fault("between two dots of a host stand 1 to 63 letters, and 253 in all")
        }
        // No name on the internet ends in a number (RFC 3696 section 2): 127.1 and 0x7f.1 are addresses to some.
        if labels.last?.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) == true || labels.last?.hasPrefix("0x") == true {
            return try address(name, isIPv6: false)
        }
        return name
    }

    private static func address(_ text: String, isIPv6: Bool) throws(Fault) -> String {
        guard text.utf8.contains(UInt8(ascii: ":")) == isIPv6 else {
            throw Fault("an IPv6 address, and nothing else, stands in brackets")
        }
        guard !text.utf8.contains(UInt8(ascii: "%")) else {
            throw Fault("an address with a zone means something on one machine only: connect by its name")
        }
        // The normal form: `[::0001]` and `[::1]` are the same origin.
        guard let address = try? SocketAddress(host: text, port: 0) else {
            throw Fault(
                "\(SocketAddress.quoted(text[...])) is no address: write four numbers as in 127.0.0.1, or [::1]")
        }
        return address.host
    }

    private static func isInName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"): true
        default: false
        }
    }
}
#endif
