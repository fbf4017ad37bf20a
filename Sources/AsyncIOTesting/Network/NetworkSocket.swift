import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

/// What all simulated sockets have: a host's network, options, and an error that the next call reports.
class NetworkSocket: OpenDescription {
    final var network: HostNetwork { unsafe place }
    private unowned(unsafe) let place: HostNetwork
    final var world: World { unsafe owner }
    // Packets and sockets go with their world.
    private unowned(unsafe) let owner: World
    /// `AF_INET`, `AF_INET6` or `AF_UNIX`.
    let family: CInt
    final var options = SocketOptions()
    /// What the next call reports; 0 is nothing.
    @safe @exclusivity(unchecked) final var error: CInt = 0

    init(_ kernel: HostKernel, _ family: CInt) {
        unsafe place = kernel.network
        unsafe owner = kernel.world
        self.family = family
        super.init(kernel)
    }

    /// Its host has crashed.
    final var isGone: Bool { network.isDown }

    /// accept(2): gives a number to the connection that has waited longest, which leaves the queue then; else says why
    /// not.
    final func takeFirst<Child: OpenDescription>(of waiting: inout Queue<Child>) -> (result: Int, child: Child?) {
        guard let child = waiting.first else { return (Errno.wouldBlock.negated, nil) }
        if isDrawnToFail(Interest.input) { return (Errno.wouldBlock.negated, nil) }
        guard let kernel else { return (Errno.ioError.negated, nil) }
        let result = kernel.install(child)
        guard result >= 0 else { return (result, nil) }
        waiting.removeFirst()
        return (result, child)
    }

    final func takeError() -> Int {
        defer { error = 0 }
        return -Int(error)
    }

    /// For ``readiness``.
    final var failureBit: UInt32 { error == 0 ? 0 : Interest.error }

    override func takePendingError() -> Int { takeError() }

    /// Type and protocol number.
    var kind: (type: CInt, number: CInt) { (0, 0) }
    var isListening: Bool { false }

    override func option(level: CInt, name: CInt, size: Int) -> (Int, [UInt8]) {
        let value: CInt?
        switch (level, name) {
        case (SOL_SOCKET, SO_TYPE): value = kind.type
        case (SOL_SOCKET, SO_PROTOCOL): value = kind.number
        case (SOL_SOCKET, SO_DOMAIN): value = family
        case (SOL_SOCKET, SO_ACCEPTCONN): value = isListening ? 1 : 0
        case (SOL_SOCKET, SO_ERROR): value = CInt(truncatingIfNeeded: -takeError())
        default:
            guard let bytes = options.value(level, name, kind.number) else {
                return (Errno.protocolNotAvailable.negated, [])
            }
            return (0, Array(bytes.prefix(max(size, 0))))
        }
        return (0, Array(SocketOptions.bytes(value ?? 0).prefix(max(size, 0))))
    }

    override func setOption(level: CInt, name: CInt, value: [UInt8]) -> Int {
        if SocketOptions.isMembership(level, name) { return kernel?.refuse("multicast") ?? Errno.ioError.negated }
        let result = options.set(level, name, value, kind.number)
        if result >= 0 { optionsHaveChanged() }
        return result
    }

    func optionsHaveChanged() {}

    /// Tells everybody what may succeed now: a kernel's driver is told all that holds, whatever has changed.
    final func raiseAll() { raise(readiness) }
}
