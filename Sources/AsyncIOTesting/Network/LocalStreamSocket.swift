import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

/// A Unix stream socket of a simulated host (unix(7)). What is written is there at once.
final class LocalStreamSocket: LocalSocket {
    private enum State { case fresh, listening, connected, dead }

    private var state = State.fresh
    private var outgoing: LocalChannel?
    private var incoming: LocalChannel?
    private weak var peer: LocalStreamSocket?
    private var peerName: [UInt8] = []
    private var backlog = 0
    private var waiting = Queue<LocalStreamSocket>()

    override var kind: (type: CInt, number: CInt) { (CInt(SOCK_STREAM.rawValue), 0) }
    override var isListening: Bool { state == .listening }
    override var label: String {
        switch state {
        case .listening: "Unix listener \(text(name))"
        case .connected: "Unix stream \(text(name.isEmpty ? peerName : name))"
        case .fresh, .dead: "Unix stream"
        }
    }

    static func pair(_ kernel: HostKernel) -> (OpenDescription, OpenDescription) {
        let (one, other) = (LocalStreamSocket(kernel), LocalStreamSocket(kernel))
        one.join(other)
        return (one, other)
    }

    private func join(_ other: LocalStreamSocket) {
        let (out, back) = (
            LocalChannel(capacity: options.sendBuffer, worthwhile: options.sendBuffer / 3),
            LocalChannel(capacity: other.options.sendBuffer, worthwhile: other.options.sendBuffer / 3)
        )
        out.writer = self
        out.reader = other
        back.writer = other
        back.reader = self
        (outgoing, incoming, peer, state, peerName) = (out, back, other, .connected, other.name)
        (other.outgoing, other.incoming, other.peer, other.state, other.peerName) = (
            back, out, self, .connected, name
        )
    }

    // MARK: Connections

    override func listen(backlog: Int) -> Int {
        guard state == .fresh || state == .listening, !name.isEmpty else { return Errno.invalidArgument.negated }
        state = .listening
        self.backlog = min(backlog, 4096)
        return 0
    }

    override func connect(_ address: SocketAddress) -> Int {
        guard state == .fresh else {
            return state == .connected ? Errno.socketIsConnected.negated : Errno.invalidArgument.negated
        }
        switch find(address) {
        case .failure(let error): return error.negated
        case .success(let found):
            guard let listener = found as? LocalStreamSocket, listener.state == .listening, let kernel else {
                return Errno.connectionRefused.negated
            }
            guard listener.waiting.count <= listener.backlog else { return Errno.wouldBlock.negated }
            let child = LocalStreamSocket(kernel)
            child.name = listener.name
            child.options = listener.options
            join(child)
            listener.waiting.append(child)
            listener.raiseAll()
            return 0
        }
    }

    override func accept() -> (Int, [UInt8]) {
        guard state == .listening else { return (Errno.invalidArgument.negated, []) }
        let (result, child) = takeFirst(of: &waiting)
        guard let child else { return (result, []) }
        return (result, Self.sockaddr(child.peerName))
    }

    override var peerAddress: (Int, [UInt8]) {
        guard state == .connected else { return (Errno.socketNotConnected.negated, []) }
        return (0, Self.sockaddr(peerName))
    }

    // MARK: Moving bytes

    /// As unix_poll of the kernel has it.
    override var readiness: UInt32 {
        switch state {
        case .listening: return waiting.isEmpty ? 0 : Interest.input
        case .fresh, .dead: return Interest.output | Interest.hangUp | failureBit
        case .connected:
            guard let incoming, let outgoing else { return 0 }
            var bits = failureBit
            if incoming.count > 0 { bits |= Interest.input }
            if incoming.isFinished { bits |= Interest.input | Interest.peerFinished }
            if incoming.isFinished && (outgoing.isFinished || outgoing.hasNoReader) { bits |= Interest.hangUp }
            if outgoing.room > 0 || outgoing.hasNoReader { bits |= Interest.output }
            return bits
        }
    }

    override func read(into memory: UnsafeMutableRawBufferPointer) -> Int {
        guard let incoming else { return Errno.invalidArgument.negated }
        if incoming.count == 0 && error != 0 { return takeError() }
        if incoming.count > 0 && isDrawnToFail(Interest.input) { return Errno.wouldBlock.negated }
        return unsafe incoming.read(into: memory) { drawn($0, Interest.input) }
    }

    override func write(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard let outgoing else { return Errno.socketNotConnected.negated }
        // The error, if there is one, is the next read's.
        if outgoing.isFinished || outgoing.hasNoReader { return Errno.brokenPipe.negated }
        if error != 0 { return takeError() }
        if isDrawnToFail(Interest.output) { return Errno.wouldBlock.negated }
        return unsafe outgoing.write(bytes) { drawn($0, Interest.output) }
    }

    override func send(message: UnsafeMutablePointer<msghdr>) -> Int {
        if unsafe message.pointee.msg_controllen > 0 {
            return kernel?.refuse("passing descriptors") ?? Errno.ioError.negated
        }
        return unsafe MessageBytes(message).gather { unsafe write($0) }
    }

    override func receive(message: UnsafeMutablePointer<msghdr>) -> Int {
        unsafe MessageName.clear(message)
        return unsafe MessageBytes(message).scatter { unsafe read(into: $0) }
    }

    override var waitingBytes: Int { incoming?.count ?? 0 }

    override func optionsHaveChanged() { outgoing?.capacity = options.sendBuffer }

    // MARK: Ending

    override func finishSending() -> Int {
        guard state == .connected, let outgoing else { return Errno.socketNotConnected.negated }
        outgoing.finish()
        raiseAll()
        return 0
    }

    override func hasClosed() {
        isClosed = true
        network.forget(self)
        while let child = waiting.removeFirst() { child.leave(isReset: true) }
        leave(isReset: (incoming?.count ?? 0) > 0)
    }

    /// Bytes that nobody has read are an error for who has sent them.
    private func leave(isReset: Bool) {
        guard state == .connected else { return }
        state = .dead
        if isReset { peer?.error = ECONNRESET }
        incoming?.loseReader()
        outgoing?.finish()
    }
}
