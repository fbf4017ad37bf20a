/// First in, first out, in a ring of memory that grows when it is full.
struct Queue<Element> {
    private var places: [Element?] = []
    private var head = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    var first: Element? { count == 0 ? nil : places[head] }

    subscript(index: Int) -> Element {
        get {
            guard index < count, let element = places[place(index)] else {
                preconditionFailure("\(index) of \(count) elements")
            }
            return element
        }
        set { places[place(index)] = newValue }
    }

    mutating func append(_ element: Element) {
        if count == places.count { grow() }
        places[place(count)] = element
        count += 1
    }

    @discardableResult
    mutating func removeFirst() -> Element? {
        guard count > 0 else { return nil }
        let element = places[head]
        places[head] = nil
        head = (head + 1) & (places.count - 1)
        count -= 1
        return element
    }

    mutating func removeAll() { self = Queue() }

    private func place(_ index: Int) -> Int { (head + index) & (places.count - 1) }

    private mutating func grow() {
        var more: [Element?] = []
        more.reserveCapacity(max(4, 2 * places.count))
        for index in 0..<count { more.append(places[place(index)]) }
        more.append(contentsOf: repeatElement(nil, count: max(4, places.count)))
        places = more
        head = 0
    }
}
