#if HTTP
public import AsyncIO

#if TLS
public import AsyncIOTLS
#endif

extension HTTPClient {
    /// How a client connects, waits, follows and decodes. The defaults suit a program that asks servers it does not
    /// know: everything is bounded.
    public struct Configuration: Sendable {
        /// How many connections there are, and for how long.
        public var pool = Pool()
        /// How long each phase of a request may take.
        public var timeouts = Timeouts()
        /// What a response's head may cost. The limits that are a server's own play no part.
        public var limits = HTTPLimits()
        /// Which redirects are followed.
        public var redirects = RedirectPolicy.follow
        /// Whether and how far compressed responses are decoded; nil leaves them as they come, and asks for none.
        public var decompression: Decompression? = Decompression()
        /// Where cookies are kept; nil keeps none.
        public var cookies: CookieJar?
        /// Whether requests go through a proxy.
        public var proxy = ProxyChoice.environment
        /// The path of a Unix socket on which the server is, whatever the URL says: the URL is what is asked of it. No
        /// proxy is used then.
        public var unixPath: String?
        /// Whether a name and a password in a request's URL are sent as `Authorization` (RFC 7617). They are ignored
        /// otherwise; those in a `Location` always are.
        public var usesUserInfo = false
        /// The value of `User-Agent`, for requests without one; nil sends none.
        public var userAgent: String? = "swift-asyncio"
        /// How sockets are connected: addresses, happy eyeballs, resolver. Its timeout is that of
        /// ``Timeouts/connect``, where that is shorter.
        public var connecting = ConnectOptions()

        #if TLS
        /// Whom `https` trusts, and what it shows; nil: the system's authorities, and nothing.
        public var tls: TLSConnector?
        #endif

        /// Makes a stream secure, otherwise than the package does: for tests.
        var secure: SecureUpgrade?
        /// Connects otherwise than by TCP: for tests without a network.
        var dial: (@Sendable (HTTPURL.Origin) async throws -> any ByteStream)?
        /// Whom the environment is asked of.
        var environment: @Sendable (String) -> String? = { ProxyChoice.systemVariable($0) }

        /// The defaults.
        public init() {}
    }

    /// How many connections there are, and for how long they are kept.
    public struct Pool: Sendable, Hashable {
        /// The most connections to one server, or to one proxy. Further requests wait, in order.
        public var connectionsPerServer = 20
        /// The most connections in all.
        public var connections = 200
        /// The most of them that are kept without a request. 0 keeps none.
        public var idleConnections = 100
        /// How long one is kept without a request. Servers often close theirs after a minute, or after five seconds.
        public var idleTime = Duration.seconds(30)

        /// The defaults.
        public init() {}
    }

    /// A phase of a request.
    public enum Phase: String, Sendable, Hashable {
        /// Waiting for a connection of the pool that others use.
        case queue
        /// Finding the server's addresses, and connecting to one; to the proxy also its answer to CONNECT.
        case connect
        /// Agreeing on encryption.
        case tls
        /// Sending, while the server takes nothing.
        case send
        /// Waiting for the first byte of the response, when everything has been sent.
        case response
        /// Waiting for the next byte of the response.
        case idle
        /// All of it.
        case total
    }

    /// How long each phase may take; nil means as long as it likes. What is over is broken off, and told by
    /// ``HTTPClientError/Reason/timedOut(_:)``.
    public struct Timeouts: Sendable, Hashable {
        /// To wait for a connection while others have them all.
        public var queue: Duration?
        /// To find the server's addresses and to connect to one. 10 s.
        public var connect: Duration? = .seconds(10)
        /// To agree on encryption. 10 s.
        public var tls: Duration? = .seconds(10)
        /// That the server takes nothing of what is sent. 30 s.
        public var send: Duration? = .seconds(30)
        /// From the end of sending to the first byte of the response. 60 s.
        public var response: Duration? = .seconds(60)
        /// Between two bytes of the response, while somebody waits for them. 30 s.
        public var idle: Duration? = .seconds(30)
        /// From the call to the last byte of the response's body, redirects included.
        public var total: Duration?
        /// How long a request with `Expect: 100-continue` waits for leave to send its body, before it sends it all the
        /// same (RFC 9110 section 10.1.1). 1 s.
        public var continuation: Duration = .seconds(1)

        /// The defaults.
        public init() {}
    }

    /// How far compressed bodies are decoded: `gzip`, `x-gzip` and `deflate` (RFC 9110 section 8.4.1).
    ///
    /// A few kilobytes can stand for gigabytes. They are decoded piece by piece, as somebody reads them, so that memory
    /// is bounded anyway; the limits are for whoever keeps what he reads.
    public struct Decompression: Sendable, Hashable {
        /// The most decoded bytes of a body; nil for no limit.
        public var limit: Int?
        /// The most decoded bytes for each byte that came, beyond the first mebibyte. What is worth reading seldom
        /// comes to 100; deflate can do 1,032.
        public var ratio: Int

        /// Creates limits.
        public init(limit: Int? = nil, ratio: Int = 250) {
            self.limit = limit
            self.ratio = ratio
        }
    }

    /// How far a request has come: told as bytes go and come.
    public struct Progress: Sendable, Hashable {
        /// Bytes of the request's body that have been sent.
        public internal(set) var sent = 0
        /// How many those will be, if that is known.
        public internal(set) var sentTotal: Int?
        /// Bytes of the response's body that have come, as they came: before they are decoded.
        public internal(set) var received = 0
        /// How many those will be, if the server has said so.
        public internal(set) var receivedTotal: Int?
    }
}

/// Makes a stream secure for a host, before a byte has gone over it, and checks that it is the one that answers.
/// Whoever calls breaks the stream off if this throws.
typealias SecureUpgrade =
    @Sendable (_ stream: any ByteStream, _ host: String, _ loop: EventLoop) async throws
    -> any ByteStream

extension HTTPClient.Configuration {
    /// How `https` is spoken; nil if it is not: the package was built without its trait.
    var security: SecureUpgrade? {
        if let secure { return secure }
        #if TLS
        return { [tls] stream, host, loop in
            try await TLSStream.client(over: stream, host: host, tls: tls, on: loop)
        }
        #else
        return nil
        #endif
    }
}
#endif
