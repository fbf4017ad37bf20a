import Synchronization

/// How much waits to be sent: what is buffered on the loop, and what is on its way there from other threads.
final class WaitingBytes: Sendable {
    private let total = Atomic(0)

    var count: Int { total.load(ordering: .relaxed) }

    /// The buffer has changed by so many bytes.
    func add(_ change: Int) { total.add(change, ordering: .relaxed) }

    /// Counts bytes from now on that another thread hands to the loop: else it could fill the loop's inbox without end.
    /// Returns how many were there before, and what the callback has to hold.
    func send(_ count: Int) -> (before: Int, Delivery) {
        let before = total.add(count, ordering: .relaxed).oldValue
        return (before, Delivery(count, of: self))
    }

    /// Bytes on their way to the loop. They count until they arrive, or until the callback that holds this is dropped,
    /// because the loop has closed or the limit is exceeded.
    final class Delivery: Sendable {
        private let count: Atomic<Int>
        private let waiting: WaitingBytes

        fileprivate init(_ count: Int, of waiting: WaitingBytes) {
            self.count = Atomic(count)
            self.waiting = waiting
        }

        deinit { arrive() }

        func arrive() { waiting.add(-count.exchange(0, ordering: .relaxed)) }
    }
}
