import AsyncIOKernel
import CAsyncIO
import SystemPackage

/// The network of one run of a host: its sockets, the ports and paths that are taken.
final class HostNetwork {
    init() {}

    /// Nil for a family or type that is not simulated.
    func makeSocket(_ kernel: HostKernel, family: CInt, type: CInt) -> OpenDescription? { nil }
    /// A connected pair of Unix sockets.
    func makePair(_ kernel: HostKernel, type: CInt) -> (OpenDescription, OpenDescription) {
        (OpenDescription(kernel), OpenDescription(kernel))
    }
    func makePipe(_ kernel: HostKernel) -> (OpenDescription, OpenDescription) {
        (OpenDescription(kernel), OpenDescription(kernel))
    }
    /// Every socket is gone; peers hear nothing, or that the connection is reset when they send.
    func crash(_ kernel: HostKernel) {}

    // Files of Unix sockets.
    func openPlace(_ kernel: HostKernel, _ path: [UInt8]) -> Int { Errno.noSuchFileOrDirectory.negated }
    func identity(of path: [UInt8]) -> FileIdentity? { nil }
    func identity(of description: OpenDescription?) -> FileIdentity? { nil }
    func setPermissions(of description: OpenDescription, _ permissions: UInt32) -> Int { 0 }
    func unlink(_ path: [UInt8]) -> Int { Errno.noSuchFileOrDirectory.negated }
}
