public import AsyncIOKernel

/// How a connection is made: which of a host's addresses are tried, from where, and for how long.
public struct ConnectOptions: Sendable {
    /// How the socket behaves.
    public var socket: TCPOptions
    /// How long all of it may take, the name included; nil means no limit of ours.
    public var timeout: Duration?
    /// How long one address may take; nil means as long as the kernel tries, which is about two minutes
    /// (`tcp_syn_retries` of tcp(7)).
    public var attemptTimeout: Duration?
    /// How long an address is tried before the next one is tried as well: the *connection attempt delay* of RFC 8305.
    /// Less than 10 ms counts as 10 ms, more than 2 s as 2 s (its section 8).
    public var attemptDelay: Duration
    /// The only version of the internet protocol to use; nil means both.
    public var version: SocketAddress.IPVersion?
    /// The address that we call from; nil leaves it to the system. Port 0 lets it choose the port, and that as late as
    /// possible (IP_BIND_ADDRESS_NO_PORT of ip(7)), so that many connections to different places can share one. Only
    /// addresses of its version are tried.
    public var localAddress: SocketAddress?
    /// Who looks up the name; nil means the one in force (``withResolver(_:_:)``), or the system's.
    public var resolver: (any Resolver)?

    /// Creates options.
    public init(
        timeout: Duration? = nil, attemptTimeout: Duration? = nil, attemptDelay: Duration = .milliseconds(250),
        version: SocketAddress.IPVersion? = nil, localAddress: SocketAddress? = nil,
        resolver: (any Resolver)? = nil, socket: TCPOptions = TCPOptions()
    ) {
        self.socket = socket
        self.timeout = timeout
        self.attemptTimeout = attemptTimeout
        self.attemptDelay = attemptDelay
        self.version = version
        self.localAddress = localAddress
        self.resolver = resolver
    }
}
