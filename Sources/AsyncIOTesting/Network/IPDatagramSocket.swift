import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

/// A UDP socket of a simulated host (udp(7)).
final class IPDatagramSocket: IPSocket {
    /// A datagram on its way, and in the queue of its receiver.
    struct Packet {
        let bytes: [UInt8]
        let source: Endpoint
        let target: Endpoint
        let hops: CInt
        let mark: CInt
    }

    private var peer: Endpoint?
    private var queue = Queue<Packet>()
    private var queuedBytes = 0
    private var isClosed = false
    private var roomIsExpected = false

    /// What each datagram takes of the receive buffer beside its bytes.
    private static let overhead = 256

    override var kind: (type: CInt, number: CInt) { (CInt(SOCK_DGRAM.rawValue), CInt(IPPROTO_UDP)) }
    override var label: String {
        let own = "UDP \(local.text)"
        return peer.map { "\(own) → \($0.text)" } ?? own
    }

    // MARK: Addresses

    override func bind(_ address: SocketAddress) -> Int {
        switch endpoint(address) {
        case .failure(let error): return error.negated
        case .success(let wanted):
            if wanted.address.isMulticast { return kernel?.refuse("multicast") ?? Errno.ioError.negated }
            return network.bind(self, wanted)
        }
    }

    override func connect(_ address: SocketAddress) -> Int {
        switch endpoint(address) {
        case .failure(let error): return error.negated
        case .success(let wanted):
            guard let way = network.way(to: wanted.address) else { return Errno.networkUnreachable.negated }
            let result = bindIfNeeded()
            guard result >= 0 else { return result }
            // Who is connected gets from its peer alone; the kernel forgets the old address with the new one.
            if local.address.isAny { local.address = way.source }
            peer = Endpoint(way.target, wanted.port)
            return 0
        }
    }

    private func bindIfNeeded() -> Int { isBound ? 0 : network.bind(self, local) }

    override var peerAddress: (Int, [UInt8]) {
        guard let peer else { return (Errno.socketNotConnected.negated, []) }
        return (0, peer.sockaddr(family))
    }

    /// How well a packet fits; nil if it is not for this socket.
    func match(_ packet: Packet) -> Int? {
        guard takes(packet.target.address) else { return nil }
        if let peer { return peer == packet.source ? 2 : nil }
        return local.address.isAny ? 0 : 1
    }

    // MARK: Sending

    override var readiness: UInt32 {
        (queue.isEmpty ? 0 : Interest.input) | (roomIsExpected ? 0 : Interest.output) | failureBit
    }

    override func write(_ bytes: UnsafeRawBufferPointer) -> Int {
        unsafe send([UInt8](bytes), to: nil)
    }

    override func send(message: UnsafeMutablePointer<msghdr>) -> Int {
        var target: Endpoint?
        if let name = unsafe MessageName.read(message) {
            guard let address = SocketAddress(sockaddr: name) else { return Errno.invalidArgument.negated }
            switch endpoint(address) {
            case .failure(let error): return error.negated
            case .success(let endpoint): target = endpoint
            }
        }
        return unsafe send(MessageBytes(message).bytes, to: target, from: MessageName.readSource(message))
    }

    private func send(_ bytes: [UInt8], to wanted: Endpoint?, from chosen: IPAddress? = nil) -> Int {
        if error != 0 { return takeError() }
        guard let wanted = wanted ?? peer else { return Errno.addressRequired.negated }
        guard wanted.port != 0 else { return Errno.invalidArgument.negated }
        guard bytes.count <= (wanted.address.isV4 ? 65_507 : 65_527) else { return Errno.messageTooLong.negated }
        if wanted.address.isMulticast { return kernel?.refuse("multicast") ?? Errno.ioError.negated }
        if wanted.address.isBroadcast, !options.broadcast { return Errno.permissionDenied.negated }
        if wanted.address.isBroadcast { return kernel?.refuse("broadcast") ?? Errno.ioError.negated }
        guard let way = network.way(to: wanted.address) else { return Errno.networkUnreachable.negated }
        // A source that the caller has chosen has to be the host's own.
        let chosen = chosen.flatMap { $0.isAny ? nil : $0 }
        if let chosen, chosen.isV4 != wanted.address.isV4 || !chosen.isLoopback && !network.has(chosen) {
            return Errno.invalidArgument.negated
        }
        let result = bindIfNeeded()
        guard result >= 0 else { return result }
        if isDrawnToFail(Interest.output) { return Errno.wouldBlock.negated }
        guard let host = way.host else { return bytes.count }
        let route = world.network.route(from: network.host, to: host)
        if route.queue > options.sendBuffer { return waitForRoom(route) }
        let isV4 = wanted.address.isV4
        let level = CInt(isV4 ? IPPROTO_IP : IPPROTO_IPV6)
        let packet = Packet(
            bytes: bytes,
            source: Endpoint(chosen ?? (local.address.isAny ? way.source : local.address), local.port),
            target: Endpoint(way.target, wanted.port),
            hops: CInt(options.number(level, isV4 ? IP_TTL : IPV6_UNICAST_HOPS) ?? 64),
            mark: CInt(options.number(level, isV4 ? IP_TOS : IPV6_TCLASS) ?? 0))
        route.carry(packet)
        return bytes.count
    }

    /// What was sent is not on its way yet, for want of bandwidth.
    private func waitForRoom(_ route: Route) -> Int {
        guard !roomIsExpected else { return Errno.wouldBlock.negated }
        roomIsExpected = true
        world.at(route.time(untilQueueIs: options.sendBuffer / 2)) { [self] in
            roomIsExpected = false
            raiseAll()
        }
        return Errno.wouldBlock.negated
    }

    // MARK: Receiving

    /// A datagram has come. One for which there is no room is dropped.
    func take(_ packet: Packet) {
        let size = packet.bytes.count + Self.overhead
        guard queuedBytes + size <= 2 * options.receiveBuffer else {
            world.record(network.host, "drop", Int(local.port), packet.bytes.count)
            return
        }
        queuedBytes += size
        queue.append(packet)
        raiseAll()
    }

    /// Nobody was there (ICMP's "port unreachable"): a connected socket is told, any other is not.
    func hearOfNobody(at target: Endpoint) {
        guard peer == target, !isClosed else { return }
        error = ECONNREFUSED
        raiseAll()
    }

    override func read(into memory: UnsafeMutableRawBufferPointer) -> Int {
        switch next() {
        case .failure(let reason): return reason.negated
        case .success(let packet):
            unsafe memory.copyBytes(from: packet.bytes.prefix(memory.count))
            return min(packet.bytes.count, memory.count)
        }
    }

    override func receive(message: UnsafeMutablePointer<msghdr>) -> Int {
        switch next() {
        case .failure(let reason): return reason.negated
        case .success(let packet):
            unsafe report(packet, message)
            return unsafe MessageName.deliver(packet.bytes, from: packet.source.sockaddr(family), message)
        }
    }

    private func next() -> Result<Packet, Errno> {
        if error != 0 { return .failure(Errno(negated: takeError())) }
        guard !queue.isEmpty, !isDrawnToFail(Interest.input), let packet = queue.removeFirst() else {
            return .failure(.wouldBlock)
        }
        queuedBytes -= packet.bytes.count + Self.overhead
        return .success(packet)
    }

    override var waitingBytes: Int { queue.first?.bytes.count ?? 0 }

    override func hasClosed() {
        isClosed = true
        queue.removeAll()
        network.release(self)
    }

    // MARK: Beside the bytes

    /// The control messages that the socket asks for.
    private func report(_ packet: Packet, _ message: UnsafeMutablePointer<msghdr>) {
        var writer = unsafe ControlRoom(message)
        let (v4, v6) = (CInt(IPPROTO_IP), CInt(IPPROTO_IPV6))
        let address = packet.target.address
        if address.isV4 {
            if options.isOn(v4, IP_PKTINFO) || options.isOn(v6, IPV6_RECVPKTINFO) {
                let bytes = withBytes(of: UInt32(truncatingIfNeeded: address.low).bigEndian)
                writer.append(v4, IP_PKTINFO, SocketOptions.bytes(1) + bytes + bytes)
            }
            if options.isOn(v4, IP_RECVTTL) { writer.append(v4, IP_TTL, SocketOptions.bytes(packet.hops)) }
            if options.isOn(v4, IP_RECVTOS) {
                writer.append(v4, IP_TOS, [UInt8(truncatingIfNeeded: packet.mark)])
            }
        } else {
            if options.isOn(v6, IPV6_RECVPKTINFO) {
                let bytes = withBytes(of: address.high.bigEndian) + withBytes(of: address.low.bigEndian)
                writer.append(v6, IPV6_PKTINFO, bytes + SocketOptions.bytes(1))
            }
            if options.isOn(v6, IPV6_RECVHOPLIMIT) {
                writer.append(v6, IPV6_HOPLIMIT, SocketOptions.bytes(packet.hops))
            }
            if options.isOn(v6, IPV6_RECVTCLASS) { writer.append(v6, IPV6_TCLASS, SocketOptions.bytes(packet.mark)) }
        }
        unsafe writer.finish(message)
    }

    private func withBytes(of value: some FixedWidthInteger) -> [UInt8] {
        unsafe withUnsafeBytes(of: value) { unsafe [UInt8]($0) }
    }
}

/// Writes control messages into the room that a `msghdr` has for them (cmsg(3)).
@safe
private struct ControlRoom {
    private let memory: UnsafeMutableRawBufferPointer
    private var length = 0

    init(_ message: UnsafeMutablePointer<msghdr>) {
        unsafe memory = UnsafeMutableRawBufferPointer(
            start: message.pointee.msg_control, count: Int(message.pointee.msg_controllen))
    }

    /// One that does not fit is left out.
    mutating func append(_ level: CInt, _ type: CInt, _ data: [UInt8]) {
        let header = MemoryLayout<cmsghdr>.size
        let space = (header + data.count + 7) & ~7
        guard unsafe length + space <= memory.count else { return }
        unsafe memory.storeBytes(of: header + data.count, toByteOffset: length, as: Int.self)
        unsafe memory.storeBytes(of: level, toByteOffset: length + 8, as: CInt.self)
        unsafe memory.storeBytes(of: type, toByteOffset: length + 12, as: CInt.self)
        for (index, byte) in data.enumerated() { unsafe memory[length + header + index] = byte }
        length += space
    }

    func finish(_ message: UnsafeMutablePointer<msghdr>) { unsafe message.pointee.msg_controllen = length }
}
