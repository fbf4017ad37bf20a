import AsyncIOKernel

/// What a test notes on the way, in order, from whatever thread.
final class Notes<Element: Sendable>: Sendable {
    private let notes = Condition<[Element]>([])
    func record(_ element: Element) { notes.withLock { $0.append(element) } }
    var all: [Element] { notes.withLock { $0 } }
}
