#if HTTP
/// A cookie as a server has set it (RFC 6265).
public struct Cookie: Sendable, Hashable {
    /// Its name; distinguishes it from others of the same domain and path.
    public let name: String
    /// What the server wants back.
    public let value: String
    /// Where it belongs: a host, or with ``isHostOnly`` false also all below it.
    public let domain: String
    /// Whether only the host itself gets it.
    public let isHostOnly: Bool
    /// The paths that get it: this one, and what is below.
    public let path: String
    /// Whether it goes over TLS only.
    public let isSecure: Bool
    /// Whether scripts should not see it. It makes no difference here.
    public let isHTTPOnly: Bool
    /// When it ends, in seconds since 1970; nil when the session does.
    public let expiration: Int64?

    /// Whether a request to this place gets it (RFC 6265 section 5.4).
    func matches(_ url: HTTPURL, at now: Int64) -> Bool {
        if let expiration, expiration <= now { return false }
        guard url.scheme == .https || !isSecure else { return false }
        guard isHostOnly ? url.host == domain : Self.domain(domain, covers: url.host) else { return false }
        return Self.path(path, covers: url.path)
    }

    /// Section 5.1.3. An address covers nothing but itself.
    static func domain(_ domain: String, covers host: String) -> Bool {
        if host == domain { return true }
        guard host.utf8.count > domain.utf8.count, host.hasSuffix("." + domain) else { return false }
        return !isAddress(host)
    }

    /// Section 5.1.4.
    static func path(_ path: String, covers request: String) -> Bool {
        guard request.hasPrefix(path) else { return false }
        return path.hasSuffix("/") || request.utf8.count == path.utf8.count
            || request.utf8.dropFirst(path.utf8.count).first == UInt8(ascii: "/")
    }

    /// Whether this one, which came without TLS, would be taken for a secure one by its server, or would end it: it
    /// has the same name, and goes where that goes (RFC 6265bis section 5.7, step 9).
    func shadows(_ other: Cookie) -> Bool {
        other.isSecure && !isSecure && name == other.name
            && (Self.domain(other.domain, covers: domain) || Self.domain(domain, covers: other.domain))
            && Self.path(other.path, covers: path)
    }

    static func isAddress(_ host: String) -> Bool {
        host.utf8.contains(UInt8(ascii: ":")) || host.utf8.last.map { 0x30...0x39 ~= $0 } == true
    }
}

extension Cookie {
    /// The most bytes of a `Set-Cookie` that is taken (section 6.1).
    static let maximumSize = 4_096

    /// Reads a `Set-Cookie` field that came from a place (sections 5.2 and 5.3); nil if it is to be ignored.
    ///
    /// Without a list of the suffixes under which anybody can register a name, `Domain=co.uk` looks like a domain; a
    /// domain of a single part (`Domain=com`) is refused at least. Secure cookies come over TLS alone, and the names
    /// with the prefixes `__Secure-` and `__Host-` keep what they promise (RFC 6265bis sections 5.4 and 5.5).
    init?(setCookie field: String, from url: HTTPURL, at now: Int64) {
        guard field.utf8.count <= Self.maximumSize else { return nil }
        // Control characters could be read as the end of something by others.
        guard field.utf8.allSatisfy({ ($0 >= 0x20 || $0 == 0x09) && $0 != 0x7f }) else { return nil }
        var pieces = field.split(separator: ";", omittingEmptySubsequences: false)[...]
        guard let pair = pieces.popFirst(), let equals = pair.firstIndex(of: "=") else { return nil }
        name = pair[..<equals].trimmed
        value = pair[equals...].dropFirst().trimmed
        guard !name.isEmpty else { return nil }
        let attributes = Attributes(pieces, at: now)
        if let wanted = attributes.domain, wanted != url.host {
            guard wanted.utf8.contains(UInt8(ascii: ".")), !Self.isAddress(wanted), wanted.utf8.last != 0x2e,
                Self.domain(wanted, covers: url.host)
            else { return nil }
            (domain, isHostOnly) = (wanted, false)
        } else {
            let isWide = attributes.domain != nil && url.host.utf8.contains(UInt8(ascii: "."))
            (domain, isHostOnly) = (url.host, !isWide || Self.isAddress(url.host))
        }
        path = attributes.path ?? Self.defaultPath(of: url)
        isSecure = attributes.isSecure
        isHTTPOnly = attributes.isHTTPOnly
        expiration = attributes.expiration
        guard !isSecure || url.scheme == .https else { return nil }
        let lowercased = name.lowercased()
        if lowercased.hasPrefix("__secure-"), !isSecure { return nil }
        if lowercased.hasPrefix("__host-") {
            guard isSecure, attributes.domain == nil, attributes.path == "/" else { return nil }
        }
    }

    /// Section 5.1.4.
    private static func defaultPath(of url: HTTPURL) -> String {
        guard let last = url.path.lastIndex(of: "/"), last > url.path.startIndex else { return "/" }
        return String(url.path[..<last])
    }

    /// What stands behind the first semicolon; of what stands there twice, the last counts.
    private struct Attributes {
        var domain: String?
        var path: String?
        var isSecure = false
        var isHTTPOnly = false
        var expiration: Int64?

        init(_ pieces: ArraySlice<Substring>, at now: Int64) {
            var expires: Int64?
            var maximumAge: Int64?
            for piece in pieces {
                let equals = piece.firstIndex(of: "=") ?? piece.endIndex
                let value = piece[equals...].dropFirst().trimmed
                switch piece[..<equals].trimmed.lowercased() {
                case "domain":
                    let name = value.hasPrefix(".") ? value.dropFirst() : value[...]
                    domain = name.isEmpty ? nil : name.lowercased()
                case "path": path = value.hasPrefix("/") ? value : nil
                case "secure": isSecure = true
                case "httponly": isHTTPOnly = true
                case "expires": expires = CookieDate.seconds(value) ?? expires
                case "max-age": maximumAge = Self.age(value) ?? maximumAge
                default: break
                }
            }
            // The age has precedence (section 4.1.2.2). No longer than 400 days (RFC 6265bis section 5.5).
            let latest = now + 400 * 86_400
            if let maximumAge {
                expiration = maximumAge <= 0 ? 0 : min(now + min(maximumAge, 400 * 86_400), latest)
            } else {
                expiration = expires.map { min($0, latest) }
            }
        }

        /// Section 5.2.2. Too many digits for a number are a long time.
        private static func age(_ text: String) -> Int64? {
            let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
            guard !digits.isEmpty, digits.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else { return nil }
            return Int64(text) ?? (text.hasPrefix("-") ? .min : .max)
        }
    }
}
#endif
