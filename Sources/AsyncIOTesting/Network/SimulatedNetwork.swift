import AsyncIOKernel

/// The network between a simulated world's hosts.
///
/// Every host reaches every other one by its addresses, over a link of its own for each direction; an address that no
/// host has swallows what is sent to it. A host's loopback takes some microseconds, and no fault touches it. To be used
/// by code of the simulation alone.
public final class SimulatedNetwork: @unchecked Sendable {
    private unowned let world: World
    /// What hosts are connected by, unless a link of their own was set.
    public var link = Link() {
        didSet { for route in routes where route.ownLink == nil { route.use(link) } }
    }
    /// In the order in which they were first needed.
    private var routes: [Route] = []
    private var places: [Pair: Route] = [:]
    private var owners: [IPAddress: SimulatedHost] = [:]
    private var knownHosts = 0

    private struct Pair: Hashable {
        let from: Int
        let to: Int
    }

    init(_ world: World) { self.world = world }

    /// The addresses of the host that was added so many hosts ago.
    static func usualAddresses(_ number: Int) throws -> [SocketAddress] {
        [
            try SocketAddress(host: "10.0.\(number / 250).\(number % 250 + 1)", port: 0),
            try SocketAddress(host: "fd00::\(String(number + 1, radix: 16))", port: 0),
        ]
    }

    // MARK: Links

    /// The link of one direction.
    public func link(from: SimulatedHost, to: SimulatedHost) -> Link { route(from: from, to: to).link }

    /// Gives one direction a link of its own, from the next packet on.
    public func setLink(_ link: Link, from: SimulatedHost, to: SimulatedHost) {
        let route = route(from: from, to: to)
        guard !route.isLoopback else { return }
        route.ownLink = link
        route.use(link)
    }

    /// Gives both directions between two hosts a link of their own, from the next packet on.
    public func setLink(_ link: Link, between one: SimulatedHost, and other: SimulatedHost) {
        setLink(link, from: one, to: other)
        setLink(link, from: other, to: one)
    }

    // MARK: Faults

    /// Separates groups of hosts: nothing passes from one group to another, in both directions, until ``heal()``. What
    /// is under way is lost. Hosts that are in no group reach everybody.
    public func partition(_ groups: [SimulatedHost]...) {
        for (index, group) in groups.enumerated() {
            for other in groups[(index + 1)...] {
                for one in group {
                    for two in other {
                        cut(from: one, to: two)
                        cut(from: two, to: one)
                    }
                }
            }
        }
    }

    /// Lets nothing pass in one direction, until ``heal()``. What is under way is lost.
    public func cut(from: SimulatedHost, to: SimulatedHost) {
        let route = route(from: from, to: to)
        guard !route.isLoopback, !route.isCut else { return }
        route.isCut = true
        world.record(from, "cut", to.number)
        from.life?.kernel.network.haveBeenCutOff(from: to)
        to.life?.kernel.network.haveBeenCutOff(from: from)
    }

    /// Ends all cuts, partitions and clogs. Streams go on with their next retransmission.
    public func heal() {
        for route in routes {
            heal(route)
            if route.isClogged { unclog(from: route.from, to: route.to) }
        }
    }

    /// Ends the cut of one direction.
    public func heal(from: SimulatedHost, to: SimulatedHost) { heal(route(from: from, to: to)) }

    private func heal(_ route: Route) {
        guard route.isCut else { return }
        route.isCut = false
        world.record(route.from, "heal", route.to.number)
    }

    /// Holds back what passes in one direction, until ``unclog(from:to:)``.
    public func clog(from: SimulatedHost, to: SimulatedHost) {
        let route = route(from: from, to: to)
        guard !route.isLoopback else { return }
        world.record(from, "clog", to.number)
        route.clog()
        from.life?.kernel.network.haveBeenCutOff(from: to)
        to.life?.kernel.network.haveBeenCutOff(from: from)
    }

    /// Delivers at once what was held back in one direction, in its order.
    public func unclog(from: SimulatedHost, to: SimulatedHost) {
        world.record(from, "unclog", to.number)
        route(from: from, to: to).unclog()
    }

    /// Breaks off every TCP connection between two hosts: both ends find it reset.
    public func reset(between one: SimulatedHost, and other: SimulatedHost) {
        world.record(one, "reset", other.number)
        one.life?.kernel.network.resetConnections(with: other)
        if one !== other { other.life?.kernel.network.resetConnections(with: one) }
    }

    // MARK: What sockets ask

    /// The loopback's time, one way.
    private static let loopback = Link { $0.latency = .fixed(.microseconds(5)) }

    func route(from: SimulatedHost, to: SimulatedHost) -> Route {
        let pair = Pair(from: from.number, to: to.number)
        if let route = places[pair] { return route }
        let route = Route(world, from: from, to: to, from === to ? Self.loopback : link)
        if route.isLoopback { route.ownLink = Self.loopback }
        places[pair] = route
        routes.append(route)
        return route
    }

    /// The host that has an address; nil if none has.
    func owner(of address: IPAddress) -> SimulatedHost? {
        while knownHosts < world.hosts.count {
            let host = world.hosts[knownHosts]
            for address in host.addresses {
                if let endpoint = Endpoint(address) { owners[endpoint.address] = host }
            }
            knownHosts += 1
        }
        return owners[address]
    }
}
