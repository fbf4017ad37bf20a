/// How a TCP socket behaves. One value for each option of the system; the defaults suit a server of short messages.
public struct TCPOptions: Sendable {
    /// Send small writes at once instead of collecting them (TCP_NODELAY of tcp(7)).
    public var noDelay: Bool
    /// Ask an idle peer whether it is still there; nil means never (SO_KEEPALIVE of socket(7)).
    public var keepAlive: KeepAlive?
    /// Bind to an address whose earlier connections still linger (SO_REUSEADDR of socket(7)).
    public var reuseAddress: Bool
    /// Share the port with other listeners of the same user; the kernel spreads connections (SO_REUSEPORT of
    /// socket(7)).
    public var reusePort: Bool
    /// How many connections the kernel keeps until they are accepted. The system's `somaxconn` limits it.
    public var backlog: Int32
    /// Bytes that the kernel keeps until the peer has taken them (SO_SNDBUF of socket(7)); nil leaves it to the kernel,
    /// which grows it with the connection's speed. The kernel doubles the number, for its own needs, within the
    /// system's `wmem_max`.
    public var sendBuffer: Int?
    /// Bytes that the kernel keeps until they are read (SO_RCVBUF of socket(7)), and so what a peer may send before it
    /// has to wait; nil leaves it to the kernel. As for ``sendBuffer``, within `rmem_max`.
    public var receiveBuffer: Int?

    /// Creates options.
    public init(
        noDelay: Bool = true, keepAlive: KeepAlive? = nil, reuseAddress: Bool = true, reusePort: Bool = false,
        backlog: Int32 = 4096, sendBuffer: Int? = nil, receiveBuffer: Int? = nil
    ) {
        self.noDelay = noDelay
        self.keepAlive = keepAlive
        self.reuseAddress = reuseAddress
        self.reusePort = reusePort
        self.backlog = backlog
        self.sendBuffer = sendBuffer
        self.receiveBuffer = receiveBuffer
    }

    /// When an idle peer is asked, and how often (tcp(7)).
    public struct KeepAlive: Sendable {
        /// Idle time before the first question, in whole seconds, at least one.
        public var idle: Duration
        /// Time between questions, in whole seconds, at least one.
        public var interval: Duration
        /// Questions without an answer until the connection is given up.
        public var count: Int

        /// Creates a schedule.
        public init(idle: Duration = .seconds(60), interval: Duration = .seconds(10), count: Int = 6) {
            self.idle = idle
            self.interval = interval
            self.count = count
        }
    }
}
