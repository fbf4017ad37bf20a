import AsyncIOKernel

/// How items leave a queue.
enum QueueKind { case fifo, lifo, priority }

/// How many items a queue holds before it makes those who put wait.
public struct QueueCapacity: Hashable, Sendable, ExpressibleByIntegerLiteral {
    let limit: Int

    /// So many, at least one; anything less is a mistake in the program and stops it with a message.
    public init(_ limit: Int) {
        callerMust(limit > 0, "a queue for \(limit) items: give it room for at least one, or .unbounded")
        self.limit = limit
    }

    /// So many.
    public init(integerLiteral limit: Int) { self.init(limit) }

    /// No limit: whoever puts never waits, and memory is the only bound.
    public static let unbounded = QueueCapacity(.max)
}

/// The order in which items leave a queue.
public struct QueueOrder<Element: Sendable>: Sendable {
    let kind: QueueKind
    let isSmaller: @Sendable (Element, Element) -> Bool

    /// First in, first out.
    public static var fifo: QueueOrder { QueueOrder(kind: .fifo) { _, _ in false } }
    /// Last in, first out.
    public static var lifo: QueueOrder { QueueOrder(kind: .lifo) { _, _ in false } }
    /// The smallest first by this comparison; equal ones in the order in which they were put.
    ///
    /// The comparison runs inside of the queue, while others wait for it: it has to be quick, and must not use the
    /// queue.
    public static func priority(by isSmaller: @escaping @Sendable (Element, Element) -> Bool) -> QueueOrder {
        QueueOrder(kind: .priority, isSmaller: isSmaller)
    }
}

extension QueueOrder where Element: Comparable {
    /// The smallest first; equal ones in the order in which they were put.
    public static var priority: QueueOrder { .priority { $0 < $1 } }
}
