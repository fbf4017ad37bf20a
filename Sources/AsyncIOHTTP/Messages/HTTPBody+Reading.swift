#if HTTP
import AsyncIO

extension HTTPBody: AsyncSequence {
    /// Bytes that came together, at least one.
    public typealias Element = [UInt8]

    /// Reads a body piece by piece.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private enum Source {
            case pieces(any IncomingBody)
            case bytes([UInt8])
            case none
        }

        private var source: Source

        init(_ body: HTTPBody) {
            switch body.content {
            case .bytes(let bytes): source = bytes.isEmpty ? .none : .bytes(bytes)
            case .incoming(let incoming): source = .pieces(incoming)
            case .file, .produced: source = .pieces(ProducedBody(body))
            }
        }

        /// The bytes that come next; nil at the end, as often as asked.
        ///
        /// Suspends until there are some. A cancelled task gets `CancellationError`, and no byte is lost. Throws
        /// ``IOError`` if the peer has gone before its end, and ``HTTPError`` for what breaks the protocol's rules or a
        /// limit.
        public mutating func next() async throws -> [UInt8]? {
            switch source {
            case .none:
                return nil
            case .bytes(let bytes):
                source = .none
                return bytes
            case .pieces(let incoming):
                if let piece = try await incoming.next() { return piece }
                source = .none
                return nil
            }
        }
    }

    /// Reads from the beginning; what came from a peer, from where its reader has come to.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }

    /// All of its bytes.
    ///
    /// Throws ``HTTPError/contentTooLarge(limit:)`` as soon as there are more than the limit: before reading, where the
    /// length is known. As iterating otherwise.
    public func bytes(upTo limit: Int = 1 << 20) async throws -> [UInt8] {
        if let length, length > limit { throw HTTPError.contentTooLarge(limit: limit) }
        if case .bytes(let bytes) = content { return bytes }
        var all: [UInt8] = []
        for try await piece in self {
            guard piece.count <= limit - all.count else { throw HTTPError.contentTooLarge(limit: limit) }
            if all.isEmpty { all = piece } else { all += piece }
        }
        return all
    }

    /// All of it, as UTF-8. As ``bytes(upTo:)``; throws ``HTTPError`` (400) for bytes that are no UTF-8.
    public func text(upTo limit: Int = 1 << 20) async throws -> String {
        guard let text = String(validating: try await bytes(upTo: limit), as: UTF8.self) else {
            throw HTTPError(.badRequest, "the body is not UTF-8")
        }
        return text
    }
}
#endif
