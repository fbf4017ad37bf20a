import AsyncIOLoop

/// Received bytes that are lent to whoever has read them, and have to be given back.
@safe
@usableFromInline
struct LentBytes: @unchecked Sendable {
    /// The bytes, as long as they are lent.
    @usableFromInline let bytes: UnsafeRawBufferPointer
    private let owner: Owner

    @safe
    private enum Owner {
        /// The loop: they stand in a piece of its memory.
        case loop(UnsafeMutableRawPointer)
        case array([UInt8])
    }

    /// What a loop has lent.
    init(_ memory: UnsafeMutableRawPointer, count: Int) {
        unsafe bytes = UnsafeRawBufferPointer(start: memory, count: count)
        owner = unsafe .loop(memory)
    }

    /// What has come as an array: to a task that does not run on the loop, or when the loop had lent enough.
    init(_ array: [UInt8]) {
        // Held, and not changed, until it is given back.
        unsafe bytes = array.withUnsafeBytes { unsafe $0 }
        owner = .array(array)
    }

    @usableFromInline
    func giveBack(to loop: EventLoop) {
        switch owner {
        case .loop(let memory): unsafe loop.takeBack(memory)
        case .array(let array): withExtendedLifetime(array) {}
        }
    }
}

extension ByteStream {
    /// Reads what is there, and calls the body with the bytes, in place: at least one and at most the limit. Returns
    /// what the body returns; nil at the end of the peer's data, without calling it.
    ///
    /// ```swift
    /// while try await stream.withReceivedBytes(upTo: 65_536, { try await stream.write($0) }) != nil {}
    /// ```
    ///
    /// As ``read(upTo:)``. While the read waits, no memory is held. TCP and Unix streams, used on their loop, allocate
    /// nothing: the bytes stand in memory of the loop's, 64 KiB of it, that is lent while the body runs. A loop lends
    /// 64 such pieces at a time; if more bodies than that wait for something, their bytes stand in arrays. Throws what
    /// ``read(upTo:)`` throws, and what the body throws; the bytes count as read then.
    public func withReceivedBytes<Result>(
        upTo limit: Int, _ body: nonisolated(nonsending) (RawSpan) async throws -> Result
    ) async throws -> Result? {
        guard let bytes = try await read(upTo: limit) else { return nil }
        return try unsafe await body(bytes.span.bytes)
    }
}
