import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

// Three packets make a connection: the client asks, the server answers, the client says that it has heard. Each may be
// lost; then the side that waits asks again after a second, two, four.
extension TCPSocket {
    /// Six repetitions (tcp_syn_retries): Linux gives up after 127 seconds.
    private static let requests = 7
    /// Five repetitions of the answer (tcp_synack_retries).
    private static let answers = 6

    func begin(_ address: SocketAddress) -> Int {
        switch state {
        case .connecting: return Errno.alreadyInProcess.negated
        case .connected, .listening: return Errno.socketIsConnected.negated
        case .fresh, .dead: break
        }
        guard !isOrphan, state == .fresh else { return Errno.invalidArgument.negated }
        switch endpoint(address) {
        case .failure(let error): return error.negated
        case .success(let target): return connect(to: target)
        }
    }

    private func connect(to wanted: Endpoint) -> Int {
        guard !wanted.address.isMulticast, !wanted.address.isBroadcast else {
            return Errno.networkUnreachable.negated
        }
        guard let way = network.way(to: wanted.address) else { return Errno.networkUnreachable.negated }
        if !isBound {
            let result = network.bind(self, Endpoint(way.source, 0))
            guard result >= 0 else { return Errno.addressNotAvailable.negated }
        } else if local.address.isAny {
            local.address = way.source
        }
        peer = Endpoint(way.target, wanted.port)
        peerHost = way.host
        state = .connecting
        network.add(self)
        request()
        return Errno.nowInProgress.negated
    }

    // MARK: The client's side

    private func request() {
        guard state == .connecting, !isGone else { return }
        attempts += 1
        guard attempts <= Self.requests else { return fail(.timedOut) }
        if let peerHost {
            let route = world.network.route(from: network.host, to: peerHost)
            _ = route.carry(0) { [self] in
                peerHost.machine?.receiveRequest(of: self, from: network.host)
            }
        }
        expect(.seconds(1 << (attempts - 1))) { $0.request() }
    }

    private func expect(_ pause: Duration, _ action: @escaping (TCPSocket) -> Void) {
        world.at(world.now.advanced(by: pause)) { action(self) }
    }

    /// The server has answered.
    private func receiveAnswer(of server: TCPSocket) {
        guard !isGone, counterpart === server || counterpart == nil else { return }
        if state == .connecting {
            state = .connected
            outgoing = server.incoming
            incoming = server.outgoing
            outgoing?.sender = self
            incoming?.receiver = self
            counterpart = server
            outgoing?.sendLimit = options.sendBuffer
            incoming?.receiveLimit = options.receiveBuffer
            raiseAll()
        }
        // Also when the answer was repeated: then our word was lost.
        let route = world.network.route(from: network.host, to: server.network.host)
        _ = route.carry(0) {
            guard !server.isGone, server.isHalfOpen else { return }
            if server.defersAccept { server.waitForBytes() } else { server.completeHandshake() }
        }
    }

    // MARK: The server's side

    func beginListening(_ backlog: Int) -> Int {
        guard state == .fresh || state == .listening else { return Errno.invalidArgument.negated }
        if state == .fresh {
            if !isBound {
                let result = network.bind(self, local)
                guard result >= 0 else { return result }
            }
            let rivals = network.tcpPorts.sockets(at: local.port)
            let isTaken = rivals.contains {
                $0 !== self && $0.isListening && $0.overlaps(self)
                    && !($0.options.reusePort && options.reusePort)
            }
            guard !isTaken else { return Errno.addressInUse.negated }
            state = .listening
        }
        self.backlog = min(backlog, 4096)
        return 0
    }

    /// Somebody asks for a connection. Without room the question is dropped, as the kernel does it.
    func receiveRequest(of client: TCPSocket, to target: Endpoint, from host: SimulatedHost) {
        if client.hasCounterpart(in: network) {
            if let before = client.counterpart, before.isHalfOpen { before.sendAnswer(to: client) }
            return
        }
        client.counterpart = nil
        guard waiting.count + halfOpen <= backlog, let kernel else { return }
        let child = TCPSocket(kernel, family: family)
        child.options = options
        child.readTimeout()
        child.local = target
        child.isBound = true
        child.isAccepted = true
        child.peer = client.local
        child.peerHost = host
        child.state = .connected
        child.listener = self
        child.isHalfOpen = true
        halfOpen += 1
        let (way, back) = (
            world.network.route(from: host, to: network.host), world.network.route(from: network.host, to: host)
        )
        child.incoming = TCPFlow(
            way, back: back, sendLimit: client.options.sendBuffer, receiveLimit: options.receiveBuffer)
        child.outgoing = TCPFlow(
            back, back: way, sendLimit: options.sendBuffer, receiveLimit: client.options.receiveBuffer)
        child.incoming?.receiver = child
        child.outgoing?.sender = child
        client.counterpart = child
        network.add(child)
        child.answer(client)
    }

    private func answer(_ client: TCPSocket) {
        guard isHalfOpen, !isGone else { return }
        attempts += 1
        guard attempts <= Self.answers else { return giveUpHandshake() }
        sendAnswer(to: client)
        let number = attempts
        expect(.seconds(1 << (attempts - 1))) { server in
            if server.isHalfOpen && server.attempts == number { server.answer(client) }
        }
    }

    /// Answers once more to a question that was asked once more: no attempt of our own.
    private func sendAnswer(to client: TCPSocket) {
        guard isHalfOpen, !isGone, let outgoing else { return }
        _ = outgoing.route.carry(0) { [self] in
            guard isHalfOpen, !isGone else { return }
            guard !client.isGone, client.state == .connecting || client.state == .connected else {
                // Nobody waits for the answer any more.
                return giveUpHandshake()
            }
            client.receiveAnswer(of: self)
        }
    }

    /// Whether the other end of this connection lives, in that run of its host.
    func hasCounterpart(in network: HostNetwork) -> Bool {
        guard let counterpart else { return false }
        return !counterpart.isGone && counterpart.network === network && counterpart.state != .dead
    }

    private func giveUpHandshake() {
        leaveHandshake()
        state = .dead
        outgoing?.abandon()
        network.release(self)
    }

    /// The handshake is over, one way or the other.
    func leaveHandshake() {
        isHalfOpen = false
        listener?.halfOpen -= 1
    }

    /// TCP_DEFER_ACCEPT: who listens is not bothered before there is something to read, for that time.
    private var deferral: Int { options.number(CInt(IPPROTO_TCP), TCP_DEFER_ACCEPT) ?? 0 }
    private var defersAccept: Bool { deferral > 0 }

    private func waitForBytes() {
        // The client has heard the answer: it is not repeated.
        attempts += 1
        expect(.seconds(deferral)) { $0.completeHandshake() }
    }

    /// The client has heard: the connection waits to be accepted.
    func completeHandshake() {
        guard isHalfOpen else { return }
        leaveHandshake()
        guard let listener, listener.state == .listening else { return breakOff() }
        listener.waiting.append(self)
        listener.raiseAll()
    }

    func takeConnection() -> (Int, [UInt8]) {
        guard state == .listening else { return (Errno.invalidArgument.negated, []) }
        let (result, child) = takeFirst(of: &waiting)
        guard let child else { return (result, []) }
        child.listener = nil
        return (result, child.peer?.sockaddr(child.family) ?? [])
    }

    func stopListening() {
        state = .dead
        while let child = waiting.removeFirst() { child.breakOff() }
        network.release(self)
    }
}
