package import AsyncIOKernel
import CAsyncIO
import Glibc
import SystemPackage

/// The other side of a connection, by plain blocking system calls: it can do what our own streams would not.
package final class Peer: Sendable {
    package let descriptor: CInt

    package init(descriptor: CInt) { self.descriptor = descriptor }

    deinit { Glibc.close(descriptor) }

    /// Connects, with a small receive buffer if asked for.
    package init(to address: SocketAddress, receiveBuffer: CInt? = nil) throws {
        descriptor = try Self.socket(address)
        if let receiveBuffer { try set(SO_RCVBUF, receiveBuffer) }
        let number = descriptor
        try SystemCall.call("connect", "\(address)") {
            unsafe address.withSockaddr { unsafe Glibc.connect(number, $0, $1) }
        }
    }

    /// Listens on a port of loopback that the kernel chooses.
    package static func listening(backlog: CInt = 128) throws -> (peer: Peer, address: SocketAddress) {
        let peer = try Peer(boundTo: .loopback(port: 0))
        try SystemCall.call("listen") { listen(peer.descriptor, backlog) }
        return (peer, try peer.localAddress())
    }

    /// Has a port, and neither listens nor connects.
    package init(boundTo address: SocketAddress) throws {
        descriptor = try Self.socket(address)
        let number = descriptor
        try SystemCall.call("bind") { unsafe address.withSockaddr { unsafe Glibc.bind(number, $0, $1) } }
    }

    private static func socket(_ address: SocketAddress) throws -> CInt {
        let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        return CInt(try SystemCall.call("socket") { Glibc.socket(address.systemFamily, kind, 0) })
    }

    package func localAddress() throws -> SocketAddress {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        try SystemCall.call("getsockname") {
            unsafe withUnsafeMutablePointer(to: &storage) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe getsockname(descriptor, $0, &length)
                }
            }
        }
        guard let address = SocketAddress(storage, length: length) else { throw Errno.badAddress }
        return address
    }

    package func accept() throws -> Peer {
        Peer(descriptor: CInt(try SystemCall.call("accept") { Glibc.accept(descriptor, nil, nil) }))
    }

    package func set(_ option: CInt, _ value: CInt) throws {
        var value = value
        try SystemCall.call("setsockopt") {
            unsafe setsockopt(descriptor, SOL_SOCKET, option, &value, socklen_t(MemoryLayout<CInt>.size))
        }
    }

    package func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            sent += try SystemCall.call("send") {
                unsafe bytes[sent...].withUnsafeBytes {
                    unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
                }
            }
        }
    }

    /// What is there; empty at the end.
    package func receive(upTo limit: Int = 65_536) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = try SystemCall.call("recv") {
            unsafe bytes.withUnsafeMutableBytes { unsafe recv(descriptor, $0.baseAddress, $0.count, 0) }
        }
        return Array(bytes.prefix(count))
    }

    /// Everything until the end.
    package func receiveAll() throws -> [UInt8] {
        var all: [UInt8] = []
        while true {
            let bytes = try receive()
            if bytes.isEmpty { return all }
            all += bytes
        }
    }

    package func finishSending() throws { try SystemCall.call("shutdown") { shutdown(descriptor, CInt(SHUT_WR)) } }

    /// Makes the close that follows a reset: RST instead of FIN (SO_LINGER of socket(7)).
    package func resetOnClose() throws {
        var linger = linger(l_onoff: 1, l_linger: 0)
        try SystemCall.call("setsockopt") {
            unsafe setsockopt(
                descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
        }
    }

    /// Two ends of a Unix stream: cheap, and without ports that linger.
    package static func pair() throws -> Pair {
        var ends: [CInt] = [0, 0]
        let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        try SystemCall.call("socketpair") { unsafe socketpair(AF_UNIX, kind, 0, &ends) }
        let peer = Peer(descriptor: ends[0])
        let ours = Descriptor(owning: ends[1])
        try Descriptor.setNonBlocking(ours.number)
        return Pair(peer: peer, ours: ours)
    }

    package struct Pair: ~Copyable {
        package let peer: Peer
        let ours: Descriptor

        /// Gives the other end away.
        package consuming func release() -> Descriptor { ours }
    }
}
