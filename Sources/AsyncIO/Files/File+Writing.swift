import AsyncIOKernel
import AsyncIOLoop
import Synchronization
import SystemPackage

extension File {
    /// Writes all of the bytes from the position on, which moves; at the end, if the file was opened for appending.
    ///
    /// Suspends until the kernel has them, which does not mean that the disk does: see ``sync(_:)``. What has no
    /// positions is waited for, with backpressure. A task that is cancelled before all is written gets
    /// `CancellationError`; a part may be written then, and the position tells how far it came.
    /// Throws ``IOError`` with the path, and says how much was written before: `ENOSPC` and `EDQUOT` if there is no
    /// room, `EFBIG` beyond the process's or the file system's limit, `EIO`, `EPIPE` for a FIFO that nobody reads,
    /// `EBADF` if it was not opened for writing or is closed.
    public func write(_ bytes: RawSpan) async throws {
        let hold = try await writingTurn.acquire()
        let start = hasPositions ? mode.appends ? 0 : position : nil
        // The span is borrowed until this function returns, so its memory outlives the calls.
        let memory = unsafe bytes.withUnsafeBytes { unsafe $0 }
        let (written, failure) = unsafe await writeAll(memory, at: start)
        offset.store(position &+ Int64(written), ordering: .relaxed)
        hold.release()
        _ = bytes.byteCount
        if let failure { throw failure }
    }

    /// Writes all of the bytes from an offset on. As ``write(_:)-(RawSpan)``, but for the position, which is left
    /// alone: several tasks may write at the same time. A file that was opened for appending refuses it with `EINVAL`:
    /// the kernel would write at the end all the same.
    public func write(_ bytes: RawSpan, at offset: Int64) async throws {
        try checkOffset(offset, "write")
        if mode.appends {
            throw IOError(
                .invalidArgument, operation: "write", subject: "\(path)",
                detail: "it was opened for appending, which knows no offsets")
        }
        let memory = unsafe bytes.withUnsafeBytes { unsafe $0 }
        let (_, failure) = unsafe await writeAll(memory, at: offset)
        _ = bytes.byteCount
        if let failure { throw failure }
    }

    /// Writes all of the bytes. As ``write(_:)-(RawSpan)``.
    public func write(_ bytes: [UInt8]) async throws { try unsafe await write(bytes.span.bytes) }

    /// Writes all of the bytes from an offset on. As ``write(_:at:)-(RawSpan,_)``.
    public func write(_ bytes: [UInt8], at offset: Int64) async throws {
        try unsafe await write(bytes.span.bytes, at: offset)
    }

    /// Writes a text as UTF-8. As ``write(_:)-(RawSpan)``.
    public func write(_ text: String) async throws { try await write(Array(text.utf8)) }

    // MARK: Steps

    /// Writes piece by piece, and tells how far it came.
    private func writeAll(
        _ bytes: UnsafeRawBufferPointer, at start: Int64?
    ) async -> (written: Int, failure: (any Error)?) {
        var written = 0
        do {
            try enter("write")
            defer { leave() }
            while written < bytes.count {
                let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[written...])
                let place = try start.map { try advance($0, by: mode.appends ? 0 : written) }
                unsafe written += try await writePart(rest, at: place, after: written)
            }
        } catch {
            return (written, error)
        }
        return (written, nil)
    }

    private func writePart(
        _ bytes: UnsafeRawBufferPointer, at offset: Int64?, after before: Int
    ) async throws -> Int {
        try await FileLane.enter()
        if let offset, writesToCache.load(ordering: .relaxed) {
            let piece = unsafe UnsafeRawBufferPointer(rebasing: bytes.prefix(Self.inlinePiece))
            let result = unsafe SystemCall.writeCached(number, piece, at: offset)
            if result > 0 { return result }
            // Most file systems write nothing without a thread; they are asked once.
            if result != Errno.wouldBlock.negated { writesToCache.store(false, ordering: .relaxed) }
        }
        let piece = unsafe UnsafeRawBufferPointer(rebasing: bytes.prefix(Self.maximumWrite))
        while true {
            let outcome = unsafe await FileLane.perform(.write(number, piece, at: offset), on: loop)
            if outcome.result == Errno.wouldBlock.negated && offset == nil {
                try await loop.waitWritable(number)
                continue
            }
            let written = try check(outcome, "write", detail: before > 0 ? "after \(before) bytes" : nil)
            // Never seen from a kernel; it must not become an endless loop.
            if written == 0 { throw IOError(.ioError, operation: "write", subject: "\(path)", detail: "took nothing") }
            return written
        }
    }

    /// The most that one call writes: others get the thread after that, and a cancelled task stops.
    private static var maximumWrite: Int { 1 << 23 }

    private func advance(_ offset: Int64, by count: Int) throws -> Int64 {
        let (sum, overflow) = offset.addingReportingOverflow(Int64(count))
        guard !overflow else {
            throw IOError(
                .fileTooLarge, operation: "write", subject: "\(path)", detail: "no offset is beyond \(Int64.max)")
        }
        return sum
    }
}
