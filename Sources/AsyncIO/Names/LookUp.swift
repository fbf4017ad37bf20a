public import AsyncIOKernel

/// Looks up the addresses of a host, with the port in each, those first that are to be tried first.
///
/// ```swift
/// for address in try await lookUp("example.org", 443) { print(address) }
/// ```
///
/// A numeric host (`127.0.0.1`, `::1`, `[::1]`, `fe80::1%eth0`) is answered at once, without a thread, a resolver or a
/// suspension. All else must be a name, and is refused before anybody is asked if it cannot be one: see
/// ``ResolutionError/Reason-swift.enum/invalidName``. A dot at the end keeps the system from trying its search domains.
///
/// Asks the resolver given, or the one in force here (``withResolver(_:_:)``), or the system's. Keeps its
/// order, drops addresses of another version than the one wanted, and never returns an empty array. Suspends; a
/// cancelled task gets `CancellationError` at once, also while the system does not answer. Throws ``ResolutionError``.
///
/// asyncio's `getaddrinfo`.
public func lookUp(
    _ host: String, _ port: UInt16 = 0, version: SocketAddress.IPVersion? = nil, resolver: (any Resolver)? = nil
) async throws -> [SocketAddress] {
    if case .numeric(let address) = try HostName.kind(of: host) {
        return try wanted([address.with(port: port)], host, version)
    }
    let found = try await (resolver ?? CurrentResolver.value).addresses(of: host, version: version)
    return try wanted(found.map { $0.port == 0 ? $0.with(port: port) : $0 }, host, version)
}

/// Looks up the name of the host that has an address; the port does not matter.
///
/// Suspends and throws as ``lookUp(_:_:version:resolver:)``. Whoever owns an address decides what it is called, and may
/// claim any name: look that up in turn before you believe it.
///
/// asyncio's `getnameinfo`.
public func lookUpName(of address: SocketAddress, resolver: (any Resolver)? = nil) async throws -> String {
    guard address.family != .unix else { throw ResolutionError.noName(of: address) }
    return try await (resolver ?? CurrentResolver.value).name(of: address)
}

/// The addresses of the version, each once.
private func wanted(
    _ found: [SocketAddress], _ host: String, _ version: SocketAddress.IPVersion?
) throws(ResolutionError) -> [SocketAddress] {
    // The set beside the array: whoever owns the name chooses how many there are, and the loop waits meanwhile.
    var seen: Set<SocketAddress> = []
    let addresses = found.filter { $0.isOf(version) && seen.insert($0).inserted }
    guard addresses.isEmpty else { return addresses }
    throw ResolutionError.noAddress(of: host, version)
}

extension ResolutionError {
    /// A host has no address of the version.
    static func noAddress(of host: String, _ version: SocketAddress.IPVersion?) -> ResolutionError {
        let kind = version.map { $0 == .v4 ? "an IPv4 address" : "an IPv6 address" } ?? "an IP address"
        return ResolutionError(.noAddress, subject: host, detail: "the host has no such address: \(kind)")
    }

    /// The address is none of a host.
    static func noName(of address: SocketAddress) -> ResolutionError {
        ResolutionError(.noSuchName, subject: "\(address)", detail: "only IPv4 and IPv6 addresses have names")
    }
}

extension SocketAddress {
    /// Whether it is an address of the version, or of either one.
    func isOf(_ version: IPVersion?) -> Bool {
        switch (family, version) {
        case (.ipv4, .v4), (.ipv6, .v6), (.ipv4, nil), (.ipv6, nil): true
        default: false
        }
    }
}
