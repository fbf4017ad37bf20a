#if HTTP
import AsyncIO
import AsyncIOLoop
import HTTPTypes

/// One connection of a server: one request after the other, in one task.
///
/// ```
/// receive a head ──▶ the handler ──▶ the response ──▶ what is left of the request's body ──▶ receive …
///      │                                                                                  │
///      └─ refused: one response, and the end                     to be closed: the end ───┘
/// ```
///
/// Touched on the loop's thread alone: by the connection's task, by timers, and by ``lookAfterClient()``.
@safe
final class ServerConnection: @unchecked Sendable {
    let site: ServerSite
    let stream: any ByteStream
    let information: HTTPServer.Connection
    let parser: HTTPParser
    /// Where the site keeps it.
    @safe @exclusivity(unchecked) var place = 0
    @safe @exclusivity(unchecked) var workPlace = 0
    /// A handler answers, or its response is sent.
    @safe @exclusivity(unchecked) var isAtWork = false

    /// Bytes that wait to be sent together.
    @safe @exclusivity(unchecked) var output: [UInt8] = []
    @safe @exclusivity(unchecked) var exchange = ExchangeState()
    /// How many requests have come.
    @safe @exclusivity(unchecked) var requests = 0
    /// No request shall follow.
    @safe @exclusivity(unchecked) var isLast = false
    /// The peer sends nothing more.
    @safe @exclusivity(unchecked) var peerHasFinished = false
    /// A task reads for the connection's own, which does something else.
    @safe @exclusivity(unchecked) var ahead: Task<Void, Never>?
    @safe @exclusivity(unchecked) var aheadFailure: (any Error)?
    @safe @exclusivity(unchecked) var isReading = false
    /// A write has failed, or was cancelled in the middle: nothing can be sent behind it.
    @safe @exclusivity(unchecked) var isBroken = false
    @safe @exclusivity(unchecked) var watch = ClientWatch()
    @safe @exclusivity(unchecked) var limit = ConnectionLimits()
    /// The connection's own task. Valid from its begin to its end, which is that of ``serve(_:_:at:)``.
    @exclusivity(unchecked) var task: UnsafeCurrentTask?

    /// What is known of the request that is being answered.
    struct ExchangeState {
        /// Whether all of the request's body has been read.
        var bodyIsComplete = true
        /// The client waits for a word before it sends the body.
        var expectsContinue = false
        /// Something of the response's head has been sent, or stands in the output.
        var responseHasBegun = false
        var version = HTTPVersion.http1_1
        /// Something of the response has left, so that it cannot become another one.
        var hasSentSome = false
        /// How many bytes of the response's body have been sent.
        var sent = 0
        /// Reading the body has failed, and so has the connection.
        var readFailed = false
        /// What the answer carries besides what it says itself; nil for nothing.
        var marks: HTTPFields?
        /// Until when the rest of the request's body must have come, that nobody wants.
        var bodyEnds = Instant.distantFuture
    }

    private init(_ stream: any ByteStream, _ information: HTTPServer.Connection, at site: ServerSite) {
        self.site = site
        self.stream = stream
        self.information = information
        parser = HTTPParser(.requests, limits: site.limits)
    }

    /// How many bytes one read takes at most.
    static let readSize = 65_536
    /// How much of a request's body is read for the sake of the next request, when nobody wants it.
    static let drainedSize = 256 << 10
    /// How much of a response the kernel takes before the client has room for it.
    static let unsentSize = 256 << 10
    /// Up to this size a response's body is copied behind its head, and sent with it.
    static let joinedSize = 16 << 10

    // MARK: Its life

    /// Serves a stream until it ends, and closes it.
    static func serve(
        _ stream: any ByteStream, _ information: HTTPServer.Connection, at site: ServerSite
    ) async {
        // Whoever reads slowly shall wait in their own memory, or in ours, and not in the kernel's.
        if let stream = stream as? TCPStream { try? await stream.limitUnsent(to: unsentSize) }
        var stream = stream
        var information = information
        if let secure = site.service.server.secured {
            let limit = site.loop.callLater(site.limits.headTimeout) { [stream] in stream.abort() }
            defer { limit.cancel() }
            do {
                stream = try await secure(stream)
                information.isSecure = true
            } catch {
                // Whoever connects can have this fail, as often as they like: it is not reported.
                return stream.close()
            }
        }
        await ServerConnection(stream, information, at: site).run()
    }

    private func run() async {
        unsafe withUnsafeCurrentTask { unsafe task = $0 }
        site.add(self)
        await answerAll()
        await end()
        limit.isOver = true
        limit.timer?.cancel()
        limit.timer = nil
        site.remove(self)
        unsafe task = nil
    }

    private func answerAll() async {
        limitReading(.head, to: site.limits.headTimeout)
        // Accepted while the server ends already.
        if site.isDraining { isLast = true }
        do {
            var inARow = 0
            while !isLast, try await receiveHead() {
                try await answer()
                // Pipelined requests must not keep all others waiting.
                inARow = parser.unparsedCount > 0 ? inARow + 1 : 0
                if inARow % 16 == 15 { await EventLoop.yield() }
            }
        } catch let error as HTTPError {
            await refuse(error)
        } catch {
            // The client has gone, a limit was reached, or the server ends.
            stream.abort()
        }
    }

    /// The stream is given back so that the client can still read what was sent: what it has sent meanwhile, unread,
    /// would have the kernel break the connection off (RFC 1122 section 4.2.2.13).
    private func end() async {
        if let ahead {
            ahead.cancel()
            await ahead.value
        }
        if isLast && !peerHasFinished && (!exchange.bodyIsComplete || parser.unparsedCount > 0 || parser.failure != nil)
        {
            await linger()
        }
        stream.close()
    }

    private func linger() async {
        do {
            try await stream.closeWriting()
            limitReading(.lingering, to: Self.lingering)
            while try await stream.read(upTo: Self.readSize) != nil {}
        } catch {
            // It is closed in any case.
        }
    }

    /// How long what a client still sends is read and dropped, behind the last response.
    private static let lingering = Duration.seconds(2)

    /// The server takes no more requests.
    func drain() {
        isLast = true
        if limit.reading == .idle || (limit.reading == .head && parser.isBetweenMessages) { stream.close() }
    }

    // MARK: Requests

    /// Reads until a head is complete; false if the connection has ended before one began.
    private func receiveHead() async throws -> Bool {
        while true {
            switch try parser.next() {
            case .head: return true
            case .body, .end: continue
            case .needsBytes: break
            }
            if isLast { return false }
            if parser.isInHead && limit.reading != .head { limitReading(.head, to: site.limits.headTimeout) }
            guard let bytes = try await readBytes() else {
                try parser.finish()
                return false
            }
            parser.feed(bytes)
        }
    }

    /// Answers the request whose head has come.
    private func answer() async throws {
        guard let head = parser.requestHead else { return }
        limit.reading = .none
        requests += 1
        exchange = ExchangeState()
        exchange.version = head.version
        let limits = site.limits
        isLast = isLast || !head.keepsAlive || site.isDraining || requests >= limits.requestsPerConnection ?? .max
        let body: HTTPBody
        do {
            // What is wrong already is better told now than to a handler.
            if let failure = parser.failure { throw failure }
            body = try incomingBody(head, limits.bodySize)
        } catch let error as HTTPError {
            return await refuse(error, head)
        }
        let request = HTTPServer.Request(head, body: body, connection: information, over: self)
        let begin = site.service.server.onResponse == nil ? Instant.distantPast : site.loop.now
        watch = ClientWatch()
        site.begin(self)
        defer { site.end(self) }
        let response = await respond(to: request)
        guard let response else { throw CancellationError() }
        do {
            let status = try await send(response, to: request)
            log(request, status, since: begin, isComplete: true)
        } catch let error as HTTPError where !exchange.responseHasBegun {
            return await refuse(error, head)
        } catch {
            log(request, response.status, since: begin, isComplete: false)
            throw error
        }
        if !isLast && !exchange.bodyIsComplete { try await drainBody() }
        guard !isLast else { return }
        exchange = ExchangeState()
        limitReading(.idle, to: limits.keepAliveTimeout)
    }

    private func incomingBody(_ head: HTTPRequestHead, _ most: Int?) throws -> HTTPBody {
        let length: Int?
        switch head.length {
        case .none, .known(0):
            guard case .end = try parser.next() else { throw HTTPError(.badRequest, "a body that was not announced") }
            return .empty
        case .known(let known):
            if let most, known > most { throw HTTPError.contentTooLarge(limit: most) }
            length = known
        case .chunked, .untilEnd:
            length = nil
        }
        exchange.bodyIsComplete = false
        exchange.expectsContinue = head.expectsContinue
        return HTTPBody(incoming: RequestBody(self, number: requests), length: length)
    }

    /// What the handler answers, or what is answered in its place; nil if nobody is there to be answered.
    private func respond(to request: HTTPServer.Request) async -> HTTPServer.Response? {
        let service = site.service
        do {
            guard let timeout = service.server.requestTimeout else { return try await service.handler(request) }
            return try await withTimeout(timeout) {
                do { return try await service.handler(request) } catch let error as TimeoutError {
                    throw HandlersTimeout(error: error)
                }
            }
        } catch let error as HTTPError {
            return HTTPServer.Response(error)
        } catch is CancellationError where Task.isCancelled {
            return nil
        } catch is TimeoutError where service.server.requestTimeout != nil {
            isLast = true
            return HTTPServer.Response(HTTPError(.serviceUnavailable, "this took too long"))
        } catch {
            if exchange.readFailed || isBroken || Task.isCancelled { return nil }
            let error = (error as? HandlersTimeout)?.error ?? error
            site.loop.report(error, context: "\(request.method) \(request.target)")
            return HTTPServer.Response(HTTPError(.internalServerError, "the server could not answer this"))
        }
    }

    func mark(_ fields: HTTPFields, number: Int) {
        guard number == requests, isAtWork else { return }
        exchange.marks = (exchange.marks ?? [:]) + fields
    }

    /// Sends an interim response, if the client understands such, and the final one has not begun.
    func inform(_ status: HTTPResponse.Status, _ fields: HTTPFields, number: Int) async throws {
        guard (102...199).contains(status.code) else { throw ResponseMistake(status: status) }
        guard number == requests, isAtWork, !exchange.responseHasBegun, exchange.version == .http1_1 else { return }
        putInterim(status, fields)
        try await flush()
    }

    /// Reads what the handler did not want of the request's body; if that is much, the connection ends instead.
    private func drainBody() async throws {
        exchange.bodyEnds = site.loop.now.advanced(by: site.limits.bodyIdleTimeout)
        var drained = 0
        do {
            while let bytes = try await nextBodyBytes() {
                drained += bytes.count
                if drained > Self.drainedSize {
                    isLast = true
                    return
                }
            }
        } catch is HTTPError {
            // The answer to this request has been sent.
            isLast = true
        }
    }
}

/// What a handler has waited for took too long, and not the handler itself.
private struct HandlersTimeout: Error {
    let error: TimeoutError
}

extension HTTPServer.Response {
    /// What an error says to a client.
    init(_ error: HTTPError) {
        var fields = error.headerFields
        fields[.contentType] = "text/plain; charset=utf-8"
        self.init(error.status, headerFields: fields, body: HTTPBody("\(error.reason)\n"))
    }
}
#endif
