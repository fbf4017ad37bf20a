import AsyncIOKernel

// Datagrams meet what a link does to packets, each for itself.
extension Route {
    /// What IP and UDP put before a datagram's bytes.
    private static let header = 28

    /// Sends a datagram: it may be lost, doubled, or overtaken.
    func carry(_ packet: IPDatagramSocket.Packet) {
        guard !isLoopback else { return carryOnce(packet, fragments: 1) }
        let room = max(link.mtu, 576) - 20
        let fragments = (packet.bytes.count + 8 + room - 1) / room
        if queue > link.queueLimit { return note("overflow", packet) }
        if world.strikes("duplication", link.duplication) {
            note("double", packet)
            carryOnce(packet, fragments: fragments)
        }
        carryOnce(packet, fragments: fragments)
    }

    private func carryOnce(_ packet: IPDatagramSocket.Packet, fragments: Int) {
        guard var time = send(packet.bytes.count + Self.header - Self.overhead, packets: fragments) else {
            return note("lose", packet)
        }
        if !isLoopback && world.strikes("reordering", link.reordering) {
            // Later ones get past it: up to three more times on its way, and never less than a little.
            let most = Int(3 * usualLatency) + 1_000_000
            var details = world.perturbations.details
            time = Instant(nanoseconds: time.nanoseconds + Int64(1 + details.below(most)))
        }
        world.at(time) { [self] in
            arrive { [self] in to.machine?.receive(packet, from: self) }
        }
    }

    private func note(_ verb: StaticString, _ packet: IPDatagramSocket.Packet) {
        world.record(from, verb, to.number, packet.bytes.count)
    }
}

extension HostNetwork {
    func bind(_ socket: IPDatagramSocket, _ wanted: Endpoint) -> Int { socket.take(wanted, in: &udpPorts) }

    func release(_ socket: IPDatagramSocket) {
        guard !isDown, socket.isBound else { return }
        socket.isBound = false
        udpPorts.remove(socket)
    }

    /// A datagram has come: to the socket that fits best, of several to the last, of those that share the port to any.
    func receive(_ packet: IPDatagramSocket.Packet, from route: Route) {
        var best: [IPDatagramSocket] = []
        var mark = -1
        for socket in udpPorts.sockets(at: packet.target.port) {
            guard let socket = socket as? IPDatagramSocket, let match = socket.match(packet), match >= mark else {
                continue
            }
            if match > mark || !socket.options.reusePort { best = [] }
            mark = match
            best.append(socket)
        }
        if let receiver = best.count > 1 ? best[world.random.below(best.count)] : best.first {
            receiver.take(packet)
        } else {
            answerNobody(packet, route)
        }
    }

    /// ICMP's "port unreachable", to the socket that has sent.
    private func answerNobody(_ packet: IPDatagramSocket.Packet, _ route: Route) {
        let back = world.network.route(from: host, to: route.from)
        _ = back.carry(28) { route.from.machine?.hearOfNobody(packet) }
    }

    private func hearOfNobody(_ packet: IPDatagramSocket.Packet) {
        for socket in udpPorts.sockets(at: packet.source.port) {
            (socket as? IPDatagramSocket)?.hearOfNobody(at: packet.target)
        }
    }
}
