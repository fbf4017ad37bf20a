import AsyncIOKernel

/// What a simulation has in store: actions, each at its instant; those of one instant in the order in which they were
/// entered.
struct Agenda {
    /// Names an entry, to take it back.
    struct Entry: Hashable { fileprivate let number: UInt64 }

    private struct Node {
        let time: Instant
        let number: UInt64
        let action: () -> Void

        func isBefore(_ other: Node) -> Bool { time != other.time ? time < other.time : number < other.number }
    }

    private var heap: [Node] = []
    private var taken: Set<UInt64> = []
    private var numbers: UInt64 = 0

    /// When the next entry is due.
    var next: Instant? {
        mutating get {
            while !taken.isEmpty, let first = heap.first, taken.remove(first.number) != nil { removeFirst() }
            return heap.first?.time
        }
    }

    @discardableResult
    mutating func add(at time: Instant, _ action: @escaping () -> Void) -> Entry {
        numbers += 1
        heap.append(Node(time: time, number: numbers, action: action))
        var index = heap.count - 1
        while index > 0 {
            let parent = (index - 1) / 2
            guard heap[index].isBefore(heap[parent]) else { break }
            heap.swapAt(index, parent)
            index = parent
        }
        return Entry(number: numbers)
    }

    /// Takes an entry back that is not due yet.
    mutating func remove(_ entry: Entry) { taken.insert(entry.number) }

    /// The first action that is due by then.
    mutating func takeDue(at now: Instant) -> (() -> Void)? {
        while let first = heap.first, first.time <= now {
            removeFirst()
            if taken.isEmpty || taken.remove(first.number) == nil { return first.action }
        }
        return nil
    }

    private mutating func removeFirst() {
        let last = heap.removeLast()
        guard !heap.isEmpty else { return }
        heap[0] = last
        var index = 0
        while true {
            let left = 2 * index + 1
            guard left < heap.count else { return }
            let right = left + 1
            let least = right < heap.count && heap[right].isBefore(heap[left]) ? right : left
            guard heap[least].isBefore(heap[index]) else { return }
            heap.swapAt(index, least)
            index = least
        }
    }
}
