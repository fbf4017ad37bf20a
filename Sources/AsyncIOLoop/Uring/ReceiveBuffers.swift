import AsyncIOKernel
import CAsyncIO
import Glibc

/// The memory that the kernel receives into by itself: buffers of one size, each with a number, given to the kernel in a
/// ring of their own.
///
/// A buffer is the kernel's until a completion names it, and the driver's until ``giveBack(_:)``, which comes before the
/// completion has been worked on. So whatever tasks do, all buffers are the kernel's whenever the loop sleeps.
@safe
final class ReceiveBuffers {
    private let memory: UnsafeMutableRawPointer
    private let size: Int
    private let list: UnsafeMutablePointer<casyncio_provided_buffer>
    private let count: Int
    let bytesPerBuffer: Int
    @safe @exclusivity(unchecked) private var tail: UInt16 = 0
    /// How many are the kernel's.
    @safe @exclusivity(unchecked) private(set) var provided = 0

    /// Makes so many buffers, a power of two, and gives them to the ring. Nil if the kernel cannot receive into them.
    init?(count: Int, bytesPerBuffer: Int, ring: Ring) {
        let listSize = count * MemoryLayout<casyncio_provided_buffer>.stride
        self.count = count
        self.bytesPerBuffer = bytesPerBuffer
        size = listSize + count * bytesPerBuffer
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        // Pages that no message has ever filled cost nothing.
        guard let memory = unsafe mmap(nil, size, PROT_READ | PROT_WRITE, flags, -1, 0), unsafe memory != MAP_FAILED
        else { return nil }
        unsafe self.memory = memory
        unsafe list = memory.assumingMemoryBound(to: casyncio_provided_buffer.self)
        guard unsafe ring.provide(list, count) >= 0 else {
            unsafe munmap(memory, size)
            return nil
        }
        for id in 0..<count { giveBack(UInt16(id)) }
    }

    deinit { unsafe munmap(memory, size) }

    /// The first bytes of a buffer, as many as a completion says. Valid until it is given back; empty for a number that
    /// no buffer has.
    @inline(__always)
    func bytes(_ id: UInt16, _ length: Int) -> UnsafeRawBufferPointer {
        guard Int(id) < count, length > 0 else { return unsafe UnsafeRawBufferPointer(start: nil, count: 0) }
        return unsafe UnsafeRawBufferPointer(start: address(id), count: min(length, bytesPerBuffer))
    }

    /// A completion has named the buffer: it is ours.
    @inline(__always)
    func take(_ id: UInt16) { if Int(id) < count { provided -= 1 } }

    /// The kernel may receive into the buffer again.
    @inline(__always)
    func giveBack(_ id: UInt16) {
        guard Int(id) < count else { return }
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
