import AsyncIOKernel
import AsyncIOLoop

/// The tasks that a loop has seen and that have not ended, with what a loop can know of them by itself.
///
/// Belongs to the loop's thread. Finding a task's entry is a step or two in a table that is at most half full; nothing
/// is allocated for a task once the table has grown to the size of the program.
@safe
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
        /// What it asked of the loop last.
        var lastAsked: Asked?
        /// Whether that is what it waits for.
        var isAsking = false
        /// Where it said last that it would wait, and waits unless it runs.
        var place: (any WaitingPlace)?
        /// What it wants there.
        var visitor = 0
        /// Its name, if ``nameIsKnown``: it is read while a trace is recorded.
        var name: String?
        var nameIsKnown = false

        /// What it asked of the loop, and waits for.
        var asked: Asked? { isAsking ? lastAsked : nil }

        /// It runs from here on; how long it has waited for that, in nanoseconds.
        @inline(__always)
        mutating func begins(at instant: Instant, queued: Instant) -> Int64 {
            let waited = queued == .distantPast ? 0 : instant.nanoseconds &- queued.nanoseconds
            phase = .running
            since = instant
            runs &+= 1
            isAsking = false
            return waited
        }

        /// It runs no more; how long it has run, in nanoseconds.
        @inline(__always)
        mutating func pauses(at instant: Instant) -> Int64 {
            let time = instant.nanoseconds &- since.nanoseconds
            runTime &+= time
            longestRun = max(longestRun, time)
            return time
        }

        /// It asks the loop for something.
        @inline(__always)
        mutating func asks(_ name: String, _ descriptor: Int32, _ operation: OperationID) {
            lastAsked = Asked(name: name, descriptor: descriptor, operation: operation)
            isAsking = true
        }
    }

    enum Phase: UInt8 { case ready, running, waiting }

    /// Raw memory: several entries are looked at for each job, and none of the looks is to count or to copy anything.
    private var entries: UnsafeMutablePointer<Entry>
    /// How much of it is initialized, and how much there is.
    private var used = 0
    private var room = 32
    private var free: [Int32] = []
    /// Positions in `entries`, by a hash of the id; -1 where there is none.
    private var index: UnsafeMutablePointer<Int32>
    private var mask = 63
    private(set) var count = 0

    init() {
        unsafe entries = .allocate(capacity: room)
        unsafe index = .allocate(capacity: mask + 1)
        unsafe index.initialize(repeating: -1, count: mask + 1)
    }

    deinit {
        unsafe entries.deinitialize(count: used)
        unsafe entries.deallocate()
        unsafe index.deallocate()
    }

    /// How many positions there are, used or free: what ``subscript(_:)`` takes.
    var capacity: Int { used }

    /// The entry at a position; its `id` is 0 if the position is free.
    subscript(_ position: Int) -> Entry {
        _read {
            precondition(UInt(bitPattern: position) < UInt(bitPattern: used))
            yield unsafe entries[position]
        }
        _modify {
            precondition(UInt(bitPattern: position) < UInt(bitPattern: used))
            yield unsafe &entries[position]
        }
    }

    /// Where a task stands.
    @inline(__always)
    func position(of id: UInt64) -> Int? {
        var slot = home(of: id)
        while true {
            // Within the table: a slot is masked, and the index names used positions only.
            let position = unsafe Int(index[slot])
            if position < 0 { return nil }
            if unsafe entries[position].id == id { return position }
            slot = (slot &+ 1) & mask
        }
    }

    /// Adds a task that is not there yet.
    mutating func add(_ entry: Entry) -> Int {
        if (count + 1) * 2 > mask + 1 { growIndex() }
        count += 1
        let position: Int
        if let reused = free.popLast() {
            position = Int(reused)
            unsafe entries[position] = entry
        } else {
            if used == room { growEntries() }
            position = used
            unsafe (entries + used).initialize(to: entry)
            used += 1
        }
        link(entry.id, at: position)
        return position
    }

    /// Forgets a task, and gives back what it held.
    mutating func remove(at position: Int) -> Entry {
        let entry = self[position]
        unlink(entry.id)
        self[position] = Entry()
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
        while unsafe index[slot] >= 0 { slot = (slot &+ 1) & mask }
        unsafe index[slot] = Int32(truncatingIfNeeded: position)
    }

    /// Takes an id out, and closes the gap, so that searches for those behind it do not stop there.
    private mutating func unlink(_ id: UInt64) {
        var slot = home(of: id)
        while unsafe index[slot] >= 0 && entries[Int(index[slot])].id != id { slot = (slot &+ 1) & mask }
        guard unsafe index[slot] >= 0 else { return }
        var gap = slot
        while true {
            slot = (slot &+ 1) & mask
            guard unsafe index[slot] >= 0 else { break }
            let wanted = unsafe home(of: entries[Int(index[slot])].id)
            // It may move into the gap unless its home lies between the gap and itself.
            if (slot &- wanted) & mask >= (slot &- gap) & mask {
                unsafe index[gap] = index[slot]
                gap = slot
            }
        }
        unsafe index[gap] = -1
    }

    private mutating func growIndex() {
        unsafe index.deallocate()
        mask = mask * 2 + 1
        unsafe index = .allocate(capacity: mask + 1)
        unsafe index.initialize(repeating: -1, count: mask + 1)
        for position in 0..<used where self[position].id != 0 { link(self[position].id, at: position) }
    }

    private mutating func growEntries() {
        room *= 2
        let larger = UnsafeMutablePointer<Entry>.allocate(capacity: room)
        unsafe larger.moveInitialize(from: entries, count: used)
        unsafe entries.deallocate()
        unsafe entries = larger
    }
}
