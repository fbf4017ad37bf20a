import Glibc

/// A piece of memory that belongs to one input or output operation at a time.
///
/// The buffer travels with its operation and comes back with the result: while the kernel may still write into it,
/// nobody else can touch or free it, since there is no second reference. Not copyable; the memory is freed with the
/// value.
@safe
public struct IOBuffer: ~Copyable, @unchecked Sendable {
    private let base: UnsafeMutableRawPointer
    /// How many bytes fit, in all.
    public let capacity: Int
    /// How many bytes are filled, from the start.
    public private(set) var count: Int

    /// Allocates an empty buffer. A capacity below one is taken as one.
    public init(capacity: Int) {
        let size = max(capacity, 1)
        unsafe self.base = .allocate(byteCount: size, alignment: 16)
        self.capacity = size
        self.count = 0
    }

    /// Allocates a buffer and fills it with a copy of the bytes.
    public init(copying bytes: RawSpan) {
        self.init(capacity: bytes.byteCount)
        append(bytes)
    }

    deinit {
        unsafe base.deallocate()
    }

    /// How many bytes can still be appended.
    public var freeCapacity: Int { capacity - count }

    /// Reads the filled bytes, in place.
    public borrowing func withBytes<Result, Failure: Error>(
        _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(unsafe RawSpan(_unsafeStart: base, byteCount: count))
    }

    /// Appends as many of the bytes as fit, and returns how many did.
    @discardableResult
    public mutating func append(_ source: RawSpan) -> Int {
        let taken = min(source.byteCount, freeCapacity)
        unsafe source.withUnsafeBytes { from in
            guard let start = from.baseAddress, taken > 0 else { return }
            unsafe base.advanced(by: count).copyMemory(from: start, byteCount: taken)
        }
        count += taken
        return taken
    }

    /// Forgets the content; the memory stays.
    public mutating func removeAll() {
        count = 0
    }

    /// Lets a call fill the free part: the closure returns how many bytes it wrote there.
    ///
    /// A value that is negative or larger than the free part is taken as nothing: it is an error code, which the caller
    /// handles.
    package mutating func fill(_ body: (UnsafeMutableRawBufferPointer) -> Int) -> Int {
        let result = unsafe body(UnsafeMutableRawBufferPointer(start: base.advanced(by: count), count: freeCapacity))
        if result > 0 && result <= freeCapacity { count += result }
        return result
    }

    /// The free part, for an operation that is under way while the caller is suspended and keeps this value alive.
    package var freeSpace: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(start: base.advanced(by: count), count: freeCapacity)
    }

    /// Counts bytes that an operation has written into ``freeSpace``.
    package mutating func advance(by written: Int) {
        precondition(written >= 0 && written <= freeCapacity, "\(written) bytes reported in a room of \(freeCapacity)")
        count += written
    }
}
