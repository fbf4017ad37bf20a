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
    /// fields, and what `Upgrade` names. Suspends, is cancelled and throws as ``send(_:)``.
    public func upgrade(_ request: Request, to name: String) async throws -> Upgrade {
        try RequestHead.check(request)
        try Dialer.checkSecurity(of: request, configuration)
        let timeouts = request.timeouts ?? configuration.timeouts
        var request = request
        request.expectsContinue = false
        do {
            let plan = try planned(request, timeouts, until: nil, upgrade: name)
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

extension ConnectionPlace {
    /// A proxy of HTTP would not understand another protocol: it opens a tunnel for it.
    fileprivate func forOneStream(to origin: HTTPURL.Origin) -> ConnectionPlace {
        if case .proxy(let proxy) = self { .tunnel(proxy, origin) } else { self }
    }
}
#endif
