#if HTTP
import AsyncIO
import AsyncIOLoop
import HTTPTypes
import SystemPackage

/// Sends the body of a response while it is made: in chunks (RFC 9112 section 7.1), as long as promised, or until the
/// connection's end. Small pieces are kept until they are worth a packet.
///
/// Touched on the connection's loop alone; a producer elsewhere comes over for each piece.
@safe
final class ResponseWriter: HTTPBodyWriter, @unchecked Sendable {
    private let connection: ServerConnection
    private let framing: ResponseFraming
    /// What is still promised.
    private var left: Int
    private var pending: [UInt8] = []
    private var isWriting = false
    /// The response has ended.
    var isOver = false
    /// The client takes nothing more.
    private(set) var hasFailed = false
    /// A write was given up in the middle: nobody knows where the next byte would belong.
    private(set) var isBroken = false
    private let trailers = Locked(HTTPFields())

    /// From this size on, what is kept together is sent.
    private static let chunkSize = 16 << 10

    init(_ connection: ServerConnection, _ framing: ResponseFraming) {
        self.connection = connection
        self.framing = framing
        if case .length(let length) = framing { left = length } else { left = .max }
    }

    var trailerFields: HTTPFields {
        get { trailers.withLock { $0 } }
        set { trailers.withLock { $0 = newValue } }
    }

    // MARK: HTTPBodyWriter

    func write(_ bytes: [UInt8]) async throws {
        try await onLoop { try await $0.add(bytes) }
    }

    func write(_ file: File, range: Range<Int64>) async throws {
        try await onLoop { try await $0.add(file, range) }
    }

    func flush() async throws {
        try await onLoop { try await $0.sendPending() }
    }

    /// The body has been made: sends what is left, and the end.
    func end() async throws {
        try await onLoop { try await $0.finish() }
        isOver = true
    }

    private func onLoop(_ work: @escaping @Sendable (ResponseWriter) async throws -> Void) async throws {
        let loop = connection.site.loop
        if loop.isCurrent { return try await alone(work) }
        let visit = Task(name: "response body", executorPreference: loop) { try await self.alone(work) }
        try await withTaskCancellationHandler {
            try await visit.value
        } onCancel: {
            visit.cancel()
        }
    }

    private func alone(_ work: (ResponseWriter) async throws -> Void) async throws {
        guard !isWriting else {
            throw IOError(
                .resourceBusy, operation: "write", subject: "response body", detail: "another task writes this body")
        }
        guard !isOver else {
            throw IOError(
                .badFileDescriptor, operation: "write", subject: "response body", detail: "the response has ended")
        }
        guard !isBroken else {
            hasFailed = true
            throw IOError(
                .brokenPipe, operation: "write", subject: "response body",
                detail: "an earlier write of this body has failed or was cancelled in the middle")
        }
        try Task.checkCancellation()
        isWriting = true
        defer { isWriting = false }
        do { try await work(self) } catch {
            hasFailed = hasFailed || error is IOError
            // What is not as long as promised is found before anything is done.
            isBroken = !(error is HTTPError)
            throw error
        }
    }

    // MARK: Steps, on the loop

    private func add(_ bytes: [UInt8]) async throws {
        try take(bytes.count)
        if pending.count + bytes.count < Self.chunkSize {
            pending += bytes
        } else {
            try await send(pending.isEmpty ? bytes : pending + bytes)
            pending.removeAll(keepingCapacity: true)
        }
    }

    private func add(_ file: File, _ range: Range<Int64>) async throws {
        try take(Int(clamping: range.upperBound - range.lowerBound))
        try await sendPending()
        guard !range.isEmpty else { return }
        let isChunked = framing == .chunked
        if isChunked {
            connection.putHexadecimal(Int(range.upperBound - range.lowerBound))
            connection.put("\r\n")
        }
        try await connection.flush()
        try await connection.sendPieces(of: file, range)
        if isChunked { connection.put("\r\n") }
    }

    private func take(_ count: Int) throws {
        guard count <= left else {
            throw HTTPError(.internalServerError, "the body is longer than promised: \(count - left) bytes more")
        }
        left -= count
    }

    private func sendPending() async throws {
        let bytes = pending
        pending = []
        try await send(bytes)
        try await connection.flush()
    }

    private func send(_ bytes: [UInt8]) async throws {
        guard !bytes.isEmpty else { return }
        let isChunked = framing == .chunked
        if isChunked {
            connection.putHexadecimal(bytes.count)
            connection.put("\r\n")
        }
        if bytes.count <= ServerConnection.joinedSize {
            connection.output += bytes
        } else {
            try await connection.flush()
            try await connection.write(bytes)
        }
        if isChunked { connection.put("\r\n") }
        connection.exchange.sent += bytes.count
        if connection.output.count > 2 { try await connection.flush() }
    }

    private func finish() async throws {
        if case .length = framing, left > 0 {
            throw HTTPError(.internalServerError, "the body is shorter than promised: \(left) bytes less")
        }
        let bytes = pending
        pending = []
        if !bytes.isEmpty {
            if framing == .chunked {
                connection.putHexadecimal(bytes.count)
                connection.put("\r\n")
            }
            connection.output += bytes
            if framing == .chunked { connection.put("\r\n") }
            connection.exchange.sent += bytes.count
        }
        if framing == .chunked {
            connection.put("0\r\n")
            for field in trailerFields { connection.put(field) }
            connection.put("\r\n")
        }
        try await connection.flush()
    }
}
#endif
