import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

/// What sockets of TCP and UDP have in common: an address of their own, and options.
class IPSocket: NetworkSocket {
    var local: Endpoint
    var isBound = false

    init(_ kernel: HostKernel, family: CInt) {
        local = Endpoint(family == AF_INET ? .anyV4 : .anyV6, 0)
        super.init(kernel, family)
    }

    final var takesV4: Bool { family == AF_INET || !options.onlyIPv6 }

    // MARK: Addresses

    /// Whether packets for an address are for this socket.
    final func takes(_ address: IPAddress) -> Bool {
        guard local.address.isAny else { return local.address == address }
        return address.isV4 ? takesV4 : family == AF_INET6
    }

    /// Whether both would get the same packets.
    final func overlaps(_ other: IPSocket) -> Bool {
        switch (local.address.isAny, other.local.address.isAny) {
        case (false, false): local.address == other.local.address
        case (false, true): other.takes(local.address)
        case (true, false): takes(other.local.address)
        case (true, true): family == other.family || (takesV4 && other.takesV4)
        }
    }

    /// Whether two sockets may be bound to the same place (socket(7), SO_REUSEADDR and SO_REUSEPORT).
    func tolerates(_ other: IPSocket) -> Bool {
        options.reusePort && other.options.reusePort || options.reuseAddress && other.options.reuseAddress
    }

    final func endpoint(_ address: SocketAddress) -> Result<Endpoint, Errno> {
        guard let endpoint = Endpoint(address) else { return .failure(.addressFamilyNotSupported) }
        if address.family == .ipv4 && family == AF_INET6 { return .failure(.invalidArgument) }
        if address.family == .ipv6 && family == AF_INET { return .failure(.addressFamilyNotSupported) }
        if endpoint.address.isV4 && !takesV4 { return .failure(.networkUnreachable) }
        return .success(endpoint)
    }

    final func take(_ wanted: Endpoint, in ports: inout Ports) -> Int {
        guard !isBound else { return Errno.invalidArgument.negated }
        guard wanted.address.isAny || wanted.address.isLoopback || network.has(wanted.address) else {
            return Errno.addressNotAvailable.negated
        }
        let before = local
        local = wanted
        if wanted.port == 0 {
            guard let port = ports.freePort() else {
                local = before
                return Errno.addressInUse.negated
            }
            local.port = port
        } else if !ports.canTake(self, world.now) {
            local = before
            return Errno.addressInUse.negated
        }
        isBound = true
        ports.add(self)
        return 0
    }

    override var localAddress: (Int, [UInt8]) { (0, local.sockaddr(family)) }
}
