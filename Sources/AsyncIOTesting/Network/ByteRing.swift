/// Bytes on their way from one end to the other, by their positions in the stream: whoever writes puts them in, whoever
/// reads takes them out, and what happens in between only moves positions.
@safe
struct ByteRing: ~Copyable {
    private var base: UnsafeMutableRawPointer?
    private var capacity = 0
    /// The stream's length so far.
    private(set) var written = 0
    /// How much of it has been read.
    private(set) var taken = 0

    init() {}

    deinit { unsafe base?.deallocate() }

    /// Bytes that have been written and not been read.
    var count: Int { written - taken }

    mutating func write(_ bytes: UnsafeRawBufferPointer) {
        reserve(count + bytes.count)
        guard let base = unsafe base, let from = bytes.baseAddress else { return }
        let start = written & (capacity - 1)
        let first = min(bytes.count, capacity - start)
        unsafe (base + start).copyMemory(from: from, byteCount: first)
        if first < bytes.count { unsafe base.copyMemory(from: from + first, byteCount: bytes.count - first) }
        written += bytes.count
    }

    /// Takes as many bytes as fit, which have to be there.
    mutating func read(into memory: UnsafeMutableRawBufferPointer) {
        precondition(memory.count <= count, "\(memory.count) of \(count) bytes")
        guard let base = unsafe base, let to = memory.baseAddress else { return }
        let start = taken & (capacity - 1)
        let first = min(memory.count, capacity - start)
        unsafe to.copyMemory(from: base + start, byteCount: first)
        if first < memory.count { unsafe (to + first).copyMemory(from: base, byteCount: memory.count - first) }
        taken += memory.count
    }

    /// Drops what is left, and the memory.
    mutating func discard() {
        taken = written
        unsafe base?.deallocate()
        unsafe base = nil
        capacity = 0
    }

    private mutating func reserve(_ size: Int) {
        guard size > capacity else { return }
        var larger = max(capacity, 1024)
        while larger < size { larger *= 2 }
        let memory = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
        if let old = unsafe base {
            // Positions keep their remainders: each byte moves to where its position falls in the larger ring.
            var position = taken
            while position < written {
                let from = position & (capacity - 1)
                let into = position & (larger - 1)
                let length = min(written - position, capacity - from, larger - into)
                unsafe (memory + into).copyMemory(from: old + from, byteCount: length)
                position += length
            }
            unsafe old.deallocate()
        }
        unsafe base = memory
        capacity = larger
    }
}
