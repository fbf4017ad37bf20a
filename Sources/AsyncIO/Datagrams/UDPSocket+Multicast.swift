public import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

extension UDPSocket {
    /// Becomes a member of a multicast group: receives what is sent to the group and the socket's port.
    ///
    /// With an interface, as a member on that link; otherwise the route to the group decides which. With a source, only
    /// what that host sends (RFC 4607). The port of the addresses does not matter. To receive nothing but the group's
    /// datagrams, bind to its address; several sockets of one machine need ``UDPOptions/reuseAddress``.
    ///
    /// Does not wait. Throws ``IOError``: `EINVAL` if the address is no group's, `EADDRINUSE` for a member already,
    /// `ENODEV` without an interface or route, `ENOBUFS` beyond the system's `igmp_max_memberships`.
    public func join(
        _ group: SocketAddress, on interface: NetworkInterface? = nil, from source: SocketAddress? = nil
    ) async throws {
        let option = source == nil ? MCAST_JOIN_GROUP : MCAST_JOIN_SOURCE_GROUP
        try await change(option, group, interface, source, "join")
    }

    /// Leaves a multicast group, given as it was joined. Closing the socket leaves all groups.
    ///
    /// Does not wait. Throws ``IOError`` with `EADDRNOTAVAIL` if it is no member.
    public func leave(
        _ group: SocketAddress, on interface: NetworkInterface? = nil, from source: SocketAddress? = nil
    ) async throws {
        let option = source == nil ? MCAST_LEAVE_GROUP : MCAST_LEAVE_SOURCE_GROUP
        try await change(option, group, interface, source, "leave")
    }

    private func change(
        _ option: CInt, _ group: SocketAddress, _ interface: NetworkInterface?, _ source: SocketAddress?,
        _ operation: String
    ) async throws {
        guard group.family != .unix else {
            throw IOError(
                .invalidArgument, operation: operation, subject: "\(group)",
                detail: "a group has an IPv4 or IPv6 address")
        }
        // The requests of RFC 3678, which serve both families: the interface, the group, and the source.
        var value = Self.padded(interface?.index ?? 0, to: MemoryLayout<UInt>.size) + Self.storage(group)
        if let source { value += Self.storage(source) }
        let level = CInt(group.family == .ipv6 ? IPPROTO_IPV6 : IPPROTO_IP)
        let outcome = await loop.perform(.setOption(core.handle, level: level, name: option, value: value))
        try loop.check(outcome, operation, "\(group)")
    }

    private static func padded(_ number: UInt32, to size: Int) -> [UInt8] {
        let bytes = unsafe withUnsafeBytes(of: number) { unsafe [UInt8]($0) }
        return bytes + [UInt8](repeating: 0, count: size - bytes.count)
    }

    /// The address as a `sockaddr_storage`.
    private static func storage(_ address: SocketAddress) -> [UInt8] {
        unsafe address.withSockaddr { pointer, length in
            let bytes = unsafe [UInt8](UnsafeRawBufferPointer(start: pointer, count: Int(length)))
            return bytes + [UInt8](repeating: 0, count: MemoryLayout<sockaddr_storage>.size - bytes.count)
        }
    }
}
