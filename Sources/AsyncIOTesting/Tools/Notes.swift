import AsyncIOKernel
import Synchronization

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
