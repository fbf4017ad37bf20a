/// Bytes that wait to be sent: a queue of arrays, of which the first may be sent in part.
///
/// Large arrays are kept as they are; small ones are copied together, so that many small writes leave as one.
struct WriteBuffer {
    private var chunks: [[UInt8]] = []
    /// The first chunk's place in the list. The places before it are empty.
    private var head = 0
    /// How much of the first chunk has been sent.
    private var offset = 0
    /// How many bytes wait.
    private(set) var count = 0

    /// Chunks are copied together up to this size.
    static let chunkSize = 16_384

    var isEmpty: Bool { count == 0 }

    /// The first chunk, and from where on it has to be sent.
    var first: (chunk: [UInt8], offset: Int)? {
        head < chunks.count ? (chunks[head], offset) : nil
    }

    /// Appends the bytes from an index on.
    mutating func append(_ bytes: [UInt8], from start: Int = 0) {
        let added = bytes.count - start
        guard added > 0 else { return }
        let last = chunks.count - 1
        if isEmpty {
            removeAll()
            chunks.append(bytes)
            offset = start
        } else if chunks[last].count + added <= Self.chunkSize {
            chunks[last] += bytes[start...]
        } else {
            chunks.append(start == 0 ? bytes : Array(bytes[start...]))
        }
        count += added
    }

    /// Takes sent bytes off the front: at most what is left of the first chunk.
    mutating func removeFirst(_ sent: Int) {
        guard head < chunks.count, sent > 0 else { return }
        offset += sent
        count -= sent
        guard offset >= chunks[head].count else { return }
        chunks[head] = []
        head += 1
        offset = 0
        guard head > 64 && head * 2 > chunks.count else { return }
        chunks.removeFirst(head)
        head = 0
    }

    mutating func removeAll() {
        chunks.removeAll(keepingCapacity: chunks.count < 64)
        (head, offset, count) = (0, 0, 0)
    }
}
