import AsyncIOKernel

/// Whether a loop is on its thread. While it is not, as between two bodies of a `Runner`, somebody else may look at
/// what belongs to it; and if it comes back meanwhile, it waits for that.
final class Presence: Sendable {
    private enum State {
        case here
        case away
        case lookedAt
    }

    private let state = Condition(State.here)

    /// The loop is back. On its thread; waits for whoever looks at it.
    func comes() {
        _ = state.wait { state -> Bool? in
            guard state != .lookedAt else { return nil }
            state = .here
            return true
        }
    }

    /// The loop leaves its thread.
    func goes() {
        state.withLock { $0 = .away }
        state.broadcast()
    }

    /// Does something while the loop is away, and keeps it away so long; nil if it is on its thread.
    func whileAway<Result>(_ body: () throws -> Result) rethrows -> Result? {
        let mayLook = state.wait { state -> Bool? in
            switch state {
            case .here: return false
            case .lookedAt: return nil
            case .away:
                state = .lookedAt
                return true
            }
        }
        guard mayLook == true else { return nil }
        defer { goes() }
        return try body()
    }
}
