package import AsyncIOKernel
import CAsyncIO
import Glibc
import SystemPackage

/// Descriptors to wait on, of the tests' own making.
package struct Pipe: ~Copyable {
    package let reader: Descriptor
    package let writer: Descriptor

    package init() throws {
        var ends: [CInt] = [-1, -1]
        try SystemCall.call("pipe") { unsafe pipe(&ends) }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        reader = Descriptor(owning: ends[0])
        writer = Descriptor(owning: ends[1])
    }
}

/// Two connected stream sockets, non-blocking.
package struct SocketPair: ~Copyable {
    package let left: Descriptor
    package let right: Descriptor

    package init() throws {
        var ends: [CInt] = [-1, -1]
        let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        try SystemCall.call("socketpair") { unsafe socketpair(AF_UNIX, kind, 0, &ends) }
        left = Descriptor(owning: ends[0])
        right = Descriptor(owning: ends[1])
    }
}

/// An eventfd: readable once it was raised, until it is lowered.
package struct Flag: ~Copyable {
    package let descriptor: Descriptor

    package init() throws {
        let flags = CInt(EFD_CLOEXEC) | CInt(EFD_NONBLOCK)
        descriptor = Descriptor(owning: CInt(truncatingIfNeeded: try SystemCall.call("eventfd") { eventfd(0, flags) }))
    }

    package var number: CInt { descriptor.number }

    package static func raise(_ number: CInt) {
        var one: UInt64 = 1
        _ = SystemCall.result { unsafe Glibc.write(number, &one, 8) }
    }
}
