import AsyncIOLoop
import Synchronization

/// How many connections may be open at once, for all acceptors that share it. The lock is only taken at the limit.
final class ConnectionLimit: Sendable {
    private let maximum: Int
    private let active = Atomic(0)
    private let acceptors = Locked((waiters: [UInt64: Waiter](), last: UInt64(0)))

    private static let errand = Errand("place for a connection")

    init(_ maximum: Int) { self.maximum = max(maximum, 1) }

    /// Whether one more may come in.
    var hasRoom: Bool { active.load(ordering: .sequentiallyConsistent) < maximum }

    func enter() { active.add(1, ordering: .sequentiallyConsistent) }

    func leave() {
        let left = active.subtract(1, ordering: .sequentiallyConsistent).newValue
        if left == maximum - 1 { letAllLookAgain() }
    }

    /// Suspends until there is room, or another reason to go on, of which ``letAllLookAgain()`` tells on the caller's
    /// own loop. Throws `CancellationError`.
    func room(or isOver: () -> Bool) async throws {
        while !hasRoom && !isOver() {
            try Task.checkCancellation()
            await waitForChange()
        }
    }

    private func waitForChange() async {
        let number = acceptors.withLock { acceptors in
            acceptors.last += 1
            return acceptors.last
        }
        await withTaskCancellationHandler {
            await Waiter.suspend(for: Self.errand) { waiter in
                acceptors.withLock { acceptors in
                    // Whoever leaves from here on finds the waiter.
                    guard !hasRoom, !Task.isCancelled else { return false }
                    acceptors.waiters[number] = waiter
                    return true
                }
            }
        } onCancel: {
            acceptors.withLock { $0.waiters.removeValue(forKey: number) }?.wake()
        }
    }

    /// Wakes all that wait: there may be room for some, or another reason to go on.
    func letAllLookAgain() {
        let waiters = acceptors.withLock { acceptors in
            defer { acceptors.waiters = [:] }
            return acceptors.waiters.sorted { $0.key < $1.key }.map(\.value)
        }
        for waiter in waiters { waiter.wake() }
    }
}
