#if HTTP
internal import CAsyncIOZlib

/// How deflated data (RFC 1951) is wrapped.
enum DeflateFormat: Hashable {
    /// With a header and a CRC (RFC 1952): the coding `gzip`. Several may follow each other.
    case gzip
    /// With a header and a checksum (RFC 1950).
    case zlib
    /// Not at all, with a window of 2 to this power bytes, 8 to 15 (9 to 15 for compressing, which zlib does not do
    /// with 8): WebSocket's messages (RFC 7692).
    case raw(windowBits: Int)
    /// For decompressing: `zlib`, as the coding `deflate` is meant, or `raw`, as some servers understand it (RFC 9110
    /// section 8.4.1.2).
    case zlibOrRaw

    /// What zlib's functions call it.
    var windowBits: CInt {
        switch self {
        case .gzip: 15 + 16
        case .zlib, .zlibOrRaw: 15
        case .raw(let bits): CInt(-min(max(bits, 8), 15))
        }
    }
}

/// A stream of zlib. It lives at an address of its own, since what zlib allocates for it points back to it.
@safe
struct ZStream: ~Copyable {
    private let stream: UnsafeMutablePointer<z_stream>

    init() {
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
    }

    // Whoever has begun it has ended it before.
    deinit { unsafe stream.deallocate() }

    /// Lends the stream to one of zlib's functions, which leaves it where it is. Never with pointers to anybody's
    /// bytes: those are there in ``run(_:room:_:)`` alone.
    func call(_ function: (UnsafeMutablePointer<z_stream>) -> CInt) -> CInt { unsafe function(stream) }

    /// Lets a function of zlib take from the input, and give at most so many bytes.
    ///
    /// Both memories are lent for the time of the call, and the stream forgets them behind it.
    func run(
        _ input: inout ArraySlice<UInt8>, room: Int, _ function: (UnsafeMutablePointer<z_stream>) -> CInt
    ) -> (code: CInt, output: [UInt8]) {
        var code = Z_OK
        var taken = 0
        let output = unsafe [UInt8](unsafeUninitializedCapacity: room) { memory, filled in
            unsafe input.withUnsafeBufferPointer { bytes in
                let given = UInt32(clamping: bytes.count)
                let free = UInt32(clamping: memory.count)
                unsafe stream.pointee.next_in = bytes.baseAddress
                unsafe stream.pointee.avail_in = given
                unsafe stream.pointee.next_out = memory.baseAddress
                unsafe stream.pointee.avail_out = free
                code = unsafe function(stream)
                unsafe taken = Int(given - min(stream.pointee.avail_in, given))
                unsafe filled = Int(free - min(stream.pointee.avail_out, free))
                unsafe stream.pointee.next_in = nil
                unsafe stream.pointee.avail_in = 0
                unsafe stream.pointee.next_out = nil
                unsafe stream.pointee.avail_out = 0
            }
        }
        input.removeFirst(taken)
        // Small answers do not keep the room of big ones.
        return (code, output.count < room / 2 ? Array(output[...]) : output)
    }

    /// What zlib says of its last error. Its texts are constants.
    var message: String? { unsafe stream.pointee.msg.map { unsafe String(cString: $0) } }
}
#endif
