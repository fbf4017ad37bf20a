#if HTTP
/// The address of something on the web: an `http` or `https` URL (RFC 9110 section 4.2), taken apart.
///
/// ```swift
/// let url = try HTTPURL("https://example.org/find?q=ä")
/// url.host                                                // example.org
/// url.target                                              // /find?q=%C3%A4
/// try url.resolving("../other").description               // https://example.org/other
/// ```
///
/// Two programs that read a URL differently can be played off against each other: what one has checked, the other does
/// not ask for. So this is strict where that matters (control characters, backslashes and colons in odd places, numbers
/// in the manner of inet_aton(3)), and helpful where it does not: what may not stand in a path or a query is encoded.
/// Names with other letters than ASCII's are refused, since their encoding (IDNA) needs tables that are not here.
public struct HTTPURL: Sendable, Hashable {
    /// How the server is spoken to.
    public enum Scheme: String, Sendable, Hashable {
        /// Plain.
        case http
        /// Over TLS.
        case https

        /// 80 or 443.
        public var defaultPort: UInt16 { self == .http ? 80 : 443 }
    }

    /// A name and a password in front of the host. They are in no description.
    public struct UserInfo: Sendable, Hashable, CustomStringConvertible {
        /// The name, decoded.
        public var user: String
        /// The password, decoded; empty if there is none.
        public var password: String

        /// Says only that there is something.
        public var description: String { "…" }
    }

    /// Where a server is: what decides who may see cookies and credentials (RFC 6454).
    public struct Origin: Sendable, Hashable, CustomStringConvertible {
        /// `http` or `https`.
        public let scheme: Scheme
        /// In small letters; an IPv6 address without brackets.
        public let host: String
        /// The port, also where it is the scheme's own.
        public let port: UInt16

        /// `https://example.org`.
        public var description: String { "\(scheme.rawValue)://\(authority)" }

        /// Host, and port if it is not the scheme's own: what stands in `Host`.
        public var authority: String { port == scheme.defaultPort ? bracketedHost : "\(bracketedHost):\(port)" }

        /// Host and port: what CONNECT asks for.
        var authorityWithPort: String { "\(bracketedHost):\(port)" }

        private var bracketedHost: String { host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host }
    }

    /// Scheme, host and port.
    public let origin: Origin
    /// From the first slash on, encoded, without `.` and `..`.
    public let path: String
    /// What stands behind the question mark, encoded; nil if there is none.
    public let query: String?
    /// What stands behind the number sign, encoded; nil if there is none. It is never sent.
    public let fragment: String?
    /// A name and a password, if the text had them.
    public let userInfo: UserInfo?

    init(origin: Origin, path: String, query: String?, fragment: String?, userInfo: UserInfo?) {
        self.origin = origin
        self.path = path
        self.query = query
        self.fragment = fragment
        self.userInfo = userInfo
    }

    /// Reads an absolute URL.
    ///
    /// Throws ``HTTPClientError`` (``HTTPClientError/Reason/invalidURL``) that says what is wrong, where, and what to
    /// write instead.
    public init(_ text: String) throws { self = try Self.parse(text) }

    /// `http` or `https`.
    public var scheme: Scheme { origin.scheme }
    /// In small letters; an IPv6 address without brackets.
    public var host: String { origin.host }
    /// The port, also where it is the scheme's own.
    public var port: UInt16 { origin.port }

    /// Path and query: what a server is asked for (RFC 9112 section 3.2.1).
    public var target: String { query.map { "\(path)?\($0)" } ?? path }

    /// What a proxy is asked for (RFC 9112 section 3.2.2): all but credentials and fragment.
    var absoluteTarget: String { "\(origin)\(target)" }

    /// The URL for errors and logs: without query and credentials, which may be secret.
    var subject: String { "\(origin)\(path)" }

    /// The same place without a name and a password.
    var withoutUserInfo: HTTPURL {
        HTTPURL(origin: origin, path: path, query: query, fragment: fragment, userInfo: nil)
    }

    func with(fragment: String?) -> HTTPURL {
        HTTPURL(origin: origin, path: path, query: query, fragment: fragment, userInfo: userInfo)
    }
}

extension HTTPURL: CustomStringConvertible {
    /// The whole URL in its normal form, but for a name and a password.
    public var description: String { absoluteTarget + (fragment.map { "#\($0)" } ?? "") }
}
#endif
