import AsyncIOKernel
import CAsyncIO
import Glibc
import SystemPackage

/// How a UDP socket behaves. One value for each option of the system; where a value is optional, nil leaves it to the
/// system.
public struct UDPOptions: Sendable {
    /// Bind to a port that other sockets with this option have, too (SO_REUSEADDR of socket(7)). Datagrams for a group
    /// go to all of them, others to the last one: use it for multicast only.
    public var reuseAddress = false
    /// Share the port with other sockets of the same user; the kernel spreads the senders (SO_REUSEPORT of socket(7)).
    public var reusePort = false
    /// Allow sending to broadcast addresses (SO_BROADCAST of socket(7)).
    public var broadcast = false
    /// Bytes that the kernel keeps until they are on their way (SO_SNDBUF of socket(7)). The kernel doubles the number,
    /// for its own needs, within the system's `wmem_max`.
    public var sendBuffer: Int?
    /// Bytes that the kernel keeps until they are received (SO_RCVBUF of socket(7)); what comes when they are used up
    /// is dropped. Each datagram counts with several hundred bytes of overhead. As for ``sendBuffer``, within
    /// `rmem_max`.
    public var receiveBuffer: Int?
    /// A socket bound to `::` takes IPv6 only, and not IPv4 in addresses like `::ffff:10.0.0.1` (IPV6_V6ONLY of
    /// ipv6(7)).
    public var onlyIPv6: Bool?
    /// How many routers a datagram may pass (IP_TTL, IPV6_UNICAST_HOPS), 1 to 255.
    public var hopLimit: Int?
    /// The same for datagrams to a group (IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS), 0 to 255; the system's value is 1,
    /// the own link.
    public var multicastHopLimit: Int?
    /// Whether what is sent to a group comes to this machine's members as well (IP_MULTICAST_LOOP); the system's value
    /// is yes.
    public var multicastLoopback: Bool?
    /// The interface that datagrams to a group leave by (IP_MULTICAST_IF, IPV6_MULTICAST_IF).
    public var multicastInterface: NetworkInterface?
    /// Tell the destination and the interface of what is received (IP_PKTINFO, IPV6_RECVPKTINFO).
    public var reportsDestination = false
    /// Tell the hop limit of what is received (IP_RECVTTL, IPV6_RECVHOPLIMIT).
    public var reportsHopLimit = false
    /// Tell the congestion mark of what is received (IP_RECVTOS, IPV6_RECVTCLASS).
    public var reportsCongestion = false
    /// Let the kernel hand over many datagrams of one sender as one (UDP_GRO of udp(7)): less work for each. Nothing
    /// else changes; a kernel before 5.0 does without.
    public var coalescesReceived = false
    /// Let batches leave as few large messages that the kernel or the network card cuts (UDP_SEGMENT of udp(7)): less
    /// work for each. Nothing else changes, and where it is not possible, datagrams leave one by one.
    public var segmentsSent = true

    /// Creates options that leave everything to the system.
    public init() {}

    /// Creates options, and changes some.
    public init(_ change: (inout UDPOptions) -> Void) { change(&self) }

    /// Whether something beside a message's bytes is of interest.
    var hasControl: Bool { reportsDestination || reportsHopLimit || reportsCongestion }
}

extension UDPOptions {
    /// Sets what is to be set before the socket is bound.
    func apply(
        to descriptor: CInt, _ family: SocketAddress.Family, _ subject: String
    ) throws -> DatagramCore.Traits {
        try set(on: descriptor, family, subject)
        let coalesces = coalesce(descriptor)
        return DatagramCore.Traits(hasControl: hasControl || coalesces, coalesces: coalesces)
    }

    /// What a socket with these options begins with.
    func state(_ descriptor: CInt, local: SocketAddress, peer: SocketAddress? = nil) -> DatagramCore.State {
        DatagramCore.State(local: local, peer: peer, segmentLimit: segmentLimit(descriptor))
    }

    /// Without those that only matter before a socket is bound: it is too late for them.
    var ofBound: UDPOptions {
        var options = self
        options.reuseAddress = false
        options.reusePort = false
        options.onlyIPv6 = nil
        return options
    }

    private func set(on descriptor: CInt, _ family: SocketAddress.Family, _ subject: String) throws {
        func set(_ level: CInt, _ option: CInt, _ value: CInt) throws {
            try Socket.set(descriptor, level, option, value, subject)
        }
        func hops(_ count: Int, from least: Int) throws -> CInt {
            guard (least...255).contains(count) else {
                throw IOError(
                    .invalidArgument, operation: "hop limit", subject: subject,
                    detail: "\(count): choose one from \(least) to 255")
            }
            return CInt(truncatingIfNeeded: count)
        }
        let (v4, v6) = (CInt(IPPROTO_IP), CInt(IPPROTO_IPV6))
        let isV6 = family == .ipv6
        if reuseAddress { try set(SOL_SOCKET, SO_REUSEADDR, 1) }
        if reusePort { try set(SOL_SOCKET, SO_REUSEPORT, 1) }
        if broadcast { try set(SOL_SOCKET, SO_BROADCAST, 1) }
        if let sendBuffer { try set(SOL_SOCKET, SO_SNDBUF, CInt(clamping: max(sendBuffer, 0))) }
        if let receiveBuffer { try set(SOL_SOCKET, SO_RCVBUF, CInt(clamping: max(receiveBuffer, 0))) }
        if let onlyIPv6, isV6 { try set(v6, IPV6_V6ONLY, onlyIPv6 ? 1 : 0) }
        if let hopLimit { try set(isV6 ? v6 : v4, isV6 ? IPV6_UNICAST_HOPS : IP_TTL, hops(hopLimit, from: 1)) }
        if let multicastHopLimit {
            try set(isV6 ? v6 : v4, isV6 ? IPV6_MULTICAST_HOPS : IP_MULTICAST_TTL, hops(multicastHopLimit, from: 0))
        }
        if let multicastLoopback {
            try set(isV6 ? v6 : v4, isV6 ? IPV6_MULTICAST_LOOP : IP_MULTICAST_LOOP, multicastLoopback ? 1 : 0)
        }
        if let multicastInterface { try choose(multicastInterface, descriptor, isV6, subject) }
        // A socket of both families is told about IPv4's packets by IPv4's messages.
        if reportsDestination { try set(isV6 ? v6 : v4, isV6 ? IPV6_RECVPKTINFO : IP_PKTINFO, 1) }
        if reportsHopLimit {
            try set(v4, IP_RECVTTL, 1)
            if isV6 { try set(v6, IPV6_RECVHOPLIMIT, 1) }
        }
        if reportsCongestion {
            try set(v4, IP_RECVTOS, 1)
            if isV6 { try set(v6, IPV6_RECVTCLASS, 1) }
        }
    }

    private func choose(
        _ interface: NetworkInterface, _ descriptor: CInt, _ isV6: Bool, _ subject: String
    ) throws {
        let index = CInt(truncatingIfNeeded: interface.index)
        if isV6 { return try Socket.set(descriptor, CInt(IPPROTO_IPV6), IPV6_MULTICAST_IF, index, subject) }
        var request = ip_mreqn()
        request.imr_ifindex = index
        let value = unsafe withUnsafeBytes(of: request) { unsafe [UInt8]($0) }
        let code = SystemCall.setOption(descriptor, CInt(IPPROTO_IP), IP_MULTICAST_IF, value)
        guard code >= 0 else { throw IOError(Errno(negated: code), operation: "multicast interface", subject: subject) }
    }

    /// Whether the kernel coalesces from here on.
    private func coalesce(_ descriptor: CInt) -> Bool {
        coalescesReceived
            && SystemCall.setOption(descriptor, UDPOption.level, UDPOption.coalesce, CInt(1).optionBytes) >= 0
    }

    /// The largest datagrams worth cutting. A kernel that does not know the control message would ignore it and send
    /// all as one: it is asked before.
    private func segmentLimit(_ descriptor: CInt) -> Int {
        guard segmentsSent, SystemCall.option(descriptor, UDPOption.level, UDPOption.segment, 4).0 >= 0 else {
            return 0
        }
        return OutgoingRoom.bytesPerMessage / 2
    }
}
