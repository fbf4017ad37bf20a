import AsyncIOKernel
public import AsyncIOLoop

extension File {
    /// The lines of a text file: `for try await line in File.lines(of: "notes.txt")`.
    ///
    /// UTF-8, without their ends (`\n` or `\r\n`); bytes that are no text are replaced by U+FFFD, unless they are to be
    /// an error. The file is opened when the first line is asked for, and closed with the iterator. A line that is
    /// longer than the limit, in bytes, is an error that loses nothing: ``FileLines/AsyncIterator/next(limit:)`` takes
    /// it up again with a higher one.
    public static func lines(
        of path: some PathConvertible, limit: Int = 1 << 20, invalid: InvalidText = .replace, on loop: EventLoop? = nil
    ) -> FileLines {
        FileLines(limit: limit, invalid: invalid) { .path(FilePlace.OpenedOnce(path, loop)) }
    }

    /// The lines from the position on, which moves ahead of them by up to 64 KiB. As ``lines(of:limit:invalid:on:)``.
    public func lines(limit: Int = 1 << 20, invalid: InvalidText = .replace) -> FileLines {
        FileLines(limit: limit, invalid: invalid) { .open(self) }
    }
}

/// The lines of a file: see ``File/lines(of:limit:invalid:on:)``.
public struct FileLines: AsyncSequence, Sendable {
    let limit: Int
    let invalid: InvalidText
    let place: @Sendable () -> FilePlace

    /// An iterator, which opens the file when it is asked first.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(limit: limit, invalid: invalid, reader: BufferedReader(FileStream(place())))
    }

    /// Goes through the lines of a file.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let limit: Int
        let invalid: InvalidText
        let reader: BufferedReader<FileStream>

        /// The next line; nil at the end. Throws what opening and reading throw, and an error for a line beyond the
        /// limit; see ``BufferedReader/readLine(limit:invalid:)``.
        public func next() async throws -> String? { try await next(limit: limit) }

        /// The next line, with a limit of its own.
        public func next(limit: Int) async throws -> String? {
            try await reader.readLine(limit: limit, invalid: invalid)
        }

        /// The next line; nil at the end.
        public func next(isolation actor: isolated (any Actor)?) async throws -> String? { try await next() }
    }
}
