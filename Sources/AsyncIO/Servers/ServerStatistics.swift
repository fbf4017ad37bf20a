public import AsyncIOKernel
import Synchronization

/// What a server has counted since it was made.
public struct ServerStatistics: Hashable, Sendable {
    /// Connections that handlers were started for.
    public internal(set) var accepted = 0
    /// Connections that are open now.
    public internal(set) var active = 0
    /// Connections that came too late, and were closed unserved.
    public internal(set) var refused = 0
    /// Handlers that threw an error.
    public internal(set) var failed = 0
    /// Errors of accept(2) that were survived: connections that broke off in the queue, and want of descriptors.
    public internal(set) var acceptErrors = 0

    static func + (left: ServerStatistics, right: ServerStatistics) -> ServerStatistics {
        var sum = left
        sum.accepted += right.accepted
        sum.active += right.active
        sum.refused += right.refused
        sum.failed += right.failed
        sum.acceptErrors += right.acceptErrors
        return sum
    }
}

/// The numbers as the server's loop counts them; others may look at any time.
struct ServerCounts: ~Copyable, Sendable {
    let accepted = Atomic(0)
    let active = Atomic(0)
    let refused = Atomic(0)
    let failed = Atomic(0)
    let acceptErrors = Atomic(0)

    var statistics: ServerStatistics {
        ServerStatistics(
            accepted: accepted.load(ordering: .relaxed), active: active.load(ordering: .relaxed),
            refused: refused.load(ordering: .relaxed), failed: failed.load(ordering: .relaxed),
            acceptErrors: acceptErrors.load(ordering: .relaxed))
    }
}

/// What a server knows of one connection, beside the stream itself.
public struct ConnectionContext: Sendable {
    /// The connection's number: no two connections of a listener have the same, and later ones have higher ones.
    public let id: UInt64
    /// The address of the other side.
    public let peer: SocketAddress
    /// Our address, as the other side has dialled it; nil if the connection has gone already.
    public let local: SocketAddress?
    /// What the connection's task is called: `connection 10.0.0.1:53211`.
    public let name: String
}
