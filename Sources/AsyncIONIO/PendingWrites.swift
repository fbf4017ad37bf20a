#if NIO
import NIOCore

/// What handlers have written and the stream has not taken yet: bytes in order, which of them are flushed, and who is
/// to hear when they have gone.
///
/// Places are counted from the channel's first byte, so that buffers can be merged without asking whose they were.
struct PendingWrites {
    /// A promise, and the place up to which the stream must have taken all.
    private struct Receipt {
        let end: Int
        let promise: EventLoopPromise<Void>
    }

    private var buffers = CircularBuffer<ByteBuffer>()
    private var receipts = CircularBuffer<Receipt>()
    /// How many of the receipts are for flushed writes: one for no bytes has no place of its own.
    private var flushedReceipts = 0
    private var appended = 0
    private var flushed = 0
    private var taken = 0
    var marks = ChannelOptions.Types.WriteBufferWaterMark(low: 32 << 10, high: 64 << 10)
    /// Between the marks it stays as it was.
    private(set) var isWritable = true

    /// The most that is merged, or offered at a time.
    static let pieceSize = 65_536

    /// How many bytes wait, flushed or not.
    var count: Int { appended - taken }
    /// Whether flushed bytes wait.
    var hasFlushed: Bool { flushed > taken }

    // MARK: Writing

    /// Adds a write. True if that has made the channel unwritable.
    mutating func append(_ buffer: ByteBuffer, _ promise: EventLoopPromise<Void>?) -> Bool {
        if buffer.readableBytes > 0 { buffers.append(buffer) }
        appended += buffer.readableBytes
        if let promise { receipts.append(Receipt(end: appended, promise: promise)) }
        guard isWritable, count > marks.high else { return false }
        isWritable = false
        return true
    }

    mutating func flush() {
        flushed = appended
        flushedReceipts = receipts.count
    }

    // MARK: Sending

    /// The next flushed bytes: small buffers as one, a large one as it is or in parts.
    mutating func next() -> ByteBuffer? {
        guard hasFlushed, let first = buffers.first else { return nil }
        let room = min(flushed - taken, Self.pieceSize)
        if first.readableBytes >= room || buffers.count == 1 {
            return first.getSlice(at: first.readerIndex, length: min(first.readableBytes, room))
        }
        var merged = first
        buffers.removeFirst()
        merged.reserveCapacity(minimumWritableBytes: room - first.readableBytes)
        while merged.readableBytes < room, var following = buffers.first, following.readableBytes < Self.pieceSize {
            buffers.removeFirst()
            merged.writeBuffer(&following)
        }
        buffers.prepend(merged)
        return merged.getSlice(at: merged.readerIndex, length: min(merged.readableBytes, room))
    }

    /// The stream has taken so many of the flushed bytes, from the front. True if the channel is writable again.
    mutating func take(_ count: Int) -> Bool {
        var rest = min(count, flushed - taken)
        taken += rest
        while rest > 0, !buffers.isEmpty {
            let index = buffers.startIndex
            let part = min(rest, buffers[index].readableBytes)
            buffers[index].moveReaderIndex(forwardBy: part)
            rest -= part
            if buffers[index].readableBytes == 0 { buffers.removeFirst() }
        }
        return becomesWritable()
    }

    /// The marks have moved, or bytes have gone.
    mutating func becomesWritable() -> Bool {
        guard !isWritable, count < marks.low || count == 0 else { return false }
        isWritable = true
        return true
    }

    /// The next promise whose bytes have gone.
    mutating func nextReceipt() -> EventLoopPromise<Void>? {
        guard flushedReceipts > 0, let first = receipts.first, first.end <= taken else { return nil }
        flushedReceipts -= 1
        return receipts.removeFirst().promise
    }

    // MARK: Ending

    /// Takes out the promises of all writes, or of those that are not flushed, whose bytes are dropped.
    mutating func drop(_ part: Part) -> [EventLoopPromise<Void>] {
        let kept = part == .all ? 0 : flushedReceipts
        let dropped = receipts.dropFirst(kept).map(\.promise)
        receipts.removeLast(receipts.count - kept)
        flushedReceipts = kept
        let end = part == .all ? taken : flushed
        while appended > end, let last = buffers.last {
            let surplus = min(appended - end, last.readableBytes)
            appended -= surplus
            buffers.removeLast()
            if surplus < last.readableBytes {
                buffers.append(last.getSlice(at: last.readerIndex, length: last.readableBytes - surplus) ?? last)
            }
        }
        flushed = end
        return dropped
    }

    enum Part { case all, unflushed }
}
#endif
