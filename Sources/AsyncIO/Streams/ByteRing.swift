import Glibc

/// Bytes in order, first in, first out, in a ring that grows with what it holds, up to a fixed capacity.
///
/// An empty ring keeps at most a small piece of memory.
@safe
struct ByteRing: ~Copyable {
    /// The most that it holds.
    let capacity: Int
    /// How many bytes it holds.
    private(set) var count = 0

    /// Owned; `size` bytes.
    private var memory: UnsafeMutableRawPointer?
    private var size = 0
    /// How much memory the ring holds.
    var allocated: Int { size }
    /// Where the oldest byte is.
    private var head = 0

    private static let smallest = 512
    /// What an empty ring may keep.
    private static let keeps = 4_096

    init(capacity: Int) {
        self.capacity = max(capacity, 1)
    }

    deinit { unsafe memory?.deallocate() }

    var isEmpty: Bool { count == 0 }
    var room: Int { capacity - count }

    /// Takes in as many of the bytes as there is room for, and returns their number.
    mutating func append(_ bytes: UnsafeRawBufferPointer) -> Int {
        let taken = min(bytes.count, room)
        guard taken > 0, let source = bytes.baseAddress else { return 0 }
        grow(toHold: count + taken)
        guard let memory = unsafe memory else { return 0 }
        let tail = (head + count) % size
        let first = min(taken, size - tail)
        unsafe memcpy(memory + tail, source, first)
        unsafe memcpy(memory, source + first, taken - first)
        count += taken
        return taken
    }

    /// Moves as many bytes as fit into the memory, and returns their number.
    mutating func take(into target: UnsafeMutableRawBufferPointer) -> Int {
        let taken = min(target.count, count)
        guard taken > 0, let memory = unsafe memory, let target = target.baseAddress else { return 0 }
        let first = min(taken, size - head)
        unsafe memcpy(target, memory + head, first)
        unsafe memcpy(target + first, memory, taken - first)
        count -= taken
        head = count == 0 ? 0 : (head + taken) % size
        if count == 0 && size > Self.keeps { giveBack() }
        return taken
    }

    /// Forgets the bytes, and gives the memory back.
    mutating func removeAll() {
        count = 0
        head = 0
        giveBack()
    }

    private mutating func giveBack() {
        unsafe memory?.deallocate()
        unsafe memory = nil
        size = 0
    }

    private mutating func grow(toHold wanted: Int) {
        guard wanted > size else { return }
        var larger = max(size, min(Self.smallest, capacity))
        while larger < wanted { larger = larger > capacity / 2 ? capacity : larger * 2 }
        let fresh = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
        if let memory = unsafe memory {
            let first = min(count, size - head)
            unsafe memcpy(fresh, memory + head, first)
            unsafe memcpy(fresh + first, memory, count - first)
            unsafe memory.deallocate()
        }
        unsafe memory = fresh
        size = larger
        head = 0
    }
}
