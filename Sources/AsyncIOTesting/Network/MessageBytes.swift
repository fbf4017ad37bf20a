import CAsyncIO
import Glibc

/// The memory that a `msghdr` lists. It is the caller's, and alive for the call.
@safe
struct MessageBytes {
    private let vectors: UnsafeMutableBufferPointer<iovec>

    init(_ message: UnsafeMutablePointer<msghdr>) {
        unsafe vectors = UnsafeMutableBufferPointer(
            start: message.pointee.msg_iov, count: Int(message.pointee.msg_iovlen))
    }

    /// How many bytes it lists.
    var count: Int { unsafe vectors.reduce(0) { unsafe $0 + $1.iov_len } }

    /// Passes piece after piece on, until one is not taken whole. How many bytes were taken, or the first result.
    func gather(_ body: (UnsafeRawBufferPointer) -> Int) -> Int {
        unsafe each { unsafe body(UnsafeRawBufferPointer($0)) }
    }

    /// Has piece after piece filled, until one is not filled whole. How many bytes were filled, or the first result.
    func scatter(_ body: (UnsafeMutableRawBufferPointer) -> Int) -> Int { unsafe each(body) }

    private func each(_ body: (UnsafeMutableRawBufferPointer) -> Int) -> Int {
        var done = 0
        for index in unsafe vectors.indices {
            let piece = unsafe UnsafeMutableRawBufferPointer(
                start: vectors[index].iov_base, count: vectors[index].iov_len)
            guard piece.count > 0 else { continue }
            let result = unsafe body(piece)
            guard result >= 0 else { return done > 0 ? done : result }
            done += result
            if result < piece.count { break }
        }
        return done
    }

    /// All the bytes.
    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        _ = unsafe gather { piece in
            unsafe bytes.append(contentsOf: piece)
            return piece.count
        }
        return bytes
    }

    /// Fills the memory from the start, as far as it reaches; returns how many bytes that were.
    func fill(_ bytes: [UInt8]) -> Int {
        var done = 0
        return unsafe scatter { piece in
            let length = min(piece.count, bytes.count - done)
            unsafe bytes.withUnsafeBytes { source in
                unsafe piece.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[done..<done + length]))
            }
            done += length
            return length
        }
    }
}
