import AsyncIOKernel
import CAsyncIO
import Glibc
import SystemPackage

/// The memory that the kernel receives into by itself: buffers of one size, each with a number, given to the kernel in
/// a ring of their own.
///
/// A buffer is the kernel's until a completion is the last that names it, and the driver's until ``giveBack(_:)``,
/// which comes before that completion has been worked on. So whatever tasks do, all buffers are the kernel's whenever
/// the loop sleeps.
@safe
final class ReceiveBuffers {
    private let memory: UnsafeMutableRawPointer
    private let size: Int
    private let list: UnsafeMutablePointer<casyncio_provided_buffer>
    private let count: Int
    let bytesPerBuffer: Int
    /// Whether a buffer takes one message after the other: then short ones lie close together, warm in the cache.
    let takesPortions: Bool
    /// How much of each buffer has been received into.
    @safe @exclusivity(unchecked) private var filled: [Int]
    @safe @exclusivity(unchecked) private var tail: UInt16 = 0
    /// How many are the kernel's.
    @safe @exclusivity(unchecked) private(set) var provided = 0

    /// Makes so many buffers, a power of two, and gives them to the ring. Throws what the kernel has against it.
    init(count: Int, bytesPerBuffer: Int, inPortions: Bool, ring: Ring) throws(IOError) {
        let listSize = count * MemoryLayout<casyncio_provided_buffer>.stride
        self.count = count
        self.bytesPerBuffer = bytesPerBuffer
        takesPortions = inPortions
        filled = Array(repeating: 0, count: count)
        size = listSize + count * bytesPerBuffer
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        // Pages that no message has ever filled cost nothing.
        let mapped = unsafe mmap(nil, size, PROT_READ | PROT_WRITE, flags, -1, 0)
        guard let memory = unsafe mapped, unsafe memory != MAP_FAILED else {
            throw IOError(.noMemory, operation: "mmap", subject: "buffers to receive into")
        }
        unsafe self.memory = memory
        unsafe list = memory.assumingMemoryBound(to: casyncio_provided_buffer.self)
        let code = unsafe ring.provide(list, count, inPortions: inPortions)
        guard code >= 0 else {
            unsafe munmap(memory, size)
            throw IOError(Errno(negated: code), operation: "io_uring_register", subject: "buffers to receive into")
        }
        for id in 0..<count { giveBack(UInt16(id)) }
    }

    /// The best that the kernel can receive into.
    static func best(for layout: UringDriver.Layout, ring: Ring) throws(IOError) -> ReceiveBuffers {
        do {
            return try ReceiveBuffers(
                count: layout.buffers, bytesPerBuffer: layout.bytesPerBuffer, inPortions: true, ring: ring)
        } catch {
            // Linux before 6.12.
            guard error.code == .invalidArgument else { throw error }
            return try ReceiveBuffers(
                count: layout.buffersForOne, bytesPerBuffer: layout.bytesForOne, inPortions: false, ring: ring)
        }
    }

    deinit { unsafe munmap(memory, size) }

    /// A completion has received so many bytes into a buffer, behind those of earlier ones. Valid until the buffer is
    /// given back, which follows if no other completion will name it. Empty for numbers that make no sense.
    @inline(__always)
    func take(_ id: UInt16, _ length: Int, isLast: Bool) -> UnsafeRawBufferPointer {
        guard Int(id) < count else { return unsafe UnsafeRawBufferPointer(start: nil, count: 0) }
        if isLast { provided -= 1 }
        let start = filled[Int(id)]
        let taken = max(0, min(length, bytesPerBuffer - start))
        filled[Int(id)] = start + taken
        return unsafe UnsafeRawBufferPointer(start: address(id) + start, count: taken)
    }

    /// The kernel may receive into the buffer again, from its beginning.
    @inline(__always)
    func giveBack(_ id: UInt16) {
        guard Int(id) < count else { return }
        filled[Int(id)] = 0
        let place = unsafe list + Int(tail) & (count - 1)
        // Not the whole entry: the first one's last field is the end of the list, which the kernel reads.
        unsafe place.pointee.address = UInt64(UInt(bitPattern: address(id)))
        unsafe place.pointee.length = UInt32(bytesPerBuffer)
        unsafe place.pointee.id = id
        tail &+= 1
        provided += 1
        unsafe casyncio_publish_buffers(list, tail)
    }

    private func address(_ id: UInt16) -> UnsafeMutableRawPointer {
        unsafe memory + count * MemoryLayout<casyncio_provided_buffer>.stride + Int(id) * bytesPerBuffer
    }
}
