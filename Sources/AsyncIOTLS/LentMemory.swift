#if TLS
import AsyncIOKernel
import NIOCore

/// The memory in which NIOSSL has handed something out, and which it uses again for the next: its own for as long as
/// the connection lives, between 16 and 64 KiB for what was sent, and 32 KiB for what has come.
///
/// Whoever holds a reference while NIOSSL works on it makes it take other memory. So it is held in between only.
struct LentMemory {
    private var buffer: ByteBuffer?
    /// How many bytes have been written to since the pages were given back.
    private(set) var reach = 0

    mutating func lend(_ buffer: ByteBuffer) {
        reach = max(reach, buffer.writerIndex)
        self.buffer = buffer
    }

    /// Before NIOSSL works on it.
    mutating func letGo() { buffer = nil }

    /// Tells the kernel that nobody needs what is in it: NIOSSL has handed it out, and whoever took it is done. The
    /// memory remains NIOSSL's, and costs nothing until it is written to again.
    mutating func giveBackPages() {
        guard let buffer else { return }
        // Of the whole memory, also beyond what was handed out last. It is held here until this returns.
        unsafe buffer.withVeryUnsafeBytes { unsafe SystemCall.forgetPages(of: $0) }
        letGo()
        reach = 0
    }
}
#endif
