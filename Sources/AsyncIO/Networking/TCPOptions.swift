/// How a TCP socket behaves. One value for each option of the system; the defaults suit a server of short messages.
public struct TCPOptions: Sendable {
    /// Send small writes at once instead of collecting them (TCP_NODELAY of tcp(7)).
    public var noDelay: Bool
    /// Ask an idle peer whether it is still there; nil means never (SO_KEEPALIVE of socket(7)).
    public var keepAlive: KeepAlive?
    /// How long sent bytes may stay unacknowledged until the connection is given up, in whole milliseconds, at least
    /// one; nil leaves it to the kernel, which takes a quarter of an hour (TCP_USER_TIMEOUT of tcp(7), RFC 5482).
    public var userTimeout: Duration?
    /// Bind to an address whose earlier connections still linger (SO_REUSEADDR of socket(7)).
    public var reuseAddress: Bool
    /// Share the port with other listeners of the same user; the kernel spreads connections (SO_REUSEPORT of
    /// socket(7)).
    public var reusePort: Bool
    /// Whether listening on an IPv6 address takes IPv4 connections as well; nil leaves it to the system's
    /// `net.ipv6.bindv6only`. It matters for `::`, the address that means all.
    public var dualStack: DualStack?
    /// How many connections the kernel keeps until they are accepted. The system's `somaxconn` limits it.
    public var backlog: Int32
    /// Accept a connection only when its first bytes have come, or so much time has passed, in whole seconds, at least
    /// one (TCP_DEFER_ACCEPT of tcp(7)). For protocols whose clients speak first.
    public var deferAccept: Duration?
    /// Bytes that the kernel keeps until the peer has taken them (SO_SNDBUF of socket(7)); nil leaves it to the kernel,
    /// which grows it with the connection's speed. The kernel doubles the number, for its own needs, within the
    /// system's `wmem_max`.
    public var sendBuffer: Int?
    /// Bytes that the kernel keeps until they are read (SO_RCVBUF of socket(7)), and so what a peer may send before it
    /// has to wait; nil leaves it to the kernel. As for ``sendBuffer``, within `rmem_max`.
    public var receiveBuffer: Int?

    /// Creates options.
    public init(
        noDelay: Bool = true, keepAlive: KeepAlive? = nil, userTimeout: Duration? = nil, reuseAddress: Bool = true,
        reusePort: Bool = false, dualStack: DualStack? = nil, backlog: Int32 = 4096, deferAccept: Duration? = nil,
        sendBuffer: Int? = nil, receiveBuffer: Int? = nil
    ) {
        self.noDelay = noDelay
        self.keepAlive = keepAlive
        self.userTimeout = userTimeout
        self.reuseAddress = reuseAddress
        self.reusePort = reusePort
        self.dualStack = dualStack
        self.backlog = backlog
        self.deferAccept = deferAccept
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

    /// What an IPv6 listener takes (IPV6_V6ONLY of ipv6(7)).
    public enum DualStack: Sendable {
        /// IPv6 connections alone; another listener may have the port for IPv4.
        case onlyIPv6
        /// IPv4 connections as well, whose addresses look like `::ffff:10.0.0.1`.
        case both
    }
}
