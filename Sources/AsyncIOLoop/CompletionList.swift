/// What has ended, in the order in which it did: filled by a driver, emptied by its loop.
///
/// No array: with each addition that would be asked for other owners, and to be emptied, for what its elements own.
@safe
package struct CompletionList: ~Copyable {
    private var elements: UnsafeMutablePointer<Completion>
    private var room = 64
    package private(set) var count = 0

    package init() { unsafe elements = .allocate(capacity: room) }

    deinit {
        unsafe elements.deinitialize(count: count)
        unsafe elements.deallocate()
    }

    package var isEmpty: Bool { count == 0 }

    @inline(__always)
    package mutating func append(_ completion: consuming Completion) {
        if count == room { grow() }
        unsafe (elements + count).initialize(to: completion)
        count &+= 1
    }

    package mutating func append(contentsOf list: [Completion]) {
        for completion in list { append(completion) }
    }

    /// Hands out everything, and is empty. Nothing may be added meanwhile.
    @inline(__always)
    mutating func drain(_ body: (consuming Completion) -> Void) {
        for index in 0..<count { unsafe body((elements + index).move()) }
        count = 0
    }

    /// Everything, as an array; empty afterwards.
    package mutating func takeAll() -> [Completion] {
        var all: [Completion] = []
        all.reserveCapacity(count)
        drain { all.append($0) }
        return all
    }

    private mutating func grow() {
        let wider = UnsafeMutablePointer<Completion>.allocate(capacity: room * 2)
        unsafe wider.moveInitialize(from: elements, count: count)
        unsafe elements.deallocate()
        unsafe elements = wider
        room *= 2
    }
}
