import AsyncIOKernel
import CAsyncIO
import Glibc
import SystemPackage

// What asks for files without waiting for a disk.
extension HostKernel {
    func open(_ path: [UInt8], flags: CInt, mode: UInt32) -> Int {
        if hasCrashed { return Errno.ioError.negated }
        do {
            return try disk.open(path, disk.root, flags, mode, self)
        } catch {
            return error.negated
        }
    }

    func isOpen(_ descriptor: CInt) -> Bool { self[descriptor] != nil }

    func status(of descriptor: CInt, into status: UnsafeMutablePointer<casyncio_status>) -> Int {
        guard let description = self[descriptor] else { return Errno.badFileDescriptor.negated }
        guard let file = description as? OpenFile else { return Errno.notSupported.negated }
        unsafe status.pointee = file.node.status
        return 0
    }

    var umask: UInt32 { SimulatedDisk.umask }

    func randomNumber() -> UInt64 { world.random.next() }
}
