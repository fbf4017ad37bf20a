public import AsyncIOKernel

/// Knows what its table says, and nothing else: for tests, and for names that are not to be looked up at all.
///
/// ```swift
/// var resolver = StaticResolver(["api.test": [.loopback(port: 8080)]])
/// resolver["down.test"] = .failure(.tryAgain)
/// resolver["slow.test"] = .silence
/// ```
///
/// Names match whatever the case of their letters and with or without a dot at the end. Names that are not in the table
/// fail with ``ResolutionError/Reason-swift.enum/noSuchName``, or go to the resolver named `otherwise`. Does not
/// suspend, except where nobody answers.
public struct StaticResolver: Resolver {
    /// What becomes of a name.
    public enum Answer: Sendable, Hashable {
        /// It has these addresses. One with port 0 gets the port that was asked for.
        case addresses([SocketAddress])
        /// It fails with ``ResolutionError``.
        case failure(ResolutionError.Reason)
        /// Nobody ever answers: whoever asks waits until it is cancelled.
        case silence
    }

    private var table: [String: Answer] = [:]
    private let otherwise: (any Resolver)?

    /// Creates a resolver from a table of names.
    public init(_ table: [String: [SocketAddress]] = [:], otherwise: (any Resolver)? = nil) {
        self.otherwise = otherwise
        for (name, addresses) in table { self[name] = .addresses(addresses) }
    }

    /// What becomes of a name; nil means that it is not in the table.
    public subscript(name: String) -> Answer? {
        get { table[Self.key(name)] }
        set { table[Self.key(name)] = newValue }
    }

    private static func key(_ name: String) -> String {
        let name = name.lowercased()
        return name.utf8.last == UInt8(ascii: ".") ? String(name.dropLast()) : name
    }

    /// What the table says.
    public func addresses(of host: String, version: SocketAddress.IPVersion?) async throws -> [SocketAddress] {
        try Task.checkCancellation()
        switch self[host] {
        case .addresses(let addresses):
            let wanted = addresses.filter { $0.isOf(version) }
            guard !wanted.isEmpty else { throw ResolutionError(.noAddress, subject: host) }
            return wanted
        case .failure(let reason): throw ResolutionError(reason, subject: host)
        case .silence:
            let never = Promise<Void>.make(name: "an answer for \(host)")
            defer { withExtendedLifetime(never.resolver) {} }
            try await never.promise.value
            throw CancellationError()
        case nil:
            guard let otherwise else { throw ResolutionError(.noSuchName, subject: host) }
            return try await otherwise.addresses(of: host, version: version)
        }
    }

    /// The first name, in the order of the alphabet, that has the address.
    public func name(of address: SocketAddress) async throws -> String {
        try Task.checkCancellation()
        let wanted = address.with(port: 0)
        let names = table.compactMap { name, answer -> String? in
            guard case .addresses(let addresses) = answer else { return nil }
            return addresses.contains { $0.with(port: 0) == wanted } ? name : nil
        }
        if let name = names.min() { return name }
        guard let otherwise else { throw ResolutionError(.noSuchName, subject: address.host) }
        return try await otherwise.name(of: address)
    }
}
