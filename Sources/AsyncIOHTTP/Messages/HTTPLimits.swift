#if HTTP
/// What a peer may cost at most. Each limit has a default that a public server can live with.
public struct HTTPLimits: Sendable, Hashable {
    /// The most bytes of a message's head: its first line and its fields. 431 beyond. 32 KiB.
    public var headSize = 32 << 10
    /// The most fields of a head. 431 beyond. 100.
    public var fieldCount = 100
    /// The most bytes of the first line (414 beyond) and of one field (431 beyond). 8 KiB.
    public var lineSize = 8 << 10
    /// The most bytes of a request's body: 413 beyond. No limit by default, since bodies are read as they are asked
    /// for, and whoever collects one says how much.
    public var bodySize: Int?
    /// The most bytes of all chunk extensions of a body together: 400 beyond. 4 KiB.
    public var chunkExtensionsSize = 4 << 10
    /// The most bytes of the fields behind a chunked body: 431 beyond. 8 KiB.
    public var trailerSize = 8 << 10
    /// How long a request's head may take in all, from its first byte (of the first request: from the connection's
    /// begin). 408 beyond. 10 s.
    public var headTimeout: Duration = .seconds(10)
    /// How long a peer may send nothing of a body that is waited for: 408 beyond; and take nothing of a response: it is
    /// broken off then. 30 s.
    public var bodyIdleTimeout: Duration = .seconds(30)
    /// How long a connection may stand between two requests. 60 s.
    public var keepAliveTimeout: Duration = .seconds(60)
    /// The most requests of one connection, then it is closed. No limit by default.
    public var requestsPerConnection: Int?
    /// The most bytes of further requests that are read while one is being answered. 64 KiB.
    public var pipelinedSize = 64 << 10
    /// The most connections at a time; more wait in the kernel's queue. 10,000.
    public var connections = 10_000

    /// The defaults.
    public init() {}
}
#endif
