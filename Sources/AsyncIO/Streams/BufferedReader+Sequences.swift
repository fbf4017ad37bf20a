extension BufferedReader {
    /// The lines of UTF-8 text, up to the end of the data: `for try await line in reader.lines`.
    ///
    /// As ``readLine(limit:invalid:)``, with its defaults. A loop that was left can be taken up again.
    public var lines: Lines { lines(limit: 65_536) }

    /// The lines of UTF-8 text, with a limit in bytes for each, and a choice of what becomes of bytes that are no text.
    public func lines(limit: Int, invalid: InvalidText = .replace) -> Lines {
        Lines(reader: self, limit: limit, invalid: invalid)
    }

    /// The bytes as they come, up to the end of the data: `for try await chunk in reader.chunks`.
    public var chunks: Chunks { Chunks(reader: self) }

    /// The lines of a reader.
    public struct Lines: AsyncSequence {
        let reader: BufferedReader
        let limit: Int
        let invalid: InvalidText

        /// Takes lines. Several iterators of a reader share its lines among them.
        public struct AsyncIterator: AsyncIteratorProtocol {
            let sequence: Lines

            /// See ``BufferedReader/readLine(limit:invalid:)``.
            public func next() async throws -> String? {
                try await sequence.reader.readLine(limit: sequence.limit, invalid: sequence.invalid)
            }

            /// See ``BufferedReader/readLine(limit:invalid:)``.
            public func next(isolation actor: isolated (any Actor)?) async throws -> String? {
                try await sequence.reader.readLine(limit: sequence.limit, invalid: sequence.invalid)
            }
        }

        /// An iterator that takes lines.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(sequence: self) }
    }

    /// The bytes of a reader, as they come.
    public struct Chunks: AsyncSequence {
        let reader: BufferedReader

        /// Takes what is there.
        public struct AsyncIterator: AsyncIteratorProtocol {
            let reader: BufferedReader

            /// See ``BufferedReader/read(upTo:)``.
            public func next() async throws -> [UInt8]? { try await reader.read(upTo: reader.readSize) }

            /// See ``BufferedReader/read(upTo:)``.
            public func next(isolation actor: isolated (any Actor)?) async throws -> [UInt8]? {
                try await reader.read(upTo: reader.readSize)
            }
        }

        /// An iterator that takes what is there.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(reader: reader) }
    }
}
