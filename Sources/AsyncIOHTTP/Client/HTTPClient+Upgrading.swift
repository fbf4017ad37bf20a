#if HTTP
public import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import HTTPTypes

extension HTTPClient {
    /// What a server answers to a request to go on with another protocol.
    public struct Upgrade: Sendable {
        /// The head of the response: 101, or what the server says instead.
        public var response: Response
        /// The connection, with what came behind the response first, if the status is 101. It belongs to the caller.
        public var stream: (any ByteStream)?
    }

    /// Asks a server to go on with another protocol on the same connection (RFC 9110 section 7.8).
    ///
    /// The connection is a new one, and none of the pool's. No redirect is followed: a response with another status
    /// than 101 is returned as it is. Whether the server has agreed to what was asked is for the caller to check:
    /// fields, and what `Upgrade` names. Suspends and is cancelled as ``send(_:)``; the total timeout ends with the
    /// response's head, or with the body of another response than 101.
    ///
    /// - Parameters:
    ///   - request: What is asked.
    ///   - name: The protocol, or several of them, the best first: `websocket`, `HTTP/2.0, TLS/1.0`.
    /// - Returns: The response, and the connection if its status is 101.
    /// - Throws: ``HTTPClientError`` as ``send(_:)``, and for a name that is no protocol.
    public func upgrade(_ request: Request, to name: String) async throws -> Upgrade {
        guard name.isUpgrade else {
            throw HTTPClientError(
                .invalidRequest, subject: request.subject,
                detail: "Upgrade names protocols, as `websocket` or `TLS/1.0`, with commas between them")
        }
        try RequestHead.check(request)
        try Dialer.checkSecurity(of: request, configuration)
        let timeouts = request.timeouts ?? configuration.timeouts
        guard let total = timeouts.total else { return try await upgrade(request, to: name, timeouts, until: nil) }
        let deadline = EventLoop.ambient.now.advanced(by: total)
        do {
            return try await withDeadline(deadline) {
                try await upgrade(request, to: name, timeouts, until: deadline)
            }
        } catch is TimeoutError {
            throw HTTPClientError(PhaseTimeout(phase: .total, limit: total), subject: request.subject)
        }
    }

    private func upgrade(
        _ request: Request, to name: String, _ timeouts: Timeouts, until deadline: Instant?
    ) async throws -> Upgrade {
        var request = request
        request.expectsContinue = false
        do {
            let plan = try planned(request, timeouts, until: deadline, upgrade: name)
            let dialer = Dialer(configuration: configuration, timeouts: timeouts, loop: plan.loop)
            let place = try place(of: request).forOneStream(to: request.url.origin)
            // A pool of its own: as long as the other protocol lasts, nobody else could use the place.
            let pool = ConnectionPool(Pool())
            let connection = try await pool.take(for: place, fresh: true, within: nil) { place in
                try await dialer.open(place)
            }
            let exchange = Exchange(plan, on: connection, of: pool)
            let head = try await exchange.begin()
            configuration.cookies?.store(head.fields[values: .setCookie], from: request.url)
            let response = Response(
                status: head.status, version: head.version, headerFields: head.fields,
                body: head.status == .switchingProtocols ? .empty : HTTPBody(incoming: exchange, length: nil),
                url: request.url.withoutUserInfo)
            guard head.status == .switchingProtocols else { return Upgrade(response: response, stream: nil) }
            let (stream, rest) = try exchange.handOver()
            return Upgrade(response: response, stream: rest.isEmpty ? stream : LeftoverStream(rest, before: stream))
        } catch let timeout as PhaseTimeout {
            throw HTTPClientError(timeout, subject: request.subject)
        } catch let dead as DeadConnection {
            throw noResponse(request, dead, false)
        }
    }
}

extension String {
    /// Whether it is a list of protocols: tokens, each perhaps with a token as its version (RFC 9110 section 7.8).
    fileprivate var isUpgrade: Bool {
        split(separator: ",", omittingEmptySubsequences: false).allSatisfy { part in
            // Optional white space stands around the commas alone.
            let tokens = part.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
            var isFirst = true
            return (1...2).contains(tokens.count)
                && tokens.allSatisfy { token in
                    let name = isFirst ? token.drop { $0 == UInt8(ascii: " ") } : token
                    isFirst = false
                    return !name.isEmpty && name.allSatisfy(HeadRules.isTokenByte)
                }
        }
    }
}

extension ConnectionPlace {
    /// A proxy of HTTP would not understand another protocol: it opens a tunnel for it.
    fileprivate func forOneStream(to origin: HTTPURL.Origin) -> ConnectionPlace {
        if case .proxy(let proxy) = self { .tunnel(proxy, origin) } else { self }
    }
}
#endif
