import AsyncIOKernel
import CAsyncIO
import Glibc
import SystemPackage

/// One of the machine's network interfaces, by the number that the kernel knows it by (netdevice(7)).
public struct NetworkInterface: Hashable, Sendable, CustomStringConvertible {
    /// The number, from 1 on. An interface that is taken away and comes back gets another.
    public let index: UInt32

    /// The interface of a number.
    public init(index: UInt32) { self.index = index }

    /// The interface of a name, such as `eth0`.
    ///
    /// Does not wait. Throws ``IOError`` with `ENODEV` if the machine has none of that name.
    public init(named name: String) throws {
        let index = SystemCall.result {
            let index = unsafe if_nametoindex(name)
            return index == 0 ? -1 : Int(index)
        }
        guard index > 0 else {
            throw IOError(
                Errno(negated: index), operation: "interface", subject: name,
                detail: "not known on this machine: see 'ip link' for their names")
        }
        self.index = UInt32(truncatingIfNeeded: index)
    }

    /// What it is called now; nil if it is gone.
    public var name: String? {
        var name = [CChar](repeating: 0, count: Int(IF_NAMESIZE))
        return unsafe name.withUnsafeMutableBufferPointer { memory in
            guard let base = memory.baseAddress, let found = unsafe if_indextoname(index, base) else {
                return nil
            }
            return unsafe String(cString: found)
        }
    }

    /// The name, or the number.
    public var description: String { name ?? "\(index)" }
}
