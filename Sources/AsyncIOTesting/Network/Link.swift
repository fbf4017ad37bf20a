/// How one direction between two simulated hosts carries packets.
///
/// TCP delivers everything in order, whatever the link does: what is lost comes a retransmission later. Datagrams are
/// lost, doubled and overtaken as the numbers say.
public struct Link: Sendable, Hashable {
    /// How long a packet is under way.
    public var latency = Latency.fixed(.microseconds(500))
    /// Up to so much more, drawn evenly for each packet.
    public var jitter = Duration.zero
    /// Bytes a second; packets queue for it. Nil is without limit, and less than one counts as one: what lets nothing
    /// pass is ``SimulatedNetwork/clog(from:to:)``.
    public var bandwidth: Int?
    /// How many bytes wait for the bandwidth at most; datagrams beyond are dropped.
    public var queueLimit = 1 << 20
    /// The probability that a packet is lost, 0 to 1.
    public var loss = 0.0
    /// The probability that a datagram arrives twice.
    public var duplication = 0.0
    /// The probability that a datagram is held up, so that later ones overtake it.
    public var reordering = 0.0
    /// The longest packet in bytes, at least 576. Longer datagrams travel in fragments, all of which have to arrive.
    public var mtu = 1500

    /// Creates a link with half a millisecond of latency and no faults.
    public init() {}

    /// Creates a link, and changes some of it.
    public init(_ change: (inout Link) -> Void) { change(&self) }

    /// A link that loses, doubles and delays what it can.
    public static var poor: Link {
        Link {
            $0.latency = .uniform(.milliseconds(20) ... .milliseconds(200))
            $0.loss = 0.03
            $0.duplication = 0.02
            $0.reordering = 0.05
        }
    }

    /// The time that packets take.
    public enum Latency: Sendable, Hashable {
        /// Always the same.
        case fixed(Duration)
        /// Anything between two bounds, all alike.
        case uniform(ClosedRange<Duration>)
        /// Mostly short, sometimes many times the mean.
        case exponential(mean: Duration)
    }
}
