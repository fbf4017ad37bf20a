#if HTTP
internal import CAsyncIOZlib

/// Compresses data piece by piece, as it comes.
///
/// It takes 256 KiB, less with a smaller window and memory level. One task uses it at a time.
final class Deflater: @unchecked Sendable {
    /// What becomes of bytes that were given, and would compress better together with the next.
    enum Flush {
        /// They wait for more.
        case none
        /// All of them can be decompressed now. The output ends with 00 00 FF FF (RFC 1951 section 3.2.4).
        case sync
        /// They are the last.
        case finish

        var code: CInt {
            switch self {
            case .none: Z_NO_FLUSH
            case .sync: Z_SYNC_FLUSH
            case .finish: Z_FINISH
            }
        }
    }

    private let stream = ZStream()

    /// A level from 1 (fast) to 9 (small), and how much memory helps (1 to 9, 8 is usual); others are taken to the next
    /// one.
    init(_ format: DeflateFormat, level: Int = 6, memoryLevel: Int = 8) throws(ContentCodingError) {
        var bits = format.windowBits
        // See deflateInit2 in zlib.h: a raw window of 256 bytes is not to be had.
        if bits == -8 { bits = -9 }
        let (level, memoryLevel) = (CInt(min(max(level, 1), 9)), CInt(min(max(memoryLevel, 1), 9)))
        let code = unsafe stream.call { unsafe casyncio_deflate_init($0, level, bits, memoryLevel) }
        guard code == Z_OK else { throw .outOfMemory }
    }

    deinit { _ = unsafe stream.call { unsafe deflateEnd($0) } }

    /// What the bytes become, as far as the flush says: not more than they are, by more than 64 bytes and a thousandth.
    ///
    /// Behind ``Flush/finish``, it takes nothing more until ``reset()``.
    func deflate(_ bytes: some Collection<UInt8>, _ flush: Flush = .none) -> [UInt8] {
        var input = Array(bytes)[...]
        var all: [UInt8] = []
        // What is compressed is mostly less than half; the last bytes of a flush are few.
        let room = min(max(input.count / 2, 128), 64 << 10)
        while true {
            let (code, output) = unsafe stream.run(&input, room: room) { unsafe CAsyncIOZlib.deflate($0, flush.code) }
            if all.isEmpty { all = output } else { all += output }
            // Where room is left, everything has been said (zlib.h, deflate).
            if code != Z_OK || output.count < room { return all }
        }
    }

    /// Forgets everything, as if it were new: for a message that does not refer to those before it.
    func reset() { _ = unsafe stream.call { unsafe deflateReset($0) } }
}
#endif
