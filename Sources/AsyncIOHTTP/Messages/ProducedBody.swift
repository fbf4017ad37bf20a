#if HTTP
import AsyncIO
import HTTPTypes

/// Lets somebody read what a program makes: the maker runs in a task of its own, one piece ahead of its reader, and is
/// cancelled when the reader lets go.
final class ProducedBody: IncomingBody {
    private let pieces: Channel<[UInt8]>.Receiver
    private let writer: Writer
    private let maker: Task<Void, any Error>

    init(_ body: HTTPBody) {
        let (sender, receiver) = Channel<[UInt8]>.make(capacity: 1, name: "body")
        let writer = Writer(sender)
        pieces = receiver
        self.writer = writer
        maker = Task(name: "body") {
            defer { sender.finish() }
            try await body.write(to: writer)
        }
    }

    deinit { maker.cancel() }

    func next() async throws -> [UInt8]? {
        if let piece = try await pieces.next() { return piece }
        try await maker.value
        return nil
    }

    var trailerFields: HTTPFields? { writer.trailerFields }

    private final class Writer: HTTPBodyWriter {
        private let pieces: Channel<[UInt8]>.Sender
        private let trailers = Locked(HTTPFields())

        init(_ pieces: Channel<[UInt8]>.Sender) { self.pieces = pieces }

        var trailerFields: HTTPFields {
            get { trailers.withLock { $0 } }
            set { trailers.withLock { $0 = newValue } }
        }

        func write(_ bytes: [UInt8]) async throws {
            if !bytes.isEmpty { try await pieces.send(bytes) }
        }

        func flush() async throws {}
    }
}
#endif
