#if HTTP
import AsyncIOKernel
import Glibc

extension HTTPClient {
    /// Whether requests go through a proxy (RFC 9110 section 3.7).
    ///
    /// A proxy is asked for `http` by whole URLs, and for `https` to open a tunnel (CONNECT), through which TLS goes to
    /// the server itself. Name and password in the proxy's URL are sent to the proxy alone.
    public enum ProxyChoice: Sendable, Hashable {
        /// No proxy.
        case direct
        /// What `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` in the environment say, in small letters or in
        /// capitals, the former first.
        ///
        /// `no_proxy` lists, with commas, what is asked directly: `example.org` with all below it, `.example.org`
        /// likewise, `10.0.0.0/8`, `::1`, any of them with a port, `*` for everything. `localhost` and addresses of
        /// loopback always are. Where `REQUEST_METHOD` is set, this is a CGI program, in which `HTTP_PROXY` is a field
        /// of somebody's request: it is ignored then.
        case environment
        /// This proxy for all, but for what the list says, as in `no_proxy`.
        case server(HTTPURL, except: [String] = [])
    }
}

/// A proxy, and what it wants to see.
struct ProxyServer: Sendable, Hashable {
    /// Where it is.
    let origin: HTTPURL.Origin
    /// The value of `Proxy-Authorization`.
    let authorization: String?

    init(_ url: HTTPURL) {
        origin = url.origin
        authorization = url.userInfo?.basicAuthorization
    }
}

extension HTTPURL.UserInfo {
    /// Name and password as RFC 7617 sends them.
    var basicAuthorization: String { "Basic " + Base64.encode(Array("\(user):\(password)".utf8)) }
}

extension HTTPClient.ProxyChoice {
    /// The proxy for a place; nil for none. Throws if what is configured is no proxy.
    func proxy(for origin: HTTPURL.Origin, environment: (String) -> String?) throws -> ProxyServer? {
        switch self {
        case .direct: return nil
        case .server(let url, let exceptions):
            return ProxyExceptions(exceptions).contain(origin) ? nil : ProxyServer(url)
        case .environment:
            if origin.host == "localhost" || Self.isLoopback(origin.host) { return nil }
            let isCGI = environment("REQUEST_METHOD") != nil
            func value(_ name: String) -> String? {
                let found = [environment(name), isCGI && name == "http_proxy" ? nil : environment(name.uppercased())]
                return found.compactMap(\.self).first
            }
            guard let text = value("\(origin.scheme.rawValue)_proxy") ?? value("all_proxy"), !text.isEmpty else {
                return nil
            }
            let exceptions = (value("no_proxy") ?? "").split { $0 == "," || $0 == " " }.map(String.init)
            if ProxyExceptions(exceptions).contain(origin) { return nil }
            do {
                return ProxyServer(try HTTPURL(text.contains("://") ? text : "http://\(text)"))
            } catch let error as HTTPClientError {
                throw HTTPClientError(
                    .invalidProxy, subject: "the proxy for \(origin) in the environment", detail: "\(error)")
            }
        }
    }

    private static func isLoopback(_ host: String) -> Bool {
        (try? SocketAddress(host: host, port: 0))?.isLoopback ?? false
    }

    /// The process's environment.
    static func systemVariable(_ name: String) -> String? {
        unsafe getenv(name).map { unsafe String(cString: $0) }
    }
}

/// What is asked without a proxy.
struct ProxyExceptions {
    private let entries: [Substring]

    init(_ entries: [String]) {
        self.entries = entries.compactMap { entry in
            let text = entry.lowercased()[...]
            let trimmed = text.drop { $0 == " " }
            return trimmed.isEmpty ? nil : trimmed
        }
    }

    func contain(_ origin: HTTPURL.Origin) -> Bool { entries.contains { Self.covers($0, origin) } }

    private static func covers(_ entry: Substring, _ origin: HTTPURL.Origin) -> Bool {
        if entry == "*" { return true }
        if let address = try? SocketAddress(host: origin.host, port: 0), let bits = address.bits {
            var network = entry
            // Two colons or more are an address, and one is a port.
            if entry.hasPrefix("[") || entry.count(where: { $0 == ":" }) == 1 {
                guard let host = withoutPort(entry, origin.port) else { return false }
                network = host
            }
            return Network(network)?.contains(bits) ?? false
        }
        guard var name = withoutPort(entry, origin.port) else { return false }
        if name.hasPrefix("*.") { name = name.dropFirst() }
        if name.hasPrefix(".") { name = name.dropFirst() }
        let host = origin.host.hasSuffix(".") ? origin.host.dropLast() : origin.host[...]
        return host == name || host.hasSuffix(".\(name)")
    }

    /// The entry without its port; nil if that is another one.
    private static func withoutPort(_ entry: Substring, _ port: UInt16) -> Substring? {
        var host = entry
        if let colon = entry.lastIndex(of: ":"), !entry[colon...].contains("]") {
            guard UInt16(entry[colon...].dropFirst()) == port else { return nil }
            host = entry[..<colon]
        }
        return host.hasPrefix("[") && host.hasSuffix("]") ? host.dropFirst().dropLast() : host
    }

    /// Addresses with the same first bits (RFC 4632).
    private struct Network {
        let bits: [UInt8]
        let length: Int

        init?(_ text: Substring) {
            let parts = text.split(separator: "/", maxSplits: 1)
            guard let host = parts.first, let bits = (try? SocketAddress(host: String(host), port: 0))?.bits else {
                return nil
            }
            self.bits = bits
            guard parts.count == 2 else {
                length = bits.count * 8
                return
            }
            guard let length = Int(parts[1]), 0...bits.count * 8 ~= length else { return nil }
            self.length = length
        }

        func contains(_ other: [UInt8]) -> Bool {
            guard other.count == bits.count else { return false }
            return (0..<length).allSatisfy { index in
                (bits[index / 8] ^ other[index / 8]) & (0x80 >> UInt8(index % 8)) == 0
            }
        }
    }
}

extension SocketAddress {
    /// The address's own bytes, in the network's order; nil for a path.
    fileprivate var bits: [UInt8]? {
        switch family {
        case .ipv4: host.split(separator: ".").compactMap { UInt8($0) }
        case .ipv6: Self.expanded(host)
        default: nil
        }
    }

    /// The sixteen bytes of an address in its normal form, in which `::` stands at most once.
    private static func expanded(_ host: String) -> [UInt8]? {
        let halves = host.prefix { $0 != "%" }.split(separator: "::", omittingEmptySubsequences: false)
        let groups = halves.map { half in half.split(separator: ":").flatMap(bytes) }
        let known = groups.reduce(0) { $0 + $1.count }
        guard let first = groups.first, known <= 16 else { return nil }
        return first + [UInt8](repeating: 0, count: 16 - known) + groups.dropFirst().joined()
    }

    private static func bytes(ofGroup group: Substring) -> [UInt8] {
        if group.contains(".") { return group.split(separator: ".").compactMap { UInt8($0) } }
        let value = UInt16(group, radix: 16) ?? 0
        return [UInt8(value >> 8), UInt8(value & 0xff)]
    }
}
#endif
