#if HTTP
import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import HTTPTypes

/// Writes a request to its connection: the head together with the first bytes of the body, small pieces together,
/// large ones as they are.
final class RequestWriter: HTTPBodyWriter {
    private struct State {
        /// What has not been written yet: the head at first.
        var pending: [UInt8]
        /// How many bytes of the body are still promised; nil in chunks.
        var remaining: Int?
        var sent = 0
        var trailers = HTTPFields()
        /// The last bytes have gone to the stream, or are on their way.
        var isEnding = false
        /// What the stream said, and not whoever makes the body.
        var failure: (any Error)?
    }

    /// Small pieces are kept together up to this size, and large ones handed over in pieces of the other: what the
    /// peer takes within a timeout.
    private static let gatheredSize = 16 << 10
    private static let pieceSize = 64 << 10

    private let stream: any ByteStream
    private let framing: BodyFraming
    private let limit: Duration?
    private let subject: String
    private let meter: ProgressMeter
    private let state: Locked<State>

    init(_ stream: any ByteStream, _ plan: PlannedRequest, _ meter: ProgressMeter) {
        self.stream = stream
        self.meter = meter
        framing = plan.head.framing
        limit = plan.timeouts.send
        subject = plan.request.subject
        let remaining: Int?
        switch framing {
        case .none: remaining = 0
        case .length(let length): remaining = length
        case .chunked: remaining = nil
        }
        state = Locked(State(pending: plan.head.bytes, remaining: remaining))
    }

    /// Whether nothing more has to be made: only the peer may still have to take it.
    var isEnding: Bool { state.withLock { $0.isEnding } }
    /// What the stream said when it did not take the bytes.
    var failure: (any Error)? { state.withLock { $0.failure } }

    var trailerFields: HTTPFields {
        get { state.withLock { $0.trailers } }
        set { state.withLock { $0.trailers = newValue } }
    }

    func write(_ bytes: [UInt8]) async throws {
        if bytes.isEmpty { return }
        try promise(bytes.count)
        if framing == .chunked { append(Array("\(String(bytes.count, radix: 16))\r\n".utf8)) }
        if bytes.count < Self.gatheredSize {
            append(bytes)
            count(bytes.count)
        } else {
            try await flush()
            for start in stride(from: 0, to: bytes.count, by: Self.pieceSize) {
                let piece = bytes.count <= Self.pieceSize ? bytes : Array(bytes[start...].prefix(Self.pieceSize))
                try await hand(piece)
                count(piece.count)
            }
        }
        if framing == .chunked { append([0x0d, 0x0a]) }
        if state.withLock({ $0.pending.count }) >= Self.gatheredSize { try await flush() }
    }

    /// By the kernel, where the length is known and the stream lets it.
    func write(_ file: File, range: Range<Int64>) async throws {
        guard framing != .chunked, !range.isEmpty else {
            return try await writePieces(of: file, range)
        }
        try promise(Int(clamping: range.upperBound - range.lowerBound))
        try await flush()
        var position = range.lowerBound
        while position < range.upperBound {
            let count = Int(clamping: min(range.upperBound - position, Int64(Self.pieceSize)))
            let start = position
            try await hand { stream in _ = try await stream.sendFile(file, from: start, count: count) }
            self.count(count)
            position += Int64(count)
        }
    }

    private func writePieces(of file: File, _ range: Range<Int64>) async throws {
        var position = range.lowerBound
        while position < range.upperBound {
            let wanted = Int(clamping: min(range.upperBound - position, Int64(Self.pieceSize)))
            guard let piece = try await file.read(upTo: wanted, at: position), !piece.isEmpty else {
                throw IOError(
                    .noData, operation: "send file", subject: "\(file.path)",
                    detail: "the file ended at \(position), \(range.upperBound) was promised")
            }
            try await write(piece)
            position += Int64(piece.count)
        }
    }

    func flush() async throws {
        let bytes = state.withLock { state in
            defer { state.pending = [] }
            return state.pending
        }
        if !bytes.isEmpty { try await hand(bytes) }
    }

    /// Tells the end of the body, and writes what is left. Throws if more was promised.
    func finish() async throws {
        let end = try state.withLock { state in
            if let remaining = state.remaining {
                guard remaining == 0 else {
                    throw broken("the body ended \(remaining) bytes before the length that was promised")
                }
                state.isEnding = true
                return [UInt8]()
            }
            state.isEnding = true
            var end = Array("0\r\n".utf8)
            for field in state.trailers where Self.mayTrail(field.name) { RequestHead.append(field, to: &end) }
            return end + [0x0d, 0x0a]
        }
        append(end)
        try await flush()
    }

    /// What decides where a message ends, or where it goes, has no place behind its body (RFC 9110 section 6.5.1).
    private static func mayTrail(_ name: HTTPField.Name) -> Bool {
        !["content-length", "transfer-encoding", "host", "authorization", "cookie", "content-encoding", "content-type"]
            .contains(name.canonicalName)
    }

    private func append(_ bytes: [UInt8]) { state.withLock { $0.pending += bytes } }

    /// Takes bytes off those that are promised. Throws if there are not so many.
    private func promise(_ count: Int) throws {
        try state.withLock { state in
            guard let remaining = state.remaining else { return }
            guard count <= remaining else {
                throw broken("more bytes are written than the \(state.sent + remaining) that were promised")
            }
            state.remaining = remaining - count
        }
    }

    private func count(_ bytes: Int) {
        state.withLock { $0.sent += bytes }
        meter.change { $0.sent += bytes }
    }

    private func hand(_ bytes: [UInt8]) async throws {
        try await hand { stream in try await stream.write(bytes) }
    }

    private func hand(_ write: (any ByteStream) async throws -> Void) async throws {
        do {
            if let limit {
                try await withTimeout(limit) { try await write(stream) }
            } else {
                try await write(stream)
            }
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            let failure = error is TimeoutError ? PhaseTimeout(phase: .send, limit: limit) : error
            state.withLock { $0.failure = failure }
            throw failure
        }
    }

    private func broken(_ detail: String) -> HTTPClientError {
        HTTPClientError(.invalidRequest, subject: subject, detail: detail)
    }
}
#endif
