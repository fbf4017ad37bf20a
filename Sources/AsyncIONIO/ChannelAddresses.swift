#if NIO
package import AsyncIO
import AsyncIOKernel
import CAsyncIO
import Glibc
import NIOCore

/// A stream over another, whose addresses are its own as well.
package protocol LayeredStream: ByteStream {
    var transport: any ByteStream { get }
}

extension ByteStream {
    /// Both addresses, as far as the kind of stream has them and SwiftNIO knows them.
    var ends: (local: NIOCore.SocketAddress?, remote: NIOCore.SocketAddress?) {
        get async {
            switch self {
            case let stream as TCPStream: (await stream.local?.asNIO, stream.peer.asNIO)
            case let stream as UnixStream: (await stream.local?.asNIO, stream.peer.asNIO)
            case let stream as any LayeredStream: await stream.transport.ends
            default: (nil, nil)
            }
        }
    }
}

extension AsyncIOKernel.SocketAddress {
    /// The same address in SwiftNIO's words; nil for a Unix socket without a name.
    var asNIO: NIOCore.SocketAddress? {
        if self == .unnamedUnix { return nil }
        return unsafe withSockaddr { address, _ in
            // The address is of the size that its family says.
            let raw = unsafe UnsafeRawPointer(address)
            switch family {
            case .ipv4: return unsafe NIOCore.SocketAddress(raw.loadUnaligned(as: sockaddr_in.self))
            case .ipv6: return unsafe NIOCore.SocketAddress(raw.loadUnaligned(as: sockaddr_in6.self))
            case .unix: return unsafe NIOCore.SocketAddress(raw.loadUnaligned(as: sockaddr_un.self))
            }
        }
    }
}
#endif
