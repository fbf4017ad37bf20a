import AsyncIOKernel

/// One direction between two hosts, or a host's loopback.
final class Route {
    var world: World { unsafe owner }
    // Packets and sockets go with their world.
    private unowned(unsafe) let owner: World
    let from: SimulatedHost
    let to: SimulatedHost
    /// What is only told to this direction, in place of the network's common link.
    var ownLink: Link?
    @safe @exclusivity(unchecked) private(set) var link: Link
    /// Packets vanish.
    @safe @exclusivity(unchecked) var isCut = false
    /// Packets wait at the far end.
    @safe @exclusivity(unchecked) private(set) var isClogged = false
    private var held: [() -> Void] = []
    /// When the bandwidth is free again.
    @safe @exclusivity(unchecked) private var free = Instant.distantPast

    // The link's numbers, in the form in which they are needed for each packet. Times are nanoseconds.
    @safe @exclusivity(unchecked) private var shape = Shape.fixed
    @safe @exclusivity(unchecked) private var base: Int64 = 0
    @safe @exclusivity(unchecked) private var spread = 0
    @safe @exclusivity(unchecked) private var jitter = 0

    private enum Shape { case fixed, uniform, exponential }

    init(_ world: World, from: SimulatedHost, to: SimulatedHost, _ link: Link) {
        unsafe owner = world
        self.from = from
        self.to = to
        self.link = link
        use(link)
    }

    var isLoopback: Bool { from === to }
    var isObstructed: Bool { isCut || isClogged }

    func use(_ link: Link) {
        self.link = link
        spread = 0
        switch link.latency {
        case .fixed(let time):
            shape = .fixed
            base = Self.nanoseconds(time)
        case .uniform(let times):
            shape = .uniform
            base = Self.nanoseconds(times.lowerBound)
            spread = Int(Self.nanoseconds(times.upperBound) - base)
        case .exponential(let mean):
            shape = .exponential
            base = Self.nanoseconds(mean)
        }
        jitter = Int(Self.nanoseconds(link.jitter))
    }

    /// No packet takes longer than a day.
    private static func nanoseconds(_ time: Duration) -> Int64 {
        min(max(time, .zero), .seconds(86_400)).saturatedNanoseconds
    }

    // MARK: Sending

    /// How long the next packet is under way.
    func latency() -> Int64 {
        var time = base
        switch shape {
        case .fixed: break
        case .uniform: time += Int64(world.random.below(spread + 1))
        case .exponential: time = Int64(Double(base) * world.random.exponential())
        }
        if jitter > 0 { time += Int64(world.random.below(jitter + 1)) }
        return time
    }

    /// About how long a packet is under way, at most.
    var usualLatency: Int64 { (shape == .exponential ? 2 * base : base + Int64(spread)) + Int64(jitter) }

    /// Sends bytes in so many packets. When the last one arrives; nil if one is lost.
    func send(_ bytes: Int, packets: Int = 1) -> Instant? {
        if isCut { return nil }
        if link.loss > 0 && !isLoopback && isLost(packets) { return nil }
        let start = link.bandwidth == nil ? world.now : occupy(bytes + packets * Self.overhead)
        return Instant(nanoseconds: start.nanoseconds + latency())
    }

    private func isLost(_ packets: Int) -> Bool {
        var survival = 1.0
        for _ in 0..<packets { survival *= 1 - link.loss }
        return world.strikes("loss", 1 - survival)
    }

    /// How many bytes of each packet are headers.
    static let overhead = 40

    /// Queues for the bandwidth; when the last byte has left.
    private func occupy(_ bytes: Int) -> Instant {
        guard let bandwidth = link.bandwidth else { return world.now }
        let time = Double(bytes) / Double(max(bandwidth, 1)) * 1e9
        free = Instant(nanoseconds: max(free, world.now).nanoseconds + Int64(min(time, 1e15)))
        return free
    }

    /// How many bytes wait for the bandwidth.
    var queue: Int {
        guard let bandwidth = link.bandwidth, free > world.now else { return 0 }
        return Int(Double(free.nanoseconds - world.now.nanoseconds) / 1e9 * Double(bandwidth))
    }

    /// When no more than so many bytes wait.
    func time(untilQueueIs bytes: Int) -> Instant {
        guard let bandwidth = link.bandwidth else { return world.now }
        let spare = Int64(Double(bytes) / Double(max(bandwidth, 1)) * 1e9)
        return max(Instant(nanoseconds: free.nanoseconds - spare), world.now)
    }

    /// How many bytes of a stream go in one piece.
    var piece: Int {
        guard let bandwidth = link.bandwidth else { return 65_536 }
        return min(max(bandwidth / 1000, segment), 65_536)
    }

    /// How many bytes of a stream go in one packet.
    var segment: Int { max(link.mtu, 576) - Self.overhead }

    // MARK: Arriving

    /// What has got as far as the other end waits there until the route is unclogged.
    func hold(_ arrival: @escaping () -> Void) { held.append(arrival) }

    /// Brings one packet without a stream of its own: it may be lost or held up, and comes once.
    func carry(_ bytes: Int, notBefore earliest: Instant = .distantPast, _ arrival: @escaping () -> Void) -> Bool {
        guard let time = send(bytes) else { return false }
        world.at(max(time, earliest)) { [self] in arrive(arrival) }
        return true
    }

    func arrive(_ arrival: @escaping () -> Void) {
        if isCut { return }
        if isClogged { hold(arrival) } else { arrival() }
    }

    func clog() { isClogged = true }

    func unclog() {
        isClogged = false
        let waiting = held
        held = []
        for arrival in waiting { arrive(arrival) }
    }
}

extension SimulatedRandom {
    /// A number with the mean 1, by the exponential distribution. Additions and multiplications alone, which give the
    /// same bits on every machine.
    mutating func exponential() -> Double {
        // ln of a number in (0, 1]: its exponent, and the series of atanh for its significand.
        let number = 1 - fraction()
        let ratio = (number.significand - 1) / (number.significand + 1)
        let square = ratio * ratio
        var (sum, power) = (0.0, ratio)
        for index in 0..<16 {
            sum += power / Double(2 * index + 1)
            power *= square
        }
        return -(Double(number.exponent) * 0.693_147_180_559_945_3 + 2 * sum)
    }
}
