import AsyncIOKernel
import Synchronization

/// An event that happens once; tasks and threads wait for it.
///
/// The tests' own, so that they do not lean on what they test.
package final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Condition(State())

    package init() {}

    package var isOpen: Bool { state.withLock { $0.isOpen } }

    package func open() {
        let waiters = state.withLock { state in
            state.isOpen = true
            defer { state.waiters = [] }
            return state.waiters
        }
        state.broadcast()
        for waiter in waiters { waiter.resume() }
    }

    /// Suspends until the gate is open. Deaf to cancellation.
    package func pass() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if !state.isOpen { state.waiters.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }

    /// Blocks the thread until the gate is open.
    package func block() { _ = state.wait { $0.isOpen ? true : nil } }
}

/// A list that several threads write.
package final class Log<Element: Sendable>: Sendable {
    private let entries = Condition<[Element]>([])
    package init() {}
    package func add(_ entry: Element) { entries.withLock { $0.append(entry) } }
    package var all: [Element] { entries.withLock { $0 } }
    package var count: Int { entries.withLock { $0.count } }
}

/// A counter that several threads raise.
package final class Counter: Sendable {
    private let number = Atomic(0)
    package init() {}
    @discardableResult
    package func add(_ amount: Int = 1) -> Int { number.add(amount, ordering: .sequentiallyConsistent).newValue }
    package var value: Int { number.load(ordering: .sequentiallyConsistent) }
}
