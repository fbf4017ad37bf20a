public import AsyncIOKernel

/// One datagram: its bytes, whom it came from or goes to, and what the network told about it.
///
/// A datagram may be empty: that is a message like any other, and no end of anything.
public struct Datagram: Hashable, Sendable {
    /// What arrived: all of it, unless ``isTruncated``.
    public var bytes: [UInt8]
    /// Everything but the bytes.
    public var info: Info

    /// A datagram for a peer.
    public init(_ bytes: [UInt8], to peer: SocketAddress) {
        self.bytes = bytes
        info = Info(peer: peer, length: bytes.count)
    }

    init(_ bytes: [UInt8], _ info: Info) {
        self.bytes = bytes
        self.info = info
    }

    /// Who sent it; of a datagram to send, who shall get it. Unnamed if the sender's Unix socket was never bound.
    public var peer: SocketAddress { info.peer }

    /// Whether it was longer than the room for it: the rest is gone. ``Info/length`` says how long it was.
    public var isTruncated: Bool { info.isTruncated }

    /// Everything about a received datagram but its bytes.
    public struct Info: Hashable, Sendable {
        /// Who sent it.
        public var peer: SocketAddress
        /// How many bytes were sent. More than were received, if ``isTruncated``.
        public var length: Int
        /// Whether it was longer than the room for it. The rest is gone.
        public var isTruncated = false
        /// The address that it was sent to, one of ours or a group's, with our port, if the socket was asked to report
        /// it: ``UDPOptions/reportsDestination``.
        public var destination: SocketAddress?
        /// The interface that it came in by, if the socket was asked to report it: ``UDPOptions/reportsDestination``.
        public var interface: NetworkInterface?
        /// How many more routers it might have passed (IPv4's time to live, IPv6's hop limit), if the socket was asked
        /// to report it: ``UDPOptions/reportsHopLimit``.
        public var hopLimit: UInt8?
        /// What routers said about congestion, if the socket was asked to report it: ``UDPOptions/reportsCongestion``.
        public var congestion: CongestionMark?
    }

    /// The two bits by which a sender says that it understands congestion marks, and a router that there is congestion
    /// (RFC 3168, 5).
    public enum CongestionMark: UInt8, Hashable, Sendable {
        /// Not-ECT: the sender does not understand them.
        case notCapable = 0
        /// ECT(1): the sender does (RFC 9331 gives it a meaning of its own).
        case capable1 = 1
        /// ECT(0): the sender does.
        case capable0 = 2
        /// CE: a router on the way was congested.
        case experienced = 3
    }
}

/// How far a batch of datagrams got.
///
/// What was sent cannot be taken back, so a failure in the middle is no thrown error: it stands beside the number.
public struct SentBatch: Sendable {
    /// How many datagrams were sent: the first ones of the batch, in order.
    public let sent: Int
    /// Why the next one was not sent; nil if all were. An ``IOError``, or `CancellationError`.
    public let failure: (any Error)?

    /// Whether all were sent.
    public var isComplete: Bool { failure == nil }
}
