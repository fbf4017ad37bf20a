import SystemPackage

/// The bytes of a path, as the kernel takes them: any but zero, which ends them.
///
/// Their address is the same as long as the value lives, so that an operation may name it.
@safe
package final class PathBytes: @unchecked Sendable, CustomStringConvertible {
    /// What the system calls take. Valid as long as this value.
    package let pointer: UnsafePointer<CChar>
    private let count: Int

    /// Copies the bytes. Throws `EINVAL` if one of them is zero: the system would take what stands before it for the
    /// whole path.
    package init(_ bytes: some Collection<UInt8>, for operation: String) throws(IOError) {
        if bytes.contains(0) {
            let shown = String(decoding: bytes.map { $0 == 0 ? UInt8(ascii: "?") : $0 }, as: UTF8.self)
            throw IOError(
                .invalidArgument, operation: operation, subject: shown,
                detail: "the path contains a zero byte, where the system would cut it off")
        }
        let memory = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count + 1)
        var length = 0
        for byte in bytes {
            unsafe memory[length] = CChar(bitPattern: byte)
            length += 1
        }
        unsafe memory[length] = 0
        unsafe pointer = UnsafePointer(memory)
        count = length
    }

    deinit { unsafe pointer.deallocate() }

    /// The path, as text: bytes that are not UTF-8 are shown as U+FFFD.
    package var description: String { unsafe String(cString: pointer) }

    /// The bytes, without the zero that ends them.
    package var bytes: [UInt8] {
        unsafe UnsafeBufferPointer(start: pointer, count: count).map { UInt8(bitPattern: $0) }
    }

    /// No path at all: the call is about the descriptor that it is relative to.
    package var isEmpty: Bool { count == 0 }
}
