/// The items of a queue, in the order in which they leave it: first in first out, last in first out, or smallest first.
///
/// A ring whose size is a power of two, or a heap in the same memory; it grows by doubling and never shrinks. It moves
/// items from and to memory of the caller: code that does not know their type passes them on without looking.
@safe
struct ItemStore<Element>: ~Copyable {
    private let kind: QueueKind
    private let isSmaller: (Element, Element) -> Bool
    private var items: UnsafeMutablePointer<Element>
    private var mask: Int
    /// Where the next item leaves a ring.
    private var head = 0
    private(set) var count = 0
    /// The ages of a heap's items, at the items' places.
    private var ages: [UInt64] = []
    private var nextAge: UInt64 = 0

    /// The comparison is asked only for ``QueueKind/priority``: smallest first, equal ones in the order in which they
    /// came.
    init(_ kind: QueueKind, isSmaller: @escaping (Element, Element) -> Bool) {
        self.kind = kind
        self.isSmaller = isSmaller
        unsafe items = .allocate(capacity: 4)
        mask = 3
    }

    deinit {
        for offset in 0..<count { unsafe (items + ((head &+ offset) & mask)).deinitialize(count: 1) }
        unsafe items.deallocate()
    }

    /// Copies an item in.
    @inline(__always)
    mutating func add(_ item: Element) {
        unsafe placeForNext().initialize(to: item)
        settle()
    }

    /// Where the next item is to be put: whoever asks initializes it, and then calls ``settle()``.
    @inline(__always)
    mutating func placeForNext() -> UnsafeMutablePointer<Element> {
        if count > mask { grow() }
        let place = unsafe items + ((head &+ count) & mask)
        count += 1
        return unsafe place
    }

    /// The last item has been put into its place.
    @inline(__always)
    mutating func settle() {
        if kind == .priority { siftUp() }
    }

    /// Whether the next item lies where it was put.
    @inline(__always)
    var isRing: Bool { kind == .fifo }

    /// Where the next item of a ring lies: whoever asks moves it out. There must be one.
    @inline(__always)
    mutating func placeOfFirst() -> UnsafeMutablePointer<Element> {
        precondition(count > 0 && isRing, "a store was asked for the place of an item that it has not")
        count -= 1
        let place = unsafe items + (head & mask)
        head &+= 1
        return unsafe place
    }

    /// Moves an item in.
    mutating func add(from item: UnsafeMutablePointer<Element>) {
        unsafe placeForNext().initialize(to: item.move())
        settle()
    }

    /// Moves the next item out. There must be one.
    @inline(__always)
    mutating func take(into item: UnsafeMutablePointer<Element>) {
        precondition(count > 0, "an empty store was asked for an item")
        switch kind {
        case .fifo: unsafe item.initialize(to: placeOfFirst().move())
        case .lifo:
            count -= 1
            unsafe item.initialize(to: (items + ((head &+ count) & mask)).move())
        case .priority:
            count -= 1
            unsafe item.moveInitialize(from: items, count: 1)
            siftDown()
        }
    }

    private mutating func grow() {
        let wider = UnsafeMutablePointer<Element>.allocate(capacity: (mask + 1) * 2)
        for offset in 0..<count {
            unsafe (wider + offset).moveInitialize(from: items + ((head &+ offset) & mask), count: 1)
        }
        unsafe items.deallocate()
        unsafe items = wider
        mask = mask * 2 + 1
        head = 0
    }

    // MARK: The heap. It never turns: its head stays 0.

    private func comes(_ left: Int, before right: Int) -> Bool {
        if unsafe isSmaller(items[left], items[right]) { return true }
        if unsafe isSmaller(items[right], items[left]) { return false }
        return ages[left] < ages[right]
    }

    private mutating func exchange(_ left: Int, _ right: Int) {
        unsafe swap(&items[left], &items[right])
        ages.swapAt(left, right)
    }

    /// Brings the last item to its place.
    private mutating func siftUp() {
        ages.append(nextAge)
        nextAge += 1
        var place = count - 1
        while place > 0, comes(place, before: (place - 1) / 2) {
            exchange(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
    }

    /// Fills the first place, which is empty, with the last item, and brings that to its place.
    private mutating func siftDown() {
        let age = ages.removeLast()
        guard count > 0 else { return }
        unsafe items.moveInitialize(from: items + count, count: 1)
        ages[0] = age
        var place = 0
        while true {
            var least = place
            for child in [place * 2 + 1, place * 2 + 2] where child < count && comes(child, before: least) {
                least = child
            }
            if least == place { return }
            exchange(place, least)
            place = least
        }
    }
}
