import Synchronization

/// How many bytes have been moved so far, to be read while they are, from whatever thread.
public final class ByteCounter: Sendable {
    private let total = Atomic(0)

    /// A counter at zero.
    public init() {}

    /// Bytes so far.
    public var count: Int { total.load(ordering: .relaxed) }

    /// Counts bytes that have been moved.
    package func add(_ bytes: Int) { total.wrappingAdd(bytes, ordering: .relaxed) }
}
