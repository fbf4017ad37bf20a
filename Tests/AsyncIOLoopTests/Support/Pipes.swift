import AsyncIOKernel
import CAsyncIO
import Glibc
import SystemPackage

/// Descriptors to wait on, of the tests' own making.
struct Pipe: ~Copyable {
    let reader: Descriptor
    let writer: Descriptor

    init() throws {
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
struct SocketPair: ~Copyable {
    let left: Descriptor
    let right: Descriptor

    init() throws {
        var ends: [CInt] = [-1, -1]
        let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        try SystemCall.call("socketpair") { unsafe socketpair(AF_UNIX, kind, 0, &ends) }
        left = Descriptor(owning: ends[0])
        right = Descriptor(owning: ends[1])
    }
}

/// The plain calls, once.
enum Bytes {
    @discardableResult
    static func write(_ count: Int, to descriptor: CInt) -> Int {
        let bytes = [UInt8](repeating: 7, count: count)
        return SystemCall.result {
            unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
        }
    }

    @discardableResult
    static func read(_ count: Int, from descriptor: CInt) -> Int {
        var bytes = [UInt8](repeating: 0, count: count)
        return SystemCall.result {
            unsafe bytes.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
        }
    }
}

/// An eventfd: readable once it was raised, until it is lowered.
struct Flag: ~Copyable {
    let descriptor: Descriptor

    init() throws {
        let flags = CInt(EFD_CLOEXEC) | CInt(EFD_NONBLOCK)
        descriptor = Descriptor(owning: CInt(truncatingIfNeeded: try SystemCall.call("eventfd") { eventfd(0, flags) }))
    }

    var number: CInt { descriptor.number }

    static func raise(_ number: CInt) {
        var one: UInt64 = 1
        _ = SystemCall.result { unsafe Glibc.write(number, &one, 8) }
    }
}
