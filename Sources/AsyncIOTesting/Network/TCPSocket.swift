import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

/// A TCP socket of a simulated host: fresh, listening, connecting or connected.
final class TCPSocket: IPSocket {
    enum State { case fresh, listening, connecting, connected, dead }

    @safe @exclusivity(unchecked) var state = State.fresh
    var peer: Endpoint?
    var peerHost: SimulatedHost?
    /// What this socket sends, and what it receives.
    @safe @exclusivity(unchecked) var outgoing: TCPFlow?
    @safe @exclusivity(unchecked) var incoming: TCPFlow?
    /// No descriptor refers to it any more; the connection ends on its own.
    @safe @exclusivity(unchecked) private(set) var isOrphan = false
    /// Its place among the sockets of its host.
    var index: Int?
    /// How long nobody may acknowledge what was sent; nil is the system's time.
    var userTimeout: Duration?

    // What a listener keeps.
    var backlog = 0
    /// Connections that wait to be accepted.
    var waiting = Queue<TCPSocket>()
    /// Connections whose handshake is not over.
    var halfOpen = 0

    /// It has said that it is over before the peer did: its port is kept for packets that are late (TIME_WAIT).
    private(set) var endsFirst = false

    // What a connection keeps until it is complete.
    /// Its listener, until it was accepted.
    var listener: TCPSocket?
    @safe @exclusivity(unchecked) var isHalfOpen = false
    /// It was made by a listener, and shares its port.
    var isAccepted = false
    var attempts = 0
    /// What the server's side of the handshake has made.
    var counterpart: TCPSocket?

    override var kind: (type: CInt, number: CInt) { (CInt(SOCK_STREAM.rawValue), CInt(IPPROTO_TCP)) }
    override var isListening: Bool { state == .listening }

    override var label: String {
        switch state {
        case .listening: "TCP listener \(local.text)"
        case .fresh: "TCP socket"
        default: "TCP \(local.text) → \(peer?.text ?? "?")"
        }
    }

    // MARK: Readiness

    /// As tcp_poll of the kernel has it.
    override var readiness: UInt32 {
        switch state {
        case .listening: return waiting.isEmpty ? 0 : Interest.input
        case .fresh: return Interest.output | Interest.hangUp | failureBit
        case .connecting: return failureBit
        case .dead:
            return Interest.input | Interest.output | Interest.peerFinished | Interest.hangUp | failureBit
        case .connected:
            guard let incoming, let outgoing else { return 0 }
            var bits = failureBit
            if incoming.endHasArrived {
                bits |= Interest.input | Interest.peerFinished
                if outgoing.isFinishing { bits |= Interest.hangUp }
            }
            if incoming.available > 0 { bits |= Interest.input }
            if outgoing.isFinishing || outgoing.room > 0 { bits |= Interest.output }
            return bits
        }
    }

    override var noise: UInt32 { state == .connecting ? 0 : super.noise }

    // MARK: Moving bytes

    override func read(into memory: UnsafeMutableRawBufferPointer) -> Int {
        guard let incoming else { return readNothing() }
        let available = incoming.available
        guard available > 0 else {
            if incoming.endHasArrived { return 0 }
            return readNothing()
        }
        guard memory.count > 0 else { return 0 }
        if isDrawnToFail(Interest.input) { return Errno.wouldBlock.negated }
        let count = drawn(min(available, memory.count), Interest.input)
        unsafe incoming.read(into: UnsafeMutableRawBufferPointer(rebasing: memory[..<count]))
        return count
    }

    private func readNothing() -> Int {
        if error != 0 { return takeError() }
        return switch state {
        case .dead: 0
        case .fresh, .listening: Errno.socketNotConnected.negated
        case .connecting, .connected: Errno.wouldBlock.negated
        }
    }

    override func write(_ bytes: UnsafeRawBufferPointer) -> Int {
        if error != 0 { return takeError() }
        switch state {
        case .connecting: return Errno.wouldBlock.negated
        case .fresh, .listening, .dead: return Errno.brokenPipe.negated
        case .connected: break
        }
        guard let outgoing, !outgoing.isFinishing else { return Errno.brokenPipe.negated }
        guard bytes.count > 0 else { return 0 }
        if isDrawnToFail(Interest.output) { return Errno.wouldBlock.negated }
        outgoing.absorb()
        guard outgoing.room > 0 else {
            outgoing.waitForRoom()
            return Errno.wouldBlock.negated
        }
        let count = drawn(min(outgoing.room, bytes.count), Interest.output)
        unsafe outgoing.write(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
        return count
    }

    override func send(message: UnsafeMutablePointer<msghdr>) -> Int {
        if unsafe message.pointee.msg_controllen > 0 { return Errno.invalidArgument.negated }
        return unsafe MessageBytes(message).gather { unsafe write($0) }
    }

    override func receive(message: UnsafeMutablePointer<msghdr>) -> Int {
        unsafe message.pointee.msg_controllen = 0
        unsafe message.pointee.msg_namelen = 0
        unsafe message.pointee.msg_flags = 0
        return unsafe MessageBytes(message).scatter { unsafe read(into: $0) }
    }

    override var waitingBytes: Int { incoming?.available ?? 0 }

    override var peerAddress: (Int, [UInt8]) {
        guard state == .connected, let peer else { return (Errno.socketNotConnected.negated, []) }
        return (0, peer.sockaddr(family))
    }

    override func bind(_ address: SocketAddress) -> Int {
        guard state == .fresh else { return Errno.invalidArgument.negated }
        switch endpoint(address) {
        case .failure(let error): return error.negated
        case .success(let wanted): return network.bind(self, wanted)
        }
    }

    override func connect(_ address: SocketAddress) -> Int { begin(address) }
    override func listen(backlog: Int) -> Int { beginListening(backlog) }
    override func accept() -> (Int, [UInt8]) { takeConnection() }

    override func tolerates(_ other: IPSocket) -> Bool {
        if options.reusePort && other.options.reusePort { return true }
        return options.reuseAddress && other.options.reuseAddress && !other.isListening
    }

    override func optionsHaveChanged() {
        outgoing?.sendLimit = options.sendBuffer
        incoming?.receiveLimit = options.receiveBuffer
        readTimeout()
        if options.keepsAlive { suspectPeer() }
    }

    func readTimeout() {
        userTimeout = options.number(CInt(IPPROTO_TCP), TCP_USER_TIMEOUT).flatMap { $0 > 0 ? .milliseconds($0) : nil }
    }

    // MARK: Ending

    override func finishSending() -> Int {
        guard state == .connected, outgoing != nil else { return Errno.socketNotConnected.negated }
        finish()
        raiseAll()
        return 0
    }

    /// Nothing more will be sent.
    private func finish() {
        guard let outgoing, !outgoing.isFinishing else { return }
        endsFirst = incoming?.endHasArrived != true
        outgoing.finish()
    }

    /// The last descriptor is gone.
    override func hasClosed() {
        isOrphan = true
        switch state {
        case .fresh, .dead: network.release(self)
        case .listening: stopListening()
        case .connecting: die()
        case .connected:
            if (incoming?.available ?? 0) > 0 || options.lingersNoTime {
                breakOff()
            } else {
                finish()
                network.awaitEnd(of: self)
                releaseIfDone()
            }
        }
    }

    /// Tells the peer that nobody is there any more, and ends.
    func breakOff() {
        if let outgoing {
            world.record(outgoing.route.from, "rst", outgoing.route.to.number)
            let target = outgoing
            // In its order behind what is under way.
            _ = outgoing.route.carry(0, notBefore: outgoing.afterFlight) { target.receiver?.receiveReset() }
        }
        die()
    }

    /// Bytes come for somebody who has closed.
    func refuseBytes() { breakOff() }

    /// A packet says that the peer does not know of this connection, or not any more.
    func receiveReset() {
        guard state == .connected, !isGone else { return }
        let isHalfClosed = incoming?.endHasArrived == true
        fail(isHalfClosed ? .brokenPipe : .connectionReset)
    }

    func fail(_ reason: Errno) {
        guard state == .connected || state == .connecting else { return }
        error = reason.rawValue
        world.record(network.host, "fail", Int(local.port), Int(reason.rawValue))
        die()
        raiseAll()
    }

    /// Nothing is sent or received any more.
    private func die() {
        if isHalfOpen { leaveHandshake() }
        state = .dead
        // What is under way to the peer arrives, unless the reset is faster.
        outgoing?.abandon()
        network.release(self)
    }

    /// Something has come: bytes, or the end.
    func hasReceived() {
        if isHalfOpen { completeHandshake() }
        raiseAll()
        if incoming?.endHasArrived == true {
            releaseIfDone()
            outgoing?.receiver?.releaseIfDone()
        }
    }

    /// Both directions have ended and nobody holds it.
    func releaseIfDone() {
        guard isOrphan, incoming?.endHasArrived == true, outgoing?.endHasArrived == true else { return }
        network.release(self)
    }

    /// The connection is over: nobody finds this socket any more.
    func cutOff() {
        outgoing?.sender = nil
        incoming?.receiver = nil
        listener = nil
        counterpart = nil
    }

    // MARK: Peers that say nothing

    /// The peer may be gone: who waits for word from it, or asks from time to time, finds out.
    func suspectPeer() {
        guard state == .connected, let outgoing, let incoming else { return }
        outgoing.suspect()
        guard options.keepsAlive, !isProbing,
            outgoing.route.isObstructed || outgoing.back.isObstructed
                || outgoing.receiver?.network.isDown ?? true
        else { return }
        isProbing = true
        let idle = Duration.seconds(options.number(CInt(IPPROTO_TCP), TCP_KEEPIDLE) ?? 7200)
        world.at(max(world.now, incoming.lastActivity.advanced(by: idle))) { self.probe(1) }
    }

    private var isProbing: Bool {
        get { probes > 0 }
        set { probes = newValue ? 1 : 0 }
    }
    private var probes = 0

    /// Asks whether the peer is still there.
    private func probe(_ number: Int) {
        guard state == .connected, !isGone, options.keepsAlive, let outgoing else {
            isProbing = false
            return
        }
        let passes = !outgoing.route.isObstructed && !outgoing.back.isObstructed
        if passes, let life = peerHost?.life {
            isProbing = false
            if outgoing.receiver == nil || life.kernel.network !== outgoing.receiver?.network { receiveReset() }
            return
        }
        guard number <= options.number(CInt(IPPROTO_TCP), TCP_KEEPCNT) ?? 9 else { return fail(.timedOut) }
        let pause = Duration.seconds(options.number(CInt(IPPROTO_TCP), TCP_KEEPINTVL) ?? 75)
        world.at(world.now.advanced(by: pause)) { self.probe(number + 1) }
    }
}
