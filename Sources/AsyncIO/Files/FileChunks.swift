import AsyncIOKernel
public import AsyncIOLoop

extension File {
    /// A file in pieces of one size; only the last is smaller: `for try await chunk in File.chunks(of: path)`.
    ///
    /// While the caller works on one piece, as many as are to be read ahead are on their way from the disk; what the
    /// page cache holds is read when it is asked for. The memory is so many pieces, and one. The file is opened when
    /// the first piece is asked for, and closed with the iterator. What has no positions comes as it comes.
    public static func chunks(
        of path: some PathConvertible, size: Int = 1 << 18, readAhead: Int = 2, on loop: EventLoop? = nil
    ) -> FileChunks {
        FileChunks(size: max(size, 1), readAhead: max(readAhead, 0)) { .path(FilePlace.OpenedOnce(path, loop)) }
    }

    /// The pieces from an offset on. As ``chunks(of:size:readAhead:on:)``; the position is left alone, unless the file
    /// has none.
    public func chunks(from offset: Int64 = 0, size: Int = 1 << 18, readAhead: Int = 2) -> FileChunks {
        FileChunks(offset: max(offset, 0), size: max(size, 1), readAhead: max(readAhead, 0)) { .open(self) }
    }
}

/// The pieces of a file: see ``File/chunks(of:size:readAhead:on:)``.
public struct FileChunks: AsyncSequence, Sendable {
    var offset: Int64 = 0
    let size: Int
    let readAhead: Int
    let place: @Sendable () -> FilePlace

    /// An iterator, which opens the file when it is asked first.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(sequence: self, place: place(), offset: offset)
    }

    /// Goes through the pieces of a file.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let sequence: FileChunks
        let place: FilePlace
        /// Where the next piece begins.
        var offset: Int64
        private var ahead = ReadAhead()

        init(sequence: FileChunks, place: FilePlace, offset: Int64) {
            self.sequence = sequence
            self.place = place
            self.offset = offset
        }

        /// The next piece; nil at the end. Throws what opening and reading throw, and `CancellationError`; the same
        /// piece is read again then, when the next one is asked for.
        public mutating func next() async throws -> [UInt8]? {
            try await FileLane.enter()
            let file = try await place.file()
            guard file.hasPositions else { return try await file.read(upTo: sequence.size) }
            let piece: File.Piece
            if let task = ahead.takeFirst() {
                do {
                    piece = try await task.value
                } catch {
                    // What was read behind it does not follow here: it is asked for once more.
                    ahead = ReadAhead()
                    // Given up by closing the file, which the next read says.
                    guard error is CancellationError, !Task.isCancelled else { throw error }
                    piece = try await file.readPiece(sequence.size, at: offset)
                }
                ahead.fill(sequence, file, from: offset)
            } else {
                piece = try await file.readPiece(sequence.size, at: offset)
                // As long as the cache has it all, there is nothing to wait for.
                if !piece.wasCached { ahead.fill(sequence, file, from: offset) }
            }
            offset += Int64(piece.bytes.count)
            // Smaller: what was read ahead is not what follows.
            if piece.bytes.count < sequence.size { ahead = ReadAhead() }
            return piece.bytes.isEmpty ? nil : piece.bytes
        }

        /// The next piece; nil at the end.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws -> [UInt8]? {
            try await next()
        }
    }
}

/// What is read ahead of a file, and by now may be needed by nobody: see ``File/close()``.
struct ReadsAhead {
    var next = 0
    var tasks: [Int: Task<File.Piece, any Error>] = [:]
}

/// Pieces that are being read before anybody has asked for them. Cancelled with the iterator.
private final class ReadAhead {
    private var tasks: [Task<File.Piece, any Error>] = []

    deinit { for task in tasks { task.cancel() } }

    func takeFirst() -> Task<File.Piece, any Error>? { tasks.isEmpty ? nil : tasks.removeFirst() }

    /// Starts what is missing behind the piece at an offset, which was asked for last.
    func fill(_ sequence: FileChunks, _ file: File, from offset: Int64) {
        while tasks.count < sequence.readAhead {
            let place = offset.addingReportingOverflow(Int64(sequence.size * (tasks.count + 1)))
            guard !place.overflow else { return }
            tasks.append(file.readAhead(sequence.size, at: place.partialValue))
        }
    }
}

extension File {
    /// So many bytes, or all up to the end.
    struct Piece: Sendable {
        let bytes: [UInt8]
        /// Whether nobody had to be waited for.
        let wasCached: Bool
    }

    /// Begins to read a piece. The file knows of it until it has ended, also if nobody waits for it.
    func readAhead(_ count: Int, at offset: Int64) -> Task<Piece, any Error> {
        readsAhead.withLock { reads in
            let number = reads.next
            reads.next += 1
            let task = Task(name: "read ahead of \(path)", executorPreference: loop) {
                defer { self.readsAhead.withLock { $0.tasks[number] = nil } }
                return try await self.readPiece(count, at: offset)
            }
            reads.tasks[number] = task
            return task
        }
    }

    /// Ends what is read ahead: nobody has asked for it.
    func stopReadingAhead() async {
        let tasks = readsAhead.withLock { $0.tasks }.sorted { $0.key < $1.key }.map(\.value)
        for task in tasks { task.cancel() }
        for task in tasks { _ = await task.result }
    }

    /// Reads exactly so many bytes, or up to the end.
    func readPiece(_ count: Int, at offset: Int64) async throws -> Piece {
        var wasCached = true
        var bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { _, filled in filled = count }
        // The array is this frame's alone, and is not touched until all calls have ended.
        let memory = unsafe bytes.withUnsafeMutableBytes { unsafe $0 }
        var filled = 0
        while filled < count {
            let (place, overflow) = offset.addingReportingOverflow(Int64(filled))
            if overflow { break }
            let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[filled...])
            var span = unsafe OutputRawSpan(buffer: rest, initializedCount: 0)
            let read = try await readPart(into: &span, at: place, &wasCached)
            if read == 0 { break }
            filled += read
        }
        bytes.removeLast(count - filled)
        return Piece(bytes: filled == count ? bytes : Self.trimmed(bytes), wasCached: wasCached)
    }
}
