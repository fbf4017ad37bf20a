import AsyncIOKernel
import CAsyncIO
import Glibc
import SystemPackage

/// The two questions to the C library that block a thread, as values: tests put others in their place.
package struct SystemNames: Sendable {
    package let addresses: @Sendable (String, SocketAddress.IPVersion?) throws -> [SocketAddress]
    package let name: @Sendable (SocketAddress) throws -> String

    package init(
        addresses: @escaping @Sendable (String, SocketAddress.IPVersion?) throws -> [SocketAddress],
        name: (@Sendable (SocketAddress) throws -> String)? = nil
    ) {
        self.addresses = addresses
        self.name = name ?? findName
    }

    /// getaddrinfo(3) and getnameinfo(3).
    package static let glibc = SystemNames(addresses: findAddresses, name: findName)
}

/// Asks for the addresses of a host, with port 0, in the order of RFC 6724 (and gai.conf(5)).
///
/// Without `AI_ADDRCONFIG`. That flag leaves out a version of which the machine has no address except loopback's: in a
/// container without IPv6 the name `localhost` would have no `::1`, where servers listen all the same. What cannot be
/// reached stands at the end of the list, and fails at once when it is tried.
private func findAddresses(of host: String, _ version: SocketAddress.IPVersion?) throws -> [SocketAddress] {
    var hints = unsafe addrinfo()
    // One kind of socket: else each address would come three times.
    unsafe hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
    unsafe hints.ai_family = version.map { $0 == .v4 ? AF_INET : AF_INET6 } ?? AF_UNSPEC
    // The list is the C library's until it is freed below, and copied before.
    var list: UnsafeMutablePointer<addrinfo>?
    defer { if let list = unsafe list { unsafe freeaddrinfo(list) } }
    try check(host) { unsafe getaddrinfo(host, nil, &hints, &list) }
    var found: [SocketAddress] = []
    var next = unsafe list
    while let entry = unsafe next {
        if let pointer = unsafe entry.pointee.ai_addr,
            let address = unsafe SocketAddress(pointer, length: entry.pointee.ai_addrlen)
        {
            found.append(address)
        }
        unsafe next = unsafe entry.pointee.ai_next
    }
    return found
}

/// Asks for the name of a host, which must have one.
private func findName(of address: SocketAddress) throws -> String {
    var bytes = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    try check(address.host) {
        unsafe address.withSockaddr { pointer, length in
            unsafe bytes.withUnsafeMutableBufferPointer { buffer in
                unsafe getnameinfo(
                    pointer, length, buffer.baseAddress, socklen_t(buffer.count), nil, 0, NI_NAMEREQD)
            }
        }
    }
    return String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Runs a call that reports a code of <netdb.h>, with the system's error for one of them.
private func check(_ subject: String, _ call: () -> CInt) throws(ResolutionError) {
    var code: CInt = 0
    let system = SystemCall.resultOnce {
        code = call()
        return code == EAI_SYSTEM ? CInt(-1) : 0
    }
    if code != 0 { throw ResolutionError(code: code, system: Errno(negated: system), subject: subject) }
}

/// `NI_MAXHOST` of <netdb.h>, which keeps it for _DEFAULT_SOURCE.
private let NI_MAXHOST = 1025
