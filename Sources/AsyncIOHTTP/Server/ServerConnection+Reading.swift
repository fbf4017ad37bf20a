#if HTTP
import AsyncIO
import AsyncIOLoop
import HTTPTypes

extension ServerConnection {
    /// What came next from the client: nil at the end, and nothing if another task has read meanwhile, and has fed the
    /// parser.
    func readBytes() async throws -> [UInt8]? {
        if let ahead {
            await withTaskCancellationHandler {
                await ahead.value
            } onCancel: {
                ahead.cancel()
            }
            try Task.checkCancellation()
            return try endOfRead() ?? []
        }
        if let ended = try endOfRead() { return ended.isEmpty ? nil : ended }
        isReading = true
        defer { isReading = false }
        let bytes = try await stream.read(upTo: Self.readSize)
        if bytes == nil { peerHasFinished = true }
        return bytes
    }

    /// Nothing, as an array, if the client sends nothing more; nil if it may.
    private func endOfRead() throws -> [UInt8]? {
        if let aheadFailure { throw aheadFailure }
        return peerHasFinished ? [] : nil
    }

    // MARK: Bodies

    /// What comes next of the request's body; nil at its end.
    func nextBodyBytes() async throws -> [UInt8]? {
        while !exchange.bodyIsComplete {
            switch try parser.next() {
            case .body(let bytes): return bytes
            case .end:
                exchange.bodyIsComplete = true
                return nil
            case .head, .needsBytes: break
            }
            try await bidContinue()
            limitReading(
                .body, to: min(site.limits.bodyIdleTimeout, site.loop.now.duration(to: exchange.bodyEnds)))
            defer { limit.reading = .none }
            do {
                guard let bytes = try await readBytes() else {
                    try parser.finish()
                    return nil
                }
                parser.feed(bytes)
            } catch {
                if limit.hasExpired { throw HTTPError(.requestTimeout, "the body did not come") }
                if !(error is CancellationError) { exchange.readFailed = true }
                throw error
            }
        }
        return nil
    }

    /// Tells the client to send its body, if it waits for that (RFC 9110 section 10.1.1).
    private func bidContinue() async throws {
        guard exchange.expectsContinue else { return }
        try Task.checkCancellation()
        exchange.expectsContinue = false
        let hasSentSome = exchange.hasSentSome
        guard !exchange.responseHasBegun || !hasSentSome else { return }
        // Ahead of the response's head, which may stand in the output already.
        let bid = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)
        let sent = try writeNow(bid)
        if sent < bid.count { try await write(bid, from: sent) }
        exchange.hasSentSome = hasSentSome
    }
}

/// The body of a request, as it comes over its connection.
final class RequestBody: IncomingBody, @unchecked Sendable {
    private let connection: ServerConnection
    /// Of the request. Those that follow it have bodies of their own.
    private let number: Int
    private var isBeingRead = false
    private let trailers = Locked<HTTPFields?>(nil)

    init(_ connection: ServerConnection, number: Int) {
        self.connection = connection
        self.number = number
    }

    func next() async throws -> [UInt8]? {
        let loop = connection.site.loop
        if loop.isCurrent { return try await nextHere() }
        // The connection lives on its loop.
        let visit = Task(name: "body", executorPreference: loop) { try await self.nextHere() }
        return try await withTaskCancellationHandler {
            try await visit.value
        } onCancel: {
            visit.cancel()
        }
    }

    private func nextHere() async throws -> [UInt8]? {
        guard !isBeingRead else {
            throw IOError(
                .resourceBusy, operation: "read", subject: "request body", detail: "another task reads this body")
        }
        guard connection.requests == number, !connection.limit.isOver else {
            throw IOError(
                .canceled, operation: "read", subject: "request body",
                detail: "the request has been answered; read its body before that")
        }
        isBeingRead = true
        defer { isBeingRead = false }
        let bytes = try await connection.nextBodyBytes()
        if bytes == nil {
            let fields = connection.parser.trailerFields
            trailers.withLock { $0 = fields }
        }
        return bytes
    }

    var trailerFields: HTTPFields? { trailers.withLock { $0 } }
}
#endif
