import AsyncIOKernel

/// The ports of one transport on one host.
struct Ports {
    private struct Port {
        var sockets: [IPSocket] = []
        /// Connections that a listener has accepted here.
        var connections = 0
        /// Until when a connection that this side has ended may get a late packet (TIME_WAIT).
        var quietUntil = Instant.distantPast
    }

    // Looked up, and never walked through: the order of a dictionary is nobody's.
    private var ports: [UInt16: Port] = [:]
    private var next: UInt16 = 49_151

    /// The range of ports that are given out (ip_local_port_range of ip(7)).
    private static let first: UInt16 = 32_768

    mutating func freePort() -> UInt16? {
        for _ in Self.first...UInt16.max {
            next = next == UInt16.max ? Self.first : next + 1
            // One that only waits for late packets is good for another peer, or for the same one some seconds later.
            guard let port = ports[next], !port.sockets.isEmpty || port.connections > 0 else { return next }
        }
        return nil
    }

    func canTake(_ socket: IPSocket, _ now: Instant) -> Bool {
        guard let port = ports[socket.local.port] else { return true }
        if !socket.options.reuseAddress && (port.connections > 0 || port.quietUntil > now) { return false }
        return port.sockets.allSatisfy { !$0.overlaps(socket) || socket.tolerates($0) }
    }

    mutating func add(_ socket: IPSocket) { ports[socket.local.port, default: Port()].sockets.append(socket) }

    mutating func remove(_ socket: IPSocket, quietUntil: Instant? = nil) {
        change(socket.local.port, quietUntil) { $0.sockets.removeAll { $0 === socket } }
    }

    mutating func addConnection(_ port: UInt16) { ports[port, default: Port()].connections += 1 }

    mutating func removeConnection(_ port: UInt16, quietUntil: Instant? = nil) {
        change(port, quietUntil) { $0.connections -= 1 }
    }

    private mutating func change(_ number: UInt16, _ quietUntil: Instant?, _ body: (inout Port) -> Void) {
        guard var port = ports[number] else { return }
        body(&port)
        if let quietUntil { port.quietUntil = max(port.quietUntil, quietUntil) }
        let isUsed = !port.sockets.isEmpty || port.connections > 0 || port.quietUntil > .distantPast
        ports[number] = isUsed ? port : nil
    }

    /// Who is bound to a port, the first one first.
    func sockets(at port: UInt16) -> [IPSocket] { ports[port]?.sockets ?? [] }

    mutating func removeAll() { ports = [:] }
}
