import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

/// A Unix datagram socket of a simulated host: reliable, in order, and with a short queue (unix(7)).
final class LocalDatagramSocket: LocalSocket {
    private struct Message {
        let bytes: [UInt8]
        let from: [UInt8]
    }

    private weak var peer: LocalDatagramSocket?
    private var isConnected = false
    private var peerName: [UInt8] = []
    private var queue = Queue<Message>()
    /// Connected sockets that wait for room in the queue.
    private var blocked: [LocalDatagramSocket] = []

    /// max_dgram_qlen, and one more.
    private static let queueLimit = 11

    override var kind: (type: CInt, number: CInt) { (CInt(SOCK_DGRAM.rawValue), 0) }
    override var label: String { "Unix datagrams \(text(name))" }

    static func pair(_ kernel: HostKernel) -> (OpenDescription, OpenDescription) {
        let (one, other) = (LocalDatagramSocket(kernel), LocalDatagramSocket(kernel))
        one.join(other)
        other.join(one)
        return (one, other)
    }

    private func join(_ other: LocalDatagramSocket) { (peer, isConnected, peerName) = (other, true, other.name) }

    override func connect(_ address: SocketAddress) -> Int {
        switch find(address) {
        case .failure(let error): return error.negated
        case .success(let found):
            guard let other = found as? LocalDatagramSocket else { return Errno.connectionRefused.negated }
            join(other)
            return 0
        }
    }

    override var peerAddress: (Int, [UInt8]) {
        guard isConnected else { return (Errno.socketNotConnected.negated, []) }
        return (0, Self.sockaddr(peerName))
    }

    override var readiness: UInt32 {
        let isFull = peer.map { !$0.hasRoom } ?? false
        return (queue.isEmpty ? 0 : Interest.input) | (isFull ? 0 : Interest.output) | failureBit
    }

    private var hasRoom: Bool { queue.count < Self.queueLimit }

    override func send(message: UnsafeMutablePointer<msghdr>) -> Int {
        if unsafe message.pointee.msg_controllen > 0 {
            return kernel?.refuse("passing descriptors") ?? Errno.ioError.negated
        }
        if error != 0 { return takeError() }
        let given = unsafe MessageName.read(message)
        if given == nil && !isConnected { return Errno.socketNotConnected.negated }
        // Before anybody looks who would receive it, or whether he is still there.
        let bytes = unsafe MessageBytes(message).bytes
        guard bytes.count <= options.sendMemory - 32 else { return Errno.messageTooLong.negated }
        let target: LocalDatagramSocket
        if let given, let address = SocketAddress(sockaddr: given) {
            switch find(address) {
            case .failure(let error): return error.negated
            case .success(let found):
                guard let other = found as? LocalDatagramSocket else { return Errno.connectionRefused.negated }
                target = other
            }
        } else {
            guard let peer, !peer.isClosed else {
                isConnected = false
                return Errno.connectionRefused.negated
            }
            target = peer
        }
        if isDrawnToFail(Interest.output) { return Errno.wouldBlock.negated }
        guard target.hasRoom else {
            // Of another receiver's queue the kernel says nothing.
            if target === peer, !target.blocked.contains(where: { $0 === self }) { target.blocked.append(self) }
            return Errno.wouldBlock.negated
        }
        target.queue.append(Message(bytes: bytes, from: Self.sockaddr(name)))
        target.raiseAll()
        return bytes.count
    }

    override func receive(message: UnsafeMutablePointer<msghdr>) -> Int {
        if error != 0 { return takeError() }
        guard let first = queue.first else { return Errno.wouldBlock.negated }
        if isDrawnToFail(Interest.input) { return Errno.wouldBlock.negated }
        queue.removeFirst()
        unsafe message.pointee.msg_controllen = 0
        let result = unsafe MessageName.deliver(first.bytes, from: first.from.count > 2 ? first.from : [], message)
        let waiters = blocked
        blocked = []
        for waiter in waiters where !waiter.isClosed { waiter.raiseAll() }
        return result
    }

    override var waitingBytes: Int { queue.first?.bytes.count ?? 0 }

    override func hasClosed() {
        isClosed = true
        network.forget(self)
        queue.removeAll()
        let waiters = blocked
        blocked = []
        for waiter in waiters { waiter.raiseAll() }
    }
}
