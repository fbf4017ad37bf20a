#if HTTP
import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import HTTPTypes

/// A request to be carried out, with all that was decided about it.
struct PlannedRequest: Sendable {
    let request: HTTPClient.Request
    var head: RequestHead
    let timeouts: HTTPClient.Timeouts
    let limits: HTTPLimits
    /// When all of it has to be over.
    let deadline: Instant?
    /// Where the connections are.
    let loop: EventLoop
}

/// One request and its response on one connection. As the response's body, it is read by whoever has asked.
///
/// It owns the connection from the first byte of the request to the last of the response. Then the connection goes back
/// to its pool, if both sides have said everything and nothing more. Whatever else happens, be it that somebody lets go
/// of the body, breaks it off.
final class Exchange: IncomingBody {
    private struct State {
        /// Taken out by the one task that reads.
        var reader: ResponseReader?
        var keepsAlive = false
        var trailers: HTTPFields?
        /// What has ended it; nil once it has ended well.
        var failure: (any Error)?
        var isOver = false
    }

    let plan: PlannedRequest
    let connection: ClientConnection
    let pool: ConnectionPool
    let sender: RequestSender
    private let meter: ProgressMeter
    private let state: Locked<State>

    init(_ plan: PlannedRequest, on connection: ClientConnection, of pool: ConnectionPool) {
        self.plan = plan
        self.connection = connection
        self.pool = pool
        meter = ProgressMeter(plan.request)
        sender = RequestSender(plan, on: connection.stream, meter)
        state = Locked(State(reader: ResponseReader(to: plan.request.method, limits: plan.limits)))
    }

    deinit { breakOff() }

    // MARK: The head

    /// Sends the request and reads the head of its response.
    ///
    /// Throws ``DeadConnection`` if the server closed the connection before it said a word. Whatever it throws, the
    /// connection is broken off.
    func begin() async throws -> ResponseHead {
        do {
            try await sender.start(on: plan.loop)
            return try await readHead()
        } catch {
            let cause = sender.ownFailure ?? error
            end(with: told(cause))
            throw cause
        }
    }

    private func readHead() async throws -> ResponseHead {
        guard let reader = state.withLock({ $0.reader.take() }) else { throw Self.isRead }
        defer { state.withLock { $0.reader = reader } }
        let phase = Locked(HTTPClient.Phase.response)
        var headDeadline: Instant?
        var hasHeard = false
        do {
            return try await withDeadline(.distantFuture) { deadline in
                let patience = plan.timeouts.response
                func waitForResponse() {
                    sender.whenFinished {
                        if let patience, phase.withLock({ $0 == .response }) { deadline.reschedule(in: patience) }
                    }
                }
                waitForResponse()
                var informational = 0
                while true {
                    if let event = try reader.next() {
                        guard case .head(let head) = event else { continue }
                        guard head.status.kind == .informational, head.status != .switchingProtocols else {
                            return try final(head)
                        }
                        informational += 1
                        guard informational <= Self.informationalLimit else { throw Self.tooMuchInformation }
                        if head.status == .continue { sender.permit() }
                        // The response that counts has its own time, from now or from the request's end on.
                        headDeadline = nil
                        phase.withLock { $0 = .response }
                        deadline.reschedule(to: .distantFuture)
                        waitForResponse()
                        continue
                    }
                    let bytes = try await read(isFirst: !hasHeard)
                    hasHeard = true
                    let last = headDeadline ?? EventLoop.ambient.now.advanced(by: plan.limits.headTimeout)
                    headDeadline = last
                    phase.withLock { $0 = .idle }
                    deadline.reschedule(to: last)
                    if let bytes { reader.feed(bytes) } else { try reader.finish() }
                }
            }
        } catch is TimeoutError {
            let phase = phase.withLock { $0 }
            throw PhaseTimeout(
                phase: phase, limit: phase == .response ? plan.timeouts.response : plan.limits.headTimeout)
        }
    }

    private static let informationalLimit = 64
    private static let tooMuchInformation = HTTPError(
        .badGateway, "more than \(informationalLimit) responses with 1xx, and none that counts")
    static let isRead = IOError(.resourceBusy, operation: "read", subject: "body", detail: "another task reads it")

    private func final(_ head: ResponseHead) throws -> ResponseHead {
        guard head.status != .switchingProtocols || plan.head.upgrade != nil else {
            throw HTTPError(.badGateway, "the server goes on with a protocol that nobody has asked for")
        }
        sender.refuse()
        state.withLock { $0.keepsAlive = head.keepsAlive && !plan.head.asksForClose }
        if case .known(let length) = head.length { meter.change { $0.receivedTotal = length } }
        return head
    }

    /// Bytes of the connection; nil at its end.
    private func read(isFirst: Bool) async throws -> [UInt8]? {
        do {
            let bytes = try await connection.stream.read(upTo: Self.readSize)
            if bytes == nil, isFirst { throw DeadConnection(cause: nil) }
            return bytes
        } catch  where isFirst && !(error is CancellationError || error is DeadConnection) {
            throw DeadConnection(cause: error)
        }
    }

    private static let readSize = 64 << 10

    // MARK: The body

    var trailerFields: HTTPFields? { state.withLock { $0.trailers } }

    func next() async throws -> [UInt8]? {
        let (taken, failure, isOver) = state.withLock { ($0.reader.take(), $0.failure, $0.isOver) }
        guard let reader = taken else { throw Self.isRead }
        defer { state.withLock { $0.reader = reader } }
        if let failure { throw failure }
        if isOver { return nil }
        do {
            return try await piece(from: reader)
        } catch is CancellationError {
            // Nothing is lost: who reads again has it.
            throw CancellationError()
        } catch {
            let cause = told(sender.ownFailure ?? error)
            end(with: cause)
            throw cause
        }
    }

    private func piece(from reader: ResponseReader) async throws -> [UInt8]? {
        while true {
            switch try reader.next() {
            case .body(let bytes):
                meter.change { $0.received += bytes.count }
                return bytes
            case .end(let trailers):
                await finish(trailers, hasRest: !reader.takeRest().isEmpty)
                return nil
            case .head, .nothing: continue
            case nil:
                if let bytes = try await readPatiently() { reader.feed(bytes) } else { try reader.finish() }
            }
        }
    }

    private func readPatiently() async throws -> [UInt8]? {
        let left = plan.deadline.map { EventLoop.ambient.now.duration(to: $0) }
        let limits = [plan.timeouts.idle.map { ($0, HTTPClient.Phase.idle) }, left.map { ($0, .total) }]
        guard let (limit, phase) = limits.compactMap(\.self).min(by: { $0.0 < $1.0 }) else {
            return try await connection.stream.read(upTo: Self.readSize)
        }
        do {
            return try await withTimeout(limit) { try await connection.stream.read(upTo: Self.readSize) }
        } catch is TimeoutError {
            throw PhaseTimeout(phase: phase, limit: phase == .total ? plan.timeouts.total : limit)
        }
    }

    /// A response without a body needs no reader: its connection is free before anybody looks at it.
    func finishIfEmpty() async throws {
        guard let reader = state.withLock({ $0.reader.take() }) else { return }
        defer { state.withLock { $0.reader = reader } }
        if case .end(let trailers)? = try reader.next() {
            await finish(trailers, hasRest: !reader.takeRest().isEmpty)
        }
    }

    /// Reads the rest, if it is not much: then the connection can be used again. Otherwise breaks it off.
    func skip() async {
        var left = 32 << 10
        do {
            try await withTimeout(.seconds(1)) {
                while let piece = try await next() {
                    left -= piece.count
                    if left < 0 { return breakOff() }
                }
            }
        } catch {
            breakOff()
        }
    }

    // MARK: The end

    /// The response has been read to its end.
    private func finish(_ trailers: HTTPFields, hasRest: Bool) async {
        let hasSent = await sender.isDone()
        let mayStay = state.withLock { state in
            guard !state.isOver else { return nil as Bool? }
            state.isOver = true
            state.trailers = trailers
            return state.keepsAlive && !hasRest && hasSent
        }
        switch mayStay {
        case true?:
            connection.exchangeEnded()
            pool.putBack(connection)
        case false?:
            sender.cancel()
            if hasSent { connection.close() }
            pool.lose(connection)
        case nil: break
        }
    }

    func end(with error: any Error) {
        state.withLock { if !$0.isOver { $0.failure = error } }
        breakOff()
    }

    private func breakOff() {
        let isFirst = state.withLock { state in
            defer { state.isOver = true }
            return !state.isOver
        }
        guard isFirst else { return }
        sender.cancel()
        pool.lose(connection)
    }

    /// Gives the connection to somebody who goes on with another protocol, and the bytes that came for him.
    ///
    /// The response with 101 has no body: it has come to its end.
    func handOver() throws -> (stream: any ByteStream, rest: [UInt8]) {
        let reader = state.withLock { state in
            state.isOver = true
            return state.reader.take()
        }
        // It stops there: what follows is no message.
        _ = try reader?.next()
        return (connection.stream, reader?.takeRest() ?? [])
    }

    /// The error as whoever asked sees it.
    func told(_ error: any Error) -> any Error {
        guard let timeout = error as? PhaseTimeout else { return error }
        return HTTPClientError(timeout, subject: plan.request.subject)
    }
}

/// The server closed the connection before it said a word: on one that was used before, it had mostly done so before
/// the request came.
struct DeadConnection: Error {
    let cause: (any Error)?
}

extension HTTPClientError {
    init(_ timeout: PhaseTimeout, subject: String) {
        let limit = timeout.limit.map { " within \($0)" } ?? ""
        let detail =
            switch timeout.phase {
            case .queue: "no connection has become free\(limit): raise the pool's limits, or read responses to the end"
            case .connect: "not connected\(limit)"
            case .tls: "no agreement on encryption\(limit)"
            case .send: "the server has taken nothing of the request\(limit)"
            case .response: "no byte of the response\(limit) after the request was sent"
            case .idle: "no further byte of the response\(limit)"
            case .total: "not done\(limit)"
            }
        self.init(.timedOut(timeout.phase), subject: subject, detail: detail)
    }
}
#endif
