public import AsyncIOKernel

/// Who knows the addresses of names.
///
/// ``SystemResolver`` asks the system, as every program on the machine does, and is what all calls use that are not
/// told otherwise. ``CachingResolver`` keeps what another one answers; ``StaticResolver`` has a table, for tests. A
/// resolver is replaced for one call (``ConnectOptions/resolver``) or for all that runs in a task:
/// ``withResolver(_:_:)``.
///
/// Ask one through ``lookUp(_:_:version:resolver:)``, which answers for numeric addresses itself and refuses what is no
/// name, so that an implementation sees well-formed names only: 1 to 253 ASCII letters, digits, hyphens, underscores
/// and dots, perhaps with one more dot at the end.
public protocol Resolver: Sendable {
    /// The addresses of a host, those first that are to be tried first.
    ///
    /// An address with port 0 gets the port that was asked for; one with another port keeps it. With a version, only
    /// addresses of that version count. Throws ``ResolutionError``, and `CancellationError` in a cancelled task, soon.
    func addresses(of host: String, version: SocketAddress.IPVersion?) async throws -> [SocketAddress]

    /// The name of the host that has an address; its port does not matter.
    ///
    /// Throws as ``addresses(of:version:)``. A resolver that does not implement it knows no names.
    func name(of address: SocketAddress) async throws -> String
}

extension Resolver {
    /// Throws ``ResolutionError`` with ``ResolutionError/Reason-swift.enum/noSuchName``.
    public func name(of address: SocketAddress) async throws -> String {
        throw ResolutionError(.noSuchName, subject: address.host, detail: "this resolver knows no names of addresses")
    }
}

/// Runs a body in which names are looked up by another resolver: also in its child tasks, and in those that it starts
/// with `Task {}`. What the loop owns (`spawn`, `submit`) inherits nothing from its caller, and has to be told.
///
/// ```swift
/// try await withResolver(StaticResolver(["db.internal": [.loopback(port: 5432)]])) {
///     try await TCPStream.connect("db.internal", 5432)
/// }
/// ```
///
/// A resolver that one call names goes before it.
public func withResolver<Success>(
    _ resolver: any Resolver, _ body: nonisolated(nonsending) () async throws -> Success
) async rethrows -> Success {
    try await CurrentResolver.$replacement.withValue(resolver) { try await body() }
}

/// The resolver that calls use which are not told otherwise.
enum CurrentResolver {
    @TaskLocal static var replacement: (any Resolver)?

    static var value: any Resolver { replacement ?? SystemResolver() }
}
