#if HTTP
/// How a WebSocket behaves, and what its peer may cost.
public struct WebSocketOptions: Sendable, Hashable {
    /// The most bytes of a message, unpacked and put together: the WebSocket is closed with 1009 beyond. 1 MiB.
    public var messageSize = 1 << 20
    /// How often a peer that says nothing is asked whether it is there; nil: never. 20 s.
    public var pingInterval: Duration? = .seconds(20)
    /// How long it has for its answer; then the connection is broken off. 20 s.
    public var pongTimeout: Duration = .seconds(20)
    /// How long a close handshake may take; then the connection is broken off. 10 s.
    public var closeTimeout: Duration = .seconds(10)
    /// Whether messages may be packed (permessage-deflate, RFC 7692), if the other side wants it, too.
    public var compression: Compression? = Compression()
    /// What the two sides may speak over it, the best first (`Sec-WebSocket-Protocol`).
    public var subprotocols: [String] = []

    /// The defaults.
    public init() {}

    /// How messages are packed.
    public struct Compression: Sendable, Hashable {
        /// Messages with fewer bytes are sent as they are. 256.
        public var threshold = 256
        /// From 1, the fastest, to 9, the smallest. 6.
        public var level = 6
        /// Whether what has been sent helps to pack what follows: smaller messages, for some 300 KB more memory a
        /// connection on the side that packs. No.
        public var keepsContext = false

        /// The defaults.
        public init() {}
    }
}
#endif
