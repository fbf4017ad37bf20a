import AsyncIOKernel
import AsyncIOLoop
import SystemPackage

// A pipe leaves the loop: for a child process, or for what is left in it.
extension PipeStream {
    enum End { case reading, writing }

    /// Takes an end out of the loop's care, open and non-blocking; the stream is of no use for it afterwards.
    ///
    /// Suspends for a moment. Throws ``IOError`` with `EBUSY` while a task reads or writes, `EBADF` if it is closed or
    /// there is none.
    func handOver(_ end: End) async throws -> Descriptor {
        let handle = end == .reading ? core.reader : core.writer
        guard handle != .none else {
            let detail = end == .reading ? "this end only writes" : "this end only reads"
            throw IOError(.badFileDescriptor, operation: "hand over", subject: "\(core.subject)", detail: detail)
        }
        let outcome = await core.perform(.disown(handle))
        if outcome.result >= 0 { OpenResources.closed(core.key) }
        return Descriptor(owning: CInt(truncatingIfNeeded: try core.check(outcome, "hand over")))
    }
}
