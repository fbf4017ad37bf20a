import AsyncIOKernel
import AsyncIOLoop
import SystemPackage

/// Bytes from a writer to a reader on the same host: what a pipe is, and each direction of a Unix connection.
final class LocalChannel {
    private var ring = ByteRing()
    /// How many bytes wait for the reader at most.
    var capacity: Int
    weak var reader: OpenDescription?
    weak var writer: OpenDescription?
    /// No more is written; nobody reads any more.
    private(set) var isFinished = false
    private(set) var hasNoReader = false
    private var wantsRoom = false
    /// How much room is worth waking a writer.
    private let worthwhile: Int

    init(capacity: Int, worthwhile: Int) {
        self.capacity = capacity
        self.worthwhile = worthwhile
    }

    var count: Int { ring.count }
    var room: Int { capacity - ring.count }

    /// Takes as many bytes as there is room for; `EAGAIN` if there is none. Fewer bytes than `whole` go together or not
    /// at all.
    func write(_ bytes: UnsafeRawBufferPointer, whole: Int = 1, drawn: (Int) -> Int) -> Int {
        guard bytes.count > 0 else { return 0 }
        guard room >= min(bytes.count, whole) else {
            wantsRoom = true
            return Errno.wouldBlock.negated
        }
        let most = min(room, bytes.count)
        let count = bytes.count <= whole ? most : drawn(most)
        unsafe ring.write(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
        tellReader()
        return count
    }

    /// Gives what is there; `EAGAIN` if nothing is, 0 at the end.
    func read(into memory: UnsafeMutableRawBufferPointer, drawn: (Int) -> Int) -> Int {
        guard ring.count > 0 else { return isFinished ? 0 : Errno.wouldBlock.negated }
        guard memory.count > 0 else { return 0 }
        let count = drawn(min(ring.count, memory.count))
        unsafe ring.read(into: UnsafeMutableRawBufferPointer(rebasing: memory[..<count]))
        if wantsRoom && room >= min(worthwhile, capacity) {
            wantsRoom = false
            tellWriter()
        }
        return count
    }

    func finish() {
        guard !isFinished else { return }
        isFinished = true
        tellReader()
    }

    func loseReader() {
        guard !hasNoReader else { return }
        hasNoReader = true
        ring.discard()
        tellWriter()
    }

    private func tellReader() { if let reader { reader.raise(reader.readiness) } }
    private func tellWriter() { if let writer { writer.raise(writer.readiness) } }
}
