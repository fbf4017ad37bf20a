/// A growing table whose elements never move: chunks of 256 behind a list of chunks.
///
/// Other threads may hold an element's address while it is in use, and access costs neither a reference count nor a
/// check for uniqueness. It never shrinks.
@safe
struct StableTable<Element>: ~Copyable {
    private var chunks: UnsafeMutablePointer<UnsafeMutablePointer<Element>>
    private var chunkCount = 0
    private var chunkCapacity = 8
    private let initial: Element

    /// Creates an empty table whose new elements are copies of the given one.
    init(filledWith initial: Element) {
        unsafe chunks = .allocate(capacity: chunkCapacity)
        self.initial = initial
    }

    deinit {
        for index in 0..<chunkCount {
            unsafe chunks[index].deinitialize(count: 256)
            unsafe chunks[index].deallocate()
        }
        unsafe chunks.deallocate()
    }

    /// How many elements there are: a multiple of 256.
    var count: Int { chunkCount << 8 }

    /// Makes room for an index.
    @inline(__always)
    mutating func reserve(_ index: Int) {
        while index >= count { grow() }
    }

    private mutating func grow() {
        if chunkCount == chunkCapacity {
            let wider = UnsafeMutablePointer<UnsafeMutablePointer<Element>>.allocate(capacity: chunkCapacity * 2)
            unsafe wider.moveInitialize(from: chunks, count: chunkCount)
            unsafe chunks.deallocate()
            unsafe chunks = wider
            chunkCapacity *= 2
        }
        let chunk = UnsafeMutablePointer<Element>.allocate(capacity: 256)
        unsafe chunk.initialize(repeating: initial, count: 256)
        unsafe (chunks + chunkCount).initialize(to: chunk)
        chunkCount += 1
    }

    /// The element's address, which stays valid as long as the table.
    @inline(__always)
    func address(_ index: Int) -> UnsafeMutablePointer<Element> {
        precondition(index >= 0 && index < count, "no such element")
        return unsafe chunks[index >> 8] + (index & 255)
    }

    subscript(index: Int) -> Element {
        @inline(__always)
        unsafeAddress { unsafe UnsafePointer(address(index)) }
        @inline(__always)
        unsafeMutableAddress { unsafe address(index) }
    }
}
