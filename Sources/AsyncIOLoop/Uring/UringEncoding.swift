import AsyncIOKernel
import CAsyncIO

// The encoding: what the driver asks the ring for, as submission entries (io_uring_enter(2)).
extension casyncio_submission {
    private init(_ code: Int, _ descriptor: CInt, flags: Int = 0) {
        self.init()
        self.code = UInt8(truncatingIfNeeded: code)
        self.flags = UInt8(truncatingIfNeeded: flags)
        self.descriptor = descriptor
    }

    /// Reports each time that a descriptor becomes ready for one of the events, edge by edge.
    static func watch(_ descriptor: CInt, _ events: UInt32) -> casyncio_submission {
        var entry = casyncio_submission(CASYNCIO_RING_POLL_ADD, descriptor)
        entry.length = UInt32(CASYNCIO_POLL_MULTISHOT)
        entry.options = events
        return entry
    }

    /// Reports once that a descriptor is ready for one of the events.
    static func await(_ descriptor: CInt, _ events: UInt32) -> casyncio_submission {
        var entry = casyncio_submission(CASYNCIO_RING_POLL_ADD, descriptor)
        entry.options = events
        return entry
    }

    /// Receives, again and again, into provided buffers.
    ///
    /// Without IORING_RECVSEND_POLL_FIRST, although a call has found nothing just before: with it, of data and a reset
    /// that come before the entry is submitted, the kernel tells only the data (seen on 6.18).
    static func receive(_ descriptor: CInt) -> casyncio_submission {
        var entry = casyncio_submission(
            CASYNCIO_RING_RECV, descriptor, flags: CASYNCIO_SUBMISSION_SELECTS_BUFFER)
        entry.priority = UInt16(CASYNCIO_RECEIVE_MULTISHOT)
        return entry
    }

    /// Carries out a file's operation. Nil for one that the ring would only pass on to a thread of the kernel's, where
    /// it costs more than on one of ours: all but reads and syncs. A write, besides, may raise SIGPIPE or SIGXFSZ,
    /// which only a call can hold back.
    static func carryOut(_ call: FileCall) -> casyncio_submission? {
        switch call {
        case .read(let file, let memory, let offset):
            var entry = casyncio_submission(CASYNCIO_RING_READ, file)
            entry.address = UInt64(UInt(bitPattern: memory.baseAddress))
            // What read(2) moves at most.
            entry.length = UInt32(clamping: min(memory.count, 0x7fff_f000))
            // Minus one: the file's own position.
            entry.offset = UInt64(bitPattern: offset ?? -1)
            return entry
        case .sync(let file, let what):
            var entry = casyncio_submission(CASYNCIO_RING_FSYNC, file)
            entry.options = what == .data ? UInt32(CASYNCIO_SYNC_DATA_ONLY) : 0
            return entry
        default: return nil
        }
    }

    /// Ends an entry early. Its own completion is the only one that comes.
    static func cancel(_ target: UInt64) -> casyncio_submission {
        var entry = casyncio_submission(
            CASYNCIO_RING_ASYNC_CANCEL, -1, flags: CASYNCIO_SUBMISSION_SKIPS_SUCCESS)
        entry.address = target
        return entry
    }

    /// Ends all entries early.
    static var cancelAll: casyncio_submission {
        var entry = casyncio_submission(
            CASYNCIO_RING_ASYNC_CANCEL, -1, flags: CASYNCIO_SUBMISSION_SKIPS_SUCCESS)
        entry.options = UInt32(CASYNCIO_CANCEL_ALL | CASYNCIO_CANCEL_ANY)
        return entry
    }

    /// Does nothing, and completes.
    static var nothing: casyncio_submission { casyncio_submission(CASYNCIO_RING_NOP, -1) }
}

extension casyncio_completion {
    @inline(__always)
    var hasMore: Bool { flags & UInt32(CASYNCIO_COMPLETION_HAS_MORE) != 0 }

    /// The kernel will receive more into the same provided buffer, behind what it has received.
    @inline(__always)
    var leavesBuffer: Bool { flags & UInt32(CASYNCIO_COMPLETION_LEAVES_BUFFER) != 0 }

    /// The provided buffer that the kernel has received into.
    @inline(__always)
    var buffer: UInt16? {
        flags & UInt32(CASYNCIO_COMPLETION_HAS_BUFFER) == 0
            ? nil : UInt16(truncatingIfNeeded: flags >> UInt32(CASYNCIO_COMPLETION_BUFFER_SHIFT))
    }
}
