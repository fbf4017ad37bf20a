import AsyncIOKernel
import AsyncIOLoop

/// The tasks that a loop has seen and that have not ended, with what a loop can know of them by itself.
///
/// Belongs to the loop's thread. Finding a task's entry is a step or two in a table that is at most half full; nothing
/// is allocated for a task once the table has grown to the size of the program.
struct TaskTable: ~Copyable {
    /// What is remembered of a task.
    struct Entry {
        /// The runtime's number; 0 in a free entry.
        var id: UInt64 = 0
        /// The task itself. Retained if ``isRetained``; else it is its parent that keeps it alive.
        var task: UInt = 0
        /// The task that it is a child of, or 0.
        var parent: UInt64 = 0
        /// Who created it, as far as that was seen.
        var creator: UInt64 = 0
        /// Where its code begins.
        var entryPoint: UInt = 0
        var phase = Phase.waiting
        var isRetained = false
        /// Since when it is in its phase.
        var since = Instant.distantPast
        /// When it was first seen.
        var first = Instant.distantPast
        var runs: UInt64 = 0
        var runTime: Int64 = 0
        var longestRun: Int64 = 0
        /// What it asked of the loop last, and waits for unless it runs.
        var asked: Asked?
        /// Where it said last that it would wait, and waits unless it runs.
        var place: (any WaitingPlace)?
        /// What it wants there.
        var visitor = 0
        /// Its name, if ``nameIsKnown``: it is read while a trace is recorded.
        var name: String?
        var nameIsKnown = false
    }

    enum Phase: UInt8 { case ready, running, waiting }

    private var entries: [Entry] = []
    private var free: [Int32] = []
    /// Positions in `entries`, by a hash of the id; -1 where there is none.
    private var index: [Int32]
    private var mask: Int
    private(set) var count = 0

    init() {
        index = [Int32](repeating: -1, count: 64)
        mask = 63
    }

    /// How many positions there are, used or free: what ``subscript(_:)`` takes.
    var capacity: Int { entries.count }

    /// The entry at a position; its `id` is 0 if the position is free.
    subscript(_ position: Int) -> Entry {
        _read { yield entries[position] }
        _modify { yield &entries[position] }
    }

    /// Where a task stands.
    @inline(__always)
    func position(of id: UInt64) -> Int? {
        var slot = home(of: id)
        while index[slot] >= 0 {
            let position = Int(index[slot])
            if entries[position].id == id { return position }
            slot = (slot &+ 1) & mask
        }
        return nil
    }

    /// Adds a task that is not there yet.
    mutating func add(_ entry: Entry) -> Int {
        if (count + 1) * 2 > index.count { grow() }
        count += 1
        let position: Int
        if let reused = free.popLast() {
            position = Int(reused)
            entries[position] = entry
        } else {
            position = entries.count
            entries.append(entry)
        }
        link(entry.id, at: position)
        return position
    }

    /// Forgets a task, and gives back what it held.
    mutating func remove(at position: Int) -> Entry {
        let entry = entries[position]
        unlink(entry.id)
        entries[position] = Entry()
        free.append(Int32(truncatingIfNeeded: position))
        count -= 1
        return entry
    }

    private func home(of id: UInt64) -> Int {
        // Fibonacci hashing: ids are consecutive, and their products by this are spread.
        Int(truncatingIfNeeded: (id &* 0x9e37_79b9_7f4a_7c15) >> 32) & mask
    }

    private mutating func link(_ id: UInt64, at position: Int) {
        var slot = home(of: id)
        while index[slot] >= 0 { slot = (slot &+ 1) & mask }
        index[slot] = Int32(truncatingIfNeeded: position)
    }

    /// Takes an id out, and closes the gap, so that searches for those behind it do not stop there.
    private mutating func unlink(_ id: UInt64) {
        var slot = home(of: id)
        while index[slot] >= 0, entries[Int(index[slot])].id != id { slot = (slot &+ 1) & mask }
        guard index[slot] >= 0 else { return }
        var gap = slot
        while true {
            slot = (slot &+ 1) & mask
            guard index[slot] >= 0 else { break }
            let wanted = home(of: entries[Int(index[slot])].id)
            // It may move into the gap unless its home lies between the gap and itself.
            if (slot &- wanted) & mask >= (slot &- gap) & mask {
                index[gap] = index[slot]
                gap = slot
            }
        }
        index[gap] = -1
    }

    private mutating func grow() {
        index = [Int32](repeating: -1, count: index.count * 2)
        mask = index.count - 1
        for (position, entry) in entries.enumerated() where entry.id != 0 { link(entry.id, at: position) }
    }
}
