#if HTTP
import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import HTTPTypes

extension HTTPClient {
    /// Sends a request, follows where it is redirected to, and returns the response when its head is there.
    ///
    /// Suspends. A cancelled task gets `CancellationError`, and the connection is broken off. Throws
    /// ``HTTPClientError``; ``IOError``, `ConnectError` and `ResolutionError` of the network; ``HTTPError`` (502) for a
    /// response that breaks the rules or a limit; and whatever the request's body throws.
    public func send(_ request: Request) async throws -> Response {
        let timeouts = request.timeouts ?? configuration.timeouts
        guard let total = timeouts.total else { return try await follow(request, timeouts, until: nil) }
        let deadline = EventLoop.ambient.now.advanced(by: total)
        do {
            return try await withDeadline(deadline) { try await follow(request, timeouts, until: deadline) }
        } catch is TimeoutError {
            throw HTTPClientError(PhaseTimeout(phase: .total, limit: total), subject: request.subject)
        }
    }

    /// Asks, and asks again elsewhere, as long as there is a redirect to follow.
    private func follow(_ first: Request, _ timeouts: Timeouts, until deadline: Instant?) async throws -> Response {
        var request = first
        var history: [Response.Hop] = []
        while true {
            let (head, exchange) = try await carryOut(request, timeouts, until: deadline)
            configuration.cookies?.store(head.fields[values: .setCookie], from: request.url)
            let next: Redirection?
            do {
                next = try Redirection(
                    of: request, status: head.status, fields: head.fields, followed: history.count,
                    request.redirects ?? configuration.redirects)
            } catch {
                exchange.end(with: error)
                throw error
            }
            guard let next else { return try await response(head, exchange, request, history) }
            await exchange.skip()
            history.append(Response.Hop(url: request.url.withoutUserInfo, status: head.status))
            request.method = next.method
            request.url = next.url
            request.headerFields = next.fields
            if !next.keepsBody {
                request.body = .empty
                request.expectsContinue = false
            }
        }
    }

    private func response(
        _ head: ResponseHead, _ exchange: Exchange, _ request: Request, _ history: [Response.Hop]
    ) async throws -> Response {
        var fields = head.fields
        var body = HTTPBody(incoming: exchange, length: nil)
        switch head.length {
        case .none:
            body = HTTPBody(incoming: exchange, length: 0)
            try await exchange.finishIfEmpty()
        case .known(let length):
            body = HTTPBody(incoming: exchange, length: length)
            if length == 0 { try await exchange.finishIfEmpty() }
        case .chunked, .untilEnd: break
        }
        // A part of something compressed begins nowhere.
        if head.length != .none, head.status != .partialContent, let limits = configuration.decompression {
            body = try DecodedBody.decoding(body, exchange, &fields, limits)
        }
        return Response(
            status: head.status, version: head.version, headerFields: fields, body: body,
            url: request.url.withoutUserInfo, history: history)
    }

    // MARK: One request

    /// Sends one request, and perhaps once more: on a connection that was used before, and was dead already; and
    /// without `Expect`, for a server that does not know it (RFC 9110 section 10.1.1).
    private func carryOut(
        _ request: Request, _ timeouts: Timeouts, until deadline: Instant?
    ) async throws -> (ResponseHead, Exchange) {
        try RequestHead.check(request)
        try Dialer.checkSecurity(of: request, configuration)
        var plan = try planned(request, timeouts, until: deadline)
        let place = try place(of: request)
        var isSecondTry = false
        do {
            while true {
                let (connection, wasUsed) = try await connection(to: place, fresh: isSecondTry, timeouts)
                let exchange = Exchange(plan, on: connection, of: pool)
                do {
                    let head = try await exchange.begin()
                    if head.status == .expectationFailed, plan.head.expectsContinue, !exchange.sender.hasBegunBody {
                        exchange.end(with: HTTPClientError.withoutExpectation)
                        plan.head.expectsContinue = false
                        continue
                    }
                    return (head, exchange)
                } catch let dead as DeadConnection {
                    let maySendAgain =
                        request.method.isIdempotent && (request.body.isEmpty || request.body.isReplayable)
                    guard wasUsed, maySendAgain, !isSecondTry else { throw noResponse(request, dead, wasUsed) }
                    isSecondTry = true
                }
            }
        } catch let timeout as PhaseTimeout {
            throw HTTPClientError(timeout, subject: request.subject)
        }
    }

    func connection(
        to place: ConnectionPlace, fresh: Bool, _ timeouts: Timeouts
    ) async throws -> (ClientConnection, wasUsed: Bool) {
        let dialer = Dialer(configuration: configuration, timeouts: timeouts, loop: try loop())
        let connection = try await pool.take(for: place, fresh: fresh, within: timeouts.queue) { place in
            try await dialer.open(place)
        }
        return (connection, connection.isReused)
    }

    func noResponse(_ request: Request, _ dead: DeadConnection, _ wasUsed: Bool) -> any Error {
        // What TLS says of the end, for one, says more than we could.
        if let cause = dead.cause, !(cause is IOError) { return cause }
        let cause = dead.cause.map { " (\($0))" } ?? ""
        let remedy = wasUsed ? "; it may have been carried out, and is not sent again by itself" : ""
        return HTTPClientError(
            .noResponse, subject: request.subject,
            detail: "the server closed the connection before it answered\(cause)\(remedy)")
    }

    func place(of request: Request) throws -> ConnectionPlace {
        let origin = request.url.origin
        if let path = configuration.unixPath { return .unix(path: path, origin) }
        guard let proxy = try configuration.proxy.proxy(for: origin, environment: configuration.environment) else {
            return .direct(origin)
        }
        return origin.scheme == .http ? .proxy(proxy) : .tunnel(proxy, origin)
    }

    /// The request with what the client adds to it.
    func planned(
        _ request: Request, _ timeouts: Timeouts, until deadline: Instant?, upgrade: String? = nil
    ) throws -> PlannedRequest {
        var fields = request.headerFields
        if fields[.userAgent] == nil, let userAgent = configuration.userAgent {
            try RequestHead.set(.userAgent, to: userAgent, of: request, in: &fields)
        }
        if configuration.usesUserInfo, fields[.authorization] == nil, let userInfo = request.url.userInfo {
            fields[.authorization] = userInfo.basicAuthorization
        }
        if let cookies = configuration.cookies?.field(for: request.url) {
            fields[.cookie] = [fields[.cookie], cookies].compactMap(\.self).joined(separator: "; ")
        }
        // A part of something that is compressed cannot be decoded.
        if configuration.decompression != nil, fields[.acceptEncoding] == nil, fields[.range] == nil {
            fields[.acceptEncoding] = "gzip, deflate"
        }
        var target = request.url.target
        if case .proxy(let proxy) = try place(of: request) {
            target = request.url.absoluteTarget
            if let authorization = proxy.authorization { fields[.proxyAuthorization] = authorization }
        }
        let head = RequestHead(
            target: target, authority: fields[.host] ?? request.url.origin.authority, fields: fields,
            method: request.method, framing: BodyFraming(request),
            expectsContinue: request.expectsContinue && !request.body.isEmpty, upgrade: upgrade)
        return PlannedRequest(
            request: request, head: head, timeouts: timeouts, limits: configuration.limits, deadline: deadline,
            loop: try loop())
    }
}

extension HTTPClientError {
    static let withoutExpectation = HTTPClientError(
        .noResponse, subject: "the request", detail: "it is sent again without Expect")
}
#endif
