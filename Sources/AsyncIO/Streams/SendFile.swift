public import AsyncIOKernel
import AsyncIOLoop
import Glibc
import SystemPackage

extension ByteStream {
    /// Sends the bytes of a regular file, from an offset, and returns how many: all up to its end, or exactly so many.
    ///
    /// Over TCP, Unix sockets and pipes the kernel copies them by itself (sendfile(2)), in turns of at most 1 MiB, so
    /// that others are served between them; what is not in the page cache is read while the loop waits. Over other
    /// streams, and from files that the kernel cannot send so (those of `/proc`, devices), they are read by `offload`
    /// in pieces and written. The file's own position does not change.
    ///
    /// Suspends while the peer does not take them. A task that is cancelled meanwhile gets `CancellationError`; part of
    /// the bytes may have been sent then. Throws ``IOError``: of reading, as ``write(_:)-(RawSpan)`` of writing,
    /// `EINVAL` for a negative offset or count, and `ENODATA` if the file ends before `count` bytes: what was promised
    /// to the peer cannot be kept, and the stream is only good for closing.
    @discardableResult
    public func sendFile(
        _ file: borrowing Descriptor, from offset: Int64 = 0, count: Int? = nil
    ) async throws -> Int {
        let sent = try await sendFile(number: file.number, from: offset, count: count)
        // The file stays open as long as it is borrowed.
        _ = file.number
        return sent
    }

    /// Sends the bytes of an open file, which cannot be closed meanwhile. As
    /// ``sendFile(_:from:count:)-(Descriptor,_,_)``.
    @discardableResult
    public func sendFile(_ file: File, from offset: Int64 = 0, count: Int? = nil) async throws -> Int {
        try await file.withDescriptor { try await sendFile(number: $0, from: offset, count: count) }
    }

    /// Sends the bytes of the regular file at a path. As ``sendFile(_:from:count:)``; throws ``IOError`` if it cannot
    /// be opened.
    @discardableResult
    public func sendFile(at path: String, from offset: Int64 = 0, count: Int? = nil) async throws -> Int {
        let loop = try EventLoop.required(readingLoop)
        let file = try await FileLane.open(path.bytes(for: "open"), O_RDONLY, 0, on: loop)
        return try await sendFile(file, from: offset, count: count)
    }
}

extension ByteStream {
    private func sendFile(number: CInt, from offset: Int64, count: Int?) async throws -> Int {
        guard offset >= 0, count.map({ $0 >= 0 }) ?? true else {
            throw IOError(
                .invalidArgument, operation: "send file", subject: "descriptor \(number)",
                detail: "from \(offset), \(count.map(String.init) ?? "all") bytes: neither can be negative")
        }
        var sender = FileSender(file: number, offset: offset, wanted: count ?? Int.max, readingLoop: readingLoop)
        if let stream = self as? any DescriptorStream { try await sender.sendByKernel(stream.core) }
        if !sender.hasEnded { try await sender.sendByReading(self) }
        if let count, sender.sent < count {
            throw IOError(
                .noData, operation: "send file", subject: "descriptor \(number)",
                detail: "the file ended after \(sender.sent) of \(count) bytes")
        }
        return sender.sent
    }

    /// Whose pool reads files for this stream: the caller's loop, if it has none of its own.
    private var readingLoop: EventLoop? { (self as? any DescriptorStream)?.core.loop }
}

/// How far the sending of a file has come.
private struct FileSender {
    let file: CInt
    var offset: Int64
    let wanted: Int
    let readingLoop: EventLoop?
    var sent = 0
    var hasEnded = false

    /// The most that is asked of the kernel at once: sendfile(2) takes no more than 0x7ffff000.
    private static let piece = 1 << 30

    mutating func sendByKernel(_ core: StreamCore) async throws {
        let position = UnsafeMutablePointer<Int64>.allocate(capacity: 1)
        unsafe position.initialize(to: offset)
        defer { unsafe position.deallocate() }
        while sent < wanted {
            let count = min(wanted - sent, Self.piece)
            let outcome = unsafe await core.perform(
                .sendFile(core.writer, file: file, offset: position, count: count))
            let code = Errno(negated: outcome.result)
            // The loop's thread has written the position: it is looked at where the result does not tell it.
            if outcome.result < 0, code == .invalidArgument || code == .noFunction,
                unsafe position.pointee == offset
            {
                return
            }
            try core.check(outcome, "send file")
            sent += outcome.result
            offset += Int64(outcome.result)
            if outcome.result < count { break }
        }
        hasEnded = true
    }

    mutating func sendByReading(_ stream: some ByteStream) async throws {
        let loop = try EventLoop.required(readingLoop)
        while sent < wanted {
            let count = min(wanted - sent, 1 << 18)
            let bytes = try await FileLane.bytes(
                of: file, at: offset, count: count, on: loop, "descriptor \(file)")
            if bytes.isEmpty { break }
            try await stream.write(bytes)
            sent += bytes.count
            self.offset += Int64(bytes.count)
        }
        hasEnded = true
    }
}
