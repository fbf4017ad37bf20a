/// A stream of messages instead of bytes: `for try await frame in framed`, and `send(frame)`.
///
/// ```swift
/// let framed = FramedStream(connection, LengthPrefixFraming(width: 4))
/// for try await request in framed { try await framed.send(answer(to: request)) }
/// ```
///
/// One task receives: the stream is not `Sendable`, so that the compiler sees to that. Any number of tasks may send,
/// through the ``sender``, which is. Messages arrive whole, in the order in which they were sent.
public final class FramedStream<Stream: ByteStream, Decoder: FrameDecoder, Encoder: FrameEncoder> {
    /// Where the bytes come from and go to.
    public var stream: Stream { reader.stream }
    /// What takes the frames out of the bytes that have come.
    public let reader: BufferedReader<Stream>
    /// The half that sends, for other tasks.
    public let sender: FrameSender<Stream, Encoder>
    private var decoder: Decoder

    /// Brings a stream together with the two directions of a framing.
    public init(_ stream: Stream, decoder: Decoder, encoder: Encoder, highWater: Int = 65_536) {
        reader = BufferedReader(stream)
        sender = FrameSender(BufferedWriter(stream, highWater: highWater), encoder)
        self.decoder = decoder
    }

    /// Brings a stream together with a framing.
    public convenience init(_ stream: Stream, _ framing: Decoder, highWater: Int = 65_536) where Decoder == Encoder {
        self.init(stream, decoder: framing, encoder: framing, highWater: highWater)
    }

    /// Receives the next frame; nil at the end of the data.
    ///
    /// If it is cancelled, nothing is lost. Throws what the decoder and the stream throw, ``TooLongError`` for a frame
    /// above the decoder's limit, and ``UnexpectedEndError`` if the data ends in the middle of one. After an error of
    /// the framing the stream is only good for closing.
    public func receive() async throws -> Decoder.Frame? {
        try await reader.frame(using: &decoder)
    }

    /// Sends a frame. See ``FrameSender/send(_:)``.
    public func send(_ frame: Encoder.Frame) async throws { try await sender.send(frame) }

    /// Sends everything, and tells the peer then that nothing more will come. See ``BufferedWriter/closeWriting()``.
    public func closeWriting() async throws { try await sender.writer.closeWriting() }

    /// Sends everything, and closes the stream then. See ``BufferedWriter/close()``.
    public func close() async throws { try await sender.writer.close() }
}

extension FramedStream: AsyncSequence {
    /// Receives frames. Several iterators of a stream share its frames among them.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let framed: FramedStream

        /// See ``FramedStream/receive()``.
        public func next() async throws -> Decoder.Frame? { try await framed.receive() }

        /// See ``FramedStream/receive()``.
        public func next(isolation actor: isolated (any Actor)?) async throws -> Decoder.Frame? {
            try await framed.receive()
        }
    }

    /// An iterator that receives.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(framed: self) }
}

/// The half of a ``FramedStream`` that sends. From any number of tasks, on any thread.
public final class FrameSender<Stream: ByteStream, Encoder: FrameEncoder>: Sendable {
    /// What collects the frames.
    public let writer: BufferedWriter<Stream>
    private let encoder: Encoder

    /// Encodes frames into a writer.
    public init(_ writer: BufferedWriter<Stream>, _ encoder: Encoder) {
        self.writer = writer
        self.encoder = encoder
    }

    /// Sends a frame, and suspends while the writer is full: see ``BufferedWriter/write(_:)-(RawSpan)``. Throws what the
    /// encoder throws; nothing is sent then.
    public func send(_ frame: Encoder.Frame) async throws {
        var bytes: [UInt8] = []
        try encoder.encode(frame, into: &bytes)
        try await writer.write(bytes)
    }

    /// Sends a frame if there is room for it now. See ``BufferedWriter/tryWrite(_:)``.
    public func trySend(_ frame: Encoder.Frame) throws -> Bool {
        var bytes: [UInt8] = []
        try encoder.encode(frame, into: &bytes)
        return try writer.tryWrite(bytes)
    }
}

extension BufferedReader {
    /// Reads the next frame; nil at the end of the data. As ``FramedStream/receive()``.
    ///
    /// The decoder takes no more bytes than its frames have: whoever reads on finds what comes after them.
    public func frame<Decoder: FrameDecoder>(using decoder: inout Decoder) async throws -> Decoder.Frame? {
        try await Visit.enter()
        while true {
            if let frame = try decoder.next(in: &received) { return frame }
            guard try await fill() else { return try decoder.decodeLast(&received) }
        }
    }

    /// The frames, up to the end of the data: `for try await frame in reader.frames(using: decoder)`.
    public func frames<Decoder: FrameDecoder>(using decoder: Decoder) -> Frames<Decoder> {
        Frames(reader: self, decoder: decoder)
    }

    /// The frames of a reader.
    public struct Frames<Decoder: FrameDecoder>: AsyncSequence {
        let reader: BufferedReader
        let decoder: Decoder

        /// Reads frames, each iterator with a decoder of its own.
        public struct AsyncIterator: AsyncIteratorProtocol {
            let reader: BufferedReader
            var decoder: Decoder

            /// See ``BufferedReader/frame(using:)``.
            public mutating func next() async throws -> Decoder.Frame? { try await reader.frame(using: &decoder) }

            /// See ``BufferedReader/frame(using:)``.
            public mutating func next(isolation actor: isolated (any Actor)?) async throws -> Decoder.Frame? {
                try await reader.frame(using: &decoder)
            }
        }

        /// An iterator that reads frames.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(reader: reader, decoder: decoder) }
    }
}
