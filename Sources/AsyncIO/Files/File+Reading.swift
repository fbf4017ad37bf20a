public import AsyncIOKernel
import AsyncIOLoop
import Synchronization
import SystemPackage

extension File {
    /// The most that one read returns.
    public static let maximumRead = 1 << 20
    /// The most that is copied out of the page cache in one go, and into it: some ten microseconds.
    static let inlinePiece = 1 << 17

    /// Reads at most so many bytes from the position on, which moves; nil at the end.
    ///
    /// Returns what the cache holds, if it holds something, and at most ``maximumRead``: fewer bytes than asked for do
    /// not mean the end. Suspends while the disk is asked. What has no positions is waited for; a task that is
    /// cancelled meanwhile gets `CancellationError`, and nothing is lost. Throws ``IOError`` with the path: `EBADF` if
    /// it was not opened for reading or is closed, `EINVAL` for a limit below one, `EIO`.
    public func read(upTo limit: Int = 65_536) async throws -> [UInt8]? {
        try await turn.withLock {
            let bytes = try await readPart(limit, at: hasPositions ? position : nil)
            offset.store(position &+ Int64(bytes.count), ordering: .relaxed)
            return bytes.isEmpty ? nil : bytes
        }
    }

    /// Reads at most so many bytes from an offset on; nil at the end. As ``read(upTo:)``, but for the position, which
    /// is left alone: several tasks may read at the same time.
    public func read(upTo limit: Int, at offset: Int64) async throws -> [UInt8]? {
        try checkOffset(offset, "read")
        let bytes = try await readPart(limit, at: offset)
        return bytes.isEmpty ? nil : bytes
    }

    /// Reads into the free part of a span from the position on, which moves, and returns the number of bytes; 0 at the
    /// end. As ``read(upTo:)``, without an allocation.
    public func read(into span: inout OutputRawSpan) async throws -> Int {
        let hold = try await turn.acquire()
        do {
            let count = try await readPart(into: &span, at: hasPositions ? position : nil)
            offset.store(position &+ Int64(count), ordering: .relaxed)
            hold.release()
            return count
        } catch {
            hold.release()
            throw error
        }
    }

    /// Reads into the free part of a span from an offset on, and returns the number of bytes; 0 at the end. As
    /// ``read(upTo:at:)``, without an allocation.
    public func read(into span: inout OutputRawSpan, at offset: Int64) async throws -> Int {
        try checkOffset(offset, "read")
        return try await readPart(into: &span, at: offset)
    }

    /// Reads into the free part of a buffer from an offset on. As ``read(into:at:)-(OutputRawSpan,_)``.
    public func read(into buffer: inout IOBuffer, at offset: Int64) async throws -> Int {
        // The buffer is borrowed until this function returns, so its memory outlives the call.
        var free = unsafe OutputRawSpan(buffer: buffer.freeSpace, initializedCount: 0)
        let count = try await read(into: &free, at: offset)
        buffer.advance(by: count)
        return count
    }

    /// Reads into the free part of a buffer from the position on. As ``read(into:)-(OutputRawSpan)``.
    public func read(into buffer: inout IOBuffer) async throws -> Int {
        var free = unsafe OutputRawSpan(buffer: buffer.freeSpace, initializedCount: 0)
        let count = try await read(into: &free)
        buffer.advance(by: count)
        return count
    }

    // MARK: Steps

    private func readPart(_ limit: Int, at offset: Int64?) async throws -> [UInt8] {
        try await FileLane.enter()
        guard limit > 0 else { throw StreamCore.empty(limit, "\(path)") }
        try enter("read")
        defer { leave() }
        if let offset, readsFromCache.load(ordering: .relaxed) {
            var result = 0
            let bytes = unsafe [UInt8](
                unsafeUninitializedCapacity: min(limit, Self.inlinePiece)
            ) { memory, filled in
                result = unsafe readCached(UnsafeMutableRawBufferPointer(memory), at: offset)
                filled = max(result, 0)
            }
            if result > 0 || result == 0 && isEnd(offset) { return Self.trimmed(bytes) }
        }
        let count = min(limit, Self.maximumRead)
        var bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { _, filled in filled = count }
        // The array is this frame's alone, and is not touched until the call has ended.
        let memory = unsafe bytes.withUnsafeMutableBytes { unsafe $0 }
        let read = unsafe try await readSlowly(memory, at: offset)
        bytes.removeLast(count - min(max(read, 0), count))
        return Self.trimmed(bytes)
    }

    private func readPart(into span: inout OutputRawSpan, at offset: Int64?) async throws -> Int {
        var wasCached = true
        return try await readPart(into: &span, at: offset, &wasCached)
    }

    /// As ``read(into:at:)-(OutputRawSpan,_)``, and says if it had to wait.
    func readPart(
        into span: inout OutputRawSpan, at offset: Int64?, _ wasCached: inout Bool
    ) async throws -> Int {
        try await FileLane.enter()
        guard span.freeCapacity > 0 else { throw StreamCore.empty(0, "\(path)") }
        try enter("read")
        defer { leave() }
        // The span is borrowed until this function returns, so its memory outlives the call.
        let memory = unsafe span.withUnsafeMutableBytes { memory, count in
            unsafe UnsafeMutableRawBufferPointer(rebasing: memory[count...])
        }
        var count = -1
        if let offset, readsFromCache.load(ordering: .relaxed) {
            let part = unsafe UnsafeMutableRawBufferPointer(rebasing: memory.prefix(Self.inlinePiece))
            let result = unsafe readCached(part, at: offset)
            if result > 0 || result == 0 && isEnd(offset) { count = result }
        }
        if count < 0 {
            wasCached = false
            let part = unsafe UnsafeMutableRawBufferPointer(rebasing: memory.prefix(Self.maximumRead))
            count = unsafe try await readSlowly(part, at: offset)
        }
        unsafe span.withUnsafeMutableBytes { _, filled in filled += count }
        return count
    }

    /// What the page cache holds; negative if it has to be read first.
    @inline(__always)
    private func readCached(_ memory: UnsafeMutableRawBufferPointer, at offset: Int64) -> Int {
        let result = unsafe SystemCall.readCached(number, memory, at: offset)
        // Files of /proc, some file systems: never from a cache.
        if result < 0 && result != Errno.wouldBlock.negated {
            readsFromCache.store(false, ordering: .relaxed)
        } else if !cacheHasAnswered.load(ordering: .relaxed) {
            cacheHasAnswered.store(true, ordering: .relaxed)
        }
        return result
    }

    /// Linux 5.9 and 5.10 report 0 for what is not cached, too (preadv2(2), "Bugs").
    private func isEnd(_ offset: Int64) -> Bool {
        guard let size = FileLane.cachedStatus(number)?.size else { return false }
        return offset >= size && kind == .regular
    }

    private func readSlowly(_ memory: UnsafeMutableRawBufferPointer, at offset: Int64?) async throws -> Int {
        while true {
            // A FIFO that nobody has written yet would look like one at its end.
            if kind == .pipe { try await loop.waitReadable(number) }
            let outcome = unsafe await FileLane.perform(.read(number, into: memory, at: offset), on: loop)
            if outcome.result == Errno.wouldBlock.negated && offset == nil {
                try await loop.waitReadable(number)
                continue
            }
            return try check(outcome, "read")
        }
    }

    /// Throws what a read or write reports; a file that was opened for something else says so.
    @discardableResult
    func check(_ outcome: Outcome, _ operation: String, detail: String? = nil) throws -> Int {
        guard outcome.result < 0 else { return outcome.result }
        let code = Errno(negated: outcome.result)
        if code == .badFileDescriptor {
            let purpose = mode.reads ? "reading" : "writing"
            throw IOError(code, operation: operation, subject: "\(path)", detail: "it is open for \(purpose) only")
        }
        if let detail, code != .canceled, code != .loopClosed {
            throw IOError(code, operation: operation, subject: "\(path)", detail: "\(code) \(detail)")
        }
        return try FileLane.check(outcome, operation, "\(path)", on: loop)
    }

    /// An array that keeps no more memory than twice what it holds.
    static func trimmed(_ bytes: [UInt8]) -> [UInt8] {
        bytes.capacity > 2 * max(bytes.count, 4_096) ? Array(bytes[...]) : bytes
    }
}
