#if HTTP
internal import CAsyncIOZlib

/// How much decompressed data somebody takes.
struct InflateLimits: Hashable {
    /// The most bytes in all.
    var total = Int.max
    /// The most bytes for each byte of the compressed data, where it is more than a mebibyte in all. Deflate can do
    /// 1,032; texts come to 20, and logs to 100.
    var ratio = Int.max

    /// What is small anyway may have any ratio.
    static let harmless = 1 << 20
}

/// Decompresses data piece by piece, each of a bounded size, as it comes.
///
/// ```swift
/// var rest = chunk[...]
/// while let piece = try inflater.next(&rest) { … }     // until it wants the next chunk
/// try inflater.finish()                                 // behind the last chunk: was it whole?
/// ```
///
/// It keeps at most about 44 KiB, whatever the data says. One task uses it at a time.
final class Inflater: @unchecked Sendable {
    let format: DeflateFormat
    let limits: InflateLimits
    /// How many bytes of compressed data it has taken, and how many it has made of them.
    private(set) var taken = 0
    private(set) var produced = 0
    /// Whether the data has come to an end of its own, and nothing behind it yet.
    private(set) var isFinished = false
    /// How often raw data has ended and gone on: nobody needs many ends within one message.
    private var restarts = 0
    private static let mostRestarts = 64
    private let stream = ZStream()
    private var knowsFormat: Bool
    private var failure: ContentCodingError?

    init(_ format: DeflateFormat, limits: InflateLimits = InflateLimits()) throws(ContentCodingError) {
        self.format = format
        self.limits = limits
        knowsFormat = format != .zlibOrRaw
        let code = unsafe stream.call { unsafe casyncio_inflate_init($0, format.windowBits) }
        // Nothing else can be wrong with its arguments; zlib frees what it has by itself.
        guard code == Z_OK else { throw .outOfMemory }
    }

    deinit { _ = unsafe stream.call { unsafe inflateEnd($0) } }

    /// The next decompressed bytes, at least one and at most so many; nil if the input is used up, and more is needed.
    ///
    /// What it takes from the input is removed there. Once it has thrown, it throws the same again.
    func next(_ input: inout ArraySlice<UInt8>, upTo size: Int = 32 << 10) throws(ContentCodingError) -> [UInt8]? {
        if let failure { throw failure }
        do throws(ContentCodingError) {
            return try piece(&input, upTo: max(size, 1))
        } catch {
            failure = error
            throw error
        }
    }

    /// All that the input becomes, for those who know that it is little: the limit holds.
    func all(_ input: [UInt8]) throws(ContentCodingError) -> [UInt8] {
        var rest = input[...]
        var all: [UInt8] = []
        while let piece = try next(&rest) { all += piece }
        return all
    }

    /// Says whether the data was whole, when there is nothing more of it. No data at all is whole.
    func finish() throws(ContentCodingError) {
        if let failure { throw failure }
        guard isFinished || taken == 0 else { throw .truncated }
    }

    /// Begins to count anew: for messages with limits of their own that belong to one stream.
    func startCounting() {
        taken = 0
        produced = 0
        restarts = 0
    }

    /// Forgets everything, as if it were new: for a message that does not refer to those before it.
    func reset() {
        startCounting()
        isFinished = false
        failure = nil
        knowsFormat = format != .zlibOrRaw
        _ = unsafe stream.call { unsafe inflateReset2($0, format.windowBits) }
    }

    private func piece(_ input: inout ArraySlice<UInt8>, upTo size: Int) throws(ContentCodingError) -> [UInt8]? {
        while true {
            if isFinished, try !goOn(input) { return nil }
            if !knowsFormat, let first = input.first {
                knowsFormat = true
                // The method, in half of zlib's first byte (RFC 1950 section 2.2). Raw data would begin with a stored
                // block whose unused bits are not zero: nobody writes those.
                if first & 0x0f != 8 {
                    _ = unsafe stream.call { unsafe inflateReset2($0, DeflateFormat.raw(windowBits: 15).windowBits) }
                }
            }
            let given = input.count
            // One byte more than is allowed shows that there are more.
            let left = limits.total - produced
            let room = left < size ? left + 1 : size
            let (code, output) = unsafe stream.run(&input, room: room) { unsafe inflate($0, Z_NO_FLUSH) }
            taken += given - input.count
            produced += output.count
            try check(code)
            try checkLimits()
            if !output.isEmpty { return output }
            if input.isEmpty || code == Z_BUF_ERROR { return nil }
        }
    }

    private func check(_ code: CInt) throws(ContentCodingError) {
        switch code {
        // With Z_BUF_ERROR, there is nothing to take or nothing to give.
        case Z_OK, Z_BUF_ERROR: return
        case Z_STREAM_END: isFinished = true
        case Z_NEED_DICT: throw .dictionaryNeeded
        case Z_MEM_ERROR: throw .outOfMemory
        default: throw .corrupt(stream.message ?? "no more is known")
        }
    }

    private func checkLimits() throws(ContentCodingError) {
        if produced > limits.total { throw .tooLarge(limit: limits.total) }
        if produced > InflateLimits.harmless, produced / limits.ratio > taken {
            throw .ratioTooLarge(limit: limits.ratio)
        }
    }

    /// What is behind an end: another member, as gzip allows (RFC 1952 section 2.2); a further block, as WebSocket
    /// allows (RFC 7692 section 7.2.3.4); or nothing that belongs there. Says whether there is something.
    private func goOn(_ input: ArraySlice<UInt8>) throws(ContentCodingError) -> Bool {
        guard let first = input.first else { return false }
        switch format {
        case .gzip where first == 0x1f:
            _ = unsafe stream.call { unsafe inflateReset($0) }
        case .raw:
            restarts += 1
            guard restarts <= Self.mostRestarts else { throw .corrupt("more than \(Self.mostRestarts) ends") }
            var window = unsafe [UInt8](unsafeUninitializedCapacity: 1 << 15) { memory, filled in
                var count: UInt32 = 0
                _ = unsafe stream.call { unsafe inflateGetDictionary($0, memory.baseAddress, &count) }
                filled = min(Int(count), memory.count)
            }
            _ = unsafe stream.call { unsafe inflateReset($0) }
            unsafe window.withUnsafeMutableBufferPointer { memory in
                _ = unsafe stream.call { unsafe inflateSetDictionary($0, memory.baseAddress, UInt32(memory.count)) }
            }
        case .gzip, .zlib, .zlibOrRaw:
            throw .trailingBytes
        }
        isFinished = false
        return true
    }
}
#endif
