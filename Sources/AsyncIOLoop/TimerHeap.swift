import AsyncIOKernel

/// Names one timer. A timer that has fired or was cancelled finds nothing, also after its slot was given away.
struct TimerID: Hashable, Sendable {
    fileprivate let slot: UInt32
    fileprivate let generation: UInt32

    /// Both in one word: never ``noBits``, since the last slot is not given away.
    var bits: UInt64 { UInt64(generation) << 32 | UInt64(slot) }
    static let noBits = UInt64.max

    fileprivate init(slot: UInt32, generation: UInt32) {
        self.slot = slot
        self.generation = generation
    }

    /// Nil for ``noBits``.
    init?(bits: UInt64) {
        guard bits != Self.noBits else { return nil }
        slot = UInt32(truncatingIfNeeded: bits)
        generation = UInt32(truncatingIfNeeded: bits >> 32)
    }
}

/// What a timer does when its time has come.
enum TimerAction {
    /// Puts a word into the ready queue.
    case makeReady(ReadyWord)
    /// Completes an operation of the table.
    case complete(Token)
    /// Cancels the body of a deadline.
    case expire(Deadline)
    /// Only wakes the loop.
    case nothing
}

/// The pending timers: a heap with four children a node, ordered by deadline and then by age, with removal by name.
///
/// Four 16-byte nodes share a cache line. A cancelled timer leaves at once, so cancelled timers never pile up.
/// Insertion of ever later deadlines, the common case, is O(1); removal and firing are O(log n). 40 bytes a timer.
struct TimerHeap {
    private struct Node {
        var deadline: Int64
        var age: UInt32
        var slot: UInt32

        /// Ages wrap around; timers of one deadline are never 2³¹ insertions apart in practice.
        static func < (left: Node, right: Node) -> Bool {
            left.deadline < right.deadline
                || (left.deadline == right.deadline && Int32(bitPattern: left.age &- right.age) < 0)
        }
    }

    private struct Slot {
        var action: TimerAction
        var generation: UInt32
        /// Where the node is in the heap; for a free slot, the next free one.
        var position: UInt32
    }

    private static let none = UInt32.max
    private var nodes: [Node] = []
    private var slots: [Slot] = []
    private var firstFree = TimerHeap.none
    private var nextAge: UInt32 = 0

    var count: Int { nodes.count }
    var isEmpty: Bool { nodes.isEmpty }

    /// The earliest deadline.
    var next: Instant? {
        guard let first = nodes.first else { return nil }
        return Instant(nanoseconds: first.deadline)
    }

    /// When a timer is due; nil if it has fired or was cancelled.
    func deadline(of timer: TimerID) -> Instant? {
        let index = Int(timer.slot)
        guard index < slots.count, slots[index].generation == timer.generation else { return nil }
        let position = Int(slots[index].position)
        guard position < nodes.count, nodes[position].slot == timer.slot else { return nil }
        return Instant(nanoseconds: nodes[position].deadline)
    }

    mutating func insert(at deadline: Instant, _ action: TimerAction) -> TimerID {
        let position = UInt32(nodes.count)
        let slot: UInt32
        if firstFree != TimerHeap.none {
            slot = firstFree
            firstFree = slots[Int(slot)].position
            slots[Int(slot)].action = action
        } else {
            precondition(slots.count < Int(UInt32.max) - 1, "more timers than names exist")
            slot = UInt32(slots.count)
            slots.append(Slot(action: action, generation: 0, position: 0))
        }
        nodes.append(Node(deadline: deadline.nanoseconds, age: nextAge, slot: slot))
        nextAge &+= 1
        siftUp(from: Int(position))
        return TimerID(slot: slot, generation: slots[Int(slot)].generation)
    }

    /// Takes the earliest timer if its deadline is not after the instant.
    mutating func popDue(at now: Instant) -> TimerAction? {
        guard let first = nodes.first, first.deadline <= now.nanoseconds else { return nil }
        return remove(at: 0)
    }

    /// Takes a timer away before it fires; nil if it has fired or was removed.
    @discardableResult
    mutating func remove(_ timer: TimerID) -> TimerAction? {
        let index = Int(timer.slot)
        guard index < slots.count, slots[index].generation == timer.generation else { return nil }
        return remove(at: Int(slots[index].position))
    }

    private mutating func remove(at position: Int) -> TimerAction {
        let slot = Int(nodes[position].slot)
        let action = slots[slot].action
        slots[slot].generation &+= 1
        slots[slot].position = firstFree
        firstFree = UInt32(slot)
        let last = nodes.removeLast()
        if position < nodes.count {
            place(last, at: position)
            siftDown(from: position)
            siftUp(from: position)
        }
        return action
    }

    private mutating func place(_ node: Node, at position: Int) {
        nodes[position] = node
        slots[Int(node.slot)].position = UInt32(truncatingIfNeeded: position)
    }

    private mutating func siftUp(from start: Int) {
        var position = start
        let node = nodes[position]
        while position > 0 {
            let parent = (position - 1) / 4
            guard node < nodes[parent] else { break }
            place(nodes[parent], at: position)
            position = parent
        }
        place(node, at: position)
    }

    private mutating func siftDown(from start: Int) {
        var position = start
        let node = nodes[position]
        while true {
            let firstChild = position * 4 + 1
            guard firstChild < nodes.count else { break }
            var least = firstChild
            for child in (firstChild + 1)..<max(firstChild + 1, min(firstChild + 4, nodes.count))
            where nodes[child] < nodes[least] {
                least = child
            }
            guard nodes[least] < node else { break }
            place(nodes[least], at: position)
            position = least
        }
        place(node, at: position)
    }
}
