import AsyncIOKernel
import CAsyncIO
import Glibc
import SystemPackage

/// The network of one run of a host: its sockets, the ports and paths that are taken.
final class HostNetwork {
    unowned let world: World
    unowned let host: SimulatedHost
    /// The host has crashed, or is shut down.
    private(set) var isDown = false
    var tcpPorts = Ports()
    var udpPorts = Ports()
    /// Connections and connecting sockets, in an order that the run alone decides.
    private var connections: [TCPSocket] = []
    /// Connections that nobody holds any more, and when each is looked at again; the oldest first.
    private var orphans = Queue<Orphan>()

    private struct Orphan {
        weak var socket: TCPSocket?
        let deadline: Instant
    }
    /// Names of Unix sockets without files. Looked up, and never walked through.
    var abstractNames: [[UInt8]: LocalSocket] = [:]
    var abstractNumbers = 0

    init(_ host: SimulatedHost) {
        self.host = host
        world = host.world
    }

    /// How many connections there are, also such as only one side has closed.
    var openConnections: Int { connections.count }

    // Connections and their flows know each other.
    deinit { for socket in connections { socket.cutOff() } }

    /// Nil for a family or type that is not simulated.
    func makeSocket(_ kernel: HostKernel, family: CInt, type: CInt) -> OpenDescription? {
        switch (family, type) {
        case (AF_INET, CInt(SOCK_STREAM.rawValue)), (AF_INET6, CInt(SOCK_STREAM.rawValue)):
            TCPSocket(kernel, family: family)
        case (AF_INET, CInt(SOCK_DGRAM.rawValue)), (AF_INET6, CInt(SOCK_DGRAM.rawValue)):
            IPDatagramSocket(kernel, family: family)
        case (AF_UNIX, CInt(SOCK_STREAM.rawValue)): LocalStreamSocket(kernel)
        case (AF_UNIX, CInt(SOCK_DGRAM.rawValue)): LocalDatagramSocket(kernel)
        default: nil
        }
    }

    /// A connected pair of Unix sockets.
    func makePair(_ kernel: HostKernel, type: CInt) -> (OpenDescription, OpenDescription) {
        type == CInt(SOCK_DGRAM.rawValue) ? LocalDatagramSocket.pair(kernel) : LocalStreamSocket.pair(kernel)
    }

    func makePipe(_ kernel: HostKernel) -> (OpenDescription, OpenDescription) { PipeEnd.pair(kernel) }

    /// Every socket is gone; peers hear nothing, or that the connection is reset when they send.
    func crash(_ kernel: HostKernel) {
        isDown = true
        tcpPorts.removeAll()
        udpPorts.removeAll()
        abstractNames = [:]
        let lost = connections
        connections = []
        for socket in lost {
            socket.index = nil
            let peer = socket.incoming?.sender
            socket.cutOff()
            peer?.suspectPeer()
        }
    }

    // MARK: Addresses and ways

    func has(_ address: IPAddress) -> Bool { world.network.owner(of: address) === host }

    /// Where packets to an address go, and from which address. The host is nil if nobody has the address; no way at all
    /// is there for a version that this host does not speak.
    func way(to wanted: IPAddress) -> (host: SimulatedHost?, target: IPAddress, source: IPAddress)? {
        if wanted.isAny || wanted.isLoopback {
            let target = !wanted.isAny ? wanted : wanted.isV4 ? .loopbackV4 : .loopbackV6
            return (host, target, target)
        }
        if has(wanted) { return (host, wanted, wanted) }
        for address in host.addresses {
            if let own = Endpoint(address)?.address, own.isV4 == wanted.isV4 {
                return (world.network.owner(of: wanted), wanted, own)
            }
        }
        return nil
    }

    func bind(_ socket: TCPSocket, _ wanted: Endpoint) -> Int {
        forgetOrphans()
        return socket.take(wanted, in: &tcpPorts)
    }

    // MARK: Connections

    /// A client asks for a connection.
    func receiveRequest(of client: TCPSocket, from other: SimulatedHost) {
        guard let target = client.peer, !isDown else { return }
        if let listener = listener(at: target) {
            listener.receiveRequest(of: client, to: target, from: other)
        } else if !client.hasCounterpart(in: self) {
            _ = world.network.route(from: host, to: other).carry(0) {
                guard client.state == .connecting, !client.isGone else { return }
                client.fail(.connectionRefused)
            }
        }
    }

    private func listener(at target: Endpoint) -> TCPSocket? {
        var exact: [TCPSocket] = []
        var general: [TCPSocket] = []
        for socket in tcpPorts.sockets(at: target.port) where socket.isListening && socket.takes(target.address) {
            guard let socket = socket as? TCPSocket else { continue }
            if socket.local.address.isAny { general.append(socket) } else { exact.append(socket) }
        }
        let group = exact.isEmpty ? general : exact
        // Who share a port get the connections by chance.
        return group.count > 1 ? group[world.random.below(group.count)] : group.first
    }

    func add(_ socket: TCPSocket) {
        forgetOrphans()
        guard socket.index == nil else { return }
        socket.index = connections.count
        connections.append(socket)
        if socket.isAccepted { tcpPorts.addConnection(socket.local.port) }
    }

    /// Nobody holds the connection any more, and its peer has not ended it.
    func awaitEnd(of socket: TCPSocket) {
        // A minute (tcp_fin_timeout of tcp(7)).
        orphans.append(Orphan(socket: socket, deadline: world.now.advanced(by: .seconds(60))))
    }

    /// Lets go of connections whose peers have heard that they are over, and have not ended them in their time. Done
    /// when the next one comes: nothing can be seen of it before, and it takes no event that keeps a world going.
    private func forgetOrphans() {
        while let first = orphans.first, first.deadline <= world.now {
            orphans.removeFirst()
            guard let socket = first.socket, socket.index != nil, socket.state == .connected else { continue }
            if socket.outgoing?.endHasArrived == true { release(socket) } else { awaitEnd(of: socket) }
        }
    }

    /// Gives back what a socket has of the host.
    func release(_ socket: TCPSocket) {
        socket.cutOff()
        guard !isDown else { return }
        // Who says first that it is over keeps the port for a minute, for packets that are late.
        let hasEnded = socket.outgoing?.endHasArrived == true && socket.incoming?.endHasArrived == true
        let endedFirst = hasEnded && socket.endsFirst
        let quiet = endedFirst ? world.now.advanced(by: .seconds(60)) : nil
        if let index = socket.index {
            socket.index = nil
            let last = connections.removeLast()
            if last !== socket {
                connections[index] = last
                last.index = index
            }
            if socket.isAccepted { tcpPorts.removeConnection(socket.local.port, quietUntil: quiet) }
        }
        if socket.isBound && !socket.isAccepted {
            socket.isBound = false
            tcpPorts.remove(socket, quietUntil: quiet)
        }
    }

    /// Nothing comes from there any more, or nothing gets there, or not yet.
    func haveBeenCutOff(from other: SimulatedHost) {
        for socket in connections where socket.peerHost === other { socket.suspectPeer() }
    }

    func resetConnections(with other: SimulatedHost) {
        for socket in connections where socket.peerHost === other { socket.receiveReset() }
    }
}
