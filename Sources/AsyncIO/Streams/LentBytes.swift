import AsyncIOLoop

/// Received bytes that are lent to whoever has read them, and have to be given back.
@safe
@usableFromInline
struct LentBytes: @unchecked Sendable {
    /// The bytes, as long as they are lent.
    @usableFromInline let bytes: UnsafeRawBufferPointer
    private let memory: UnsafeMutableRawPointer
    /// Whether the memory is one of the loop's pieces.
    private let isOfLoop: Bool

    /// What a loop has lent.
    init(_ memory: UnsafeMutableRawPointer, count: Int) {
        unsafe self.memory = memory
        unsafe bytes = UnsafeRawBufferPointer(start: memory, count: count)
        isOfLoop = true
    }

    /// What has come as an array: to a task that does not run on the loop.
    init(_ array: [UInt8]) {
        unsafe memory = .allocate(byteCount: max(array.count, 1), alignment: 16)
        unsafe UnsafeMutableRawBufferPointer(start: memory, count: array.count).copyBytes(from: array)
        unsafe bytes = UnsafeRawBufferPointer(start: memory, count: array.count)
        isOfLoop = false
    }

    func giveBack(to loop: EventLoop) {
        if isOfLoop { unsafe loop.takeBack(memory) } else { unsafe memory.deallocate() }
    }
}

extension ByteStream {
    /// Reads what is there, and calls the body with the bytes, in place: at least one and at most the limit. Returns
    /// what the body returns; nil at the end of the peer's data, without calling it.
    ///
    /// ```swift
    /// while try await stream.withReceivedBytes({ try await stream.write($0) }) != nil {}
    /// ```
    ///
    /// As ``read(upTo:)``, without an allocation for TCP and Unix streams: the bytes stand in memory of the loop's that
    /// is lent while the body runs, 64 KiB of it. While the read waits, no memory is held. Throws what ``read(upTo:)``
    /// throws, and what the body throws; the bytes count as read then.
    public func withReceivedBytes<Result>(
        upTo limit: Int, _ body: nonisolated(nonsending) (RawSpan) async throws -> Result
    ) async throws -> Result? {
        guard let bytes = try await read(upTo: limit) else { return nil }
        return try unsafe await body(bytes.span.bytes)
    }
}
