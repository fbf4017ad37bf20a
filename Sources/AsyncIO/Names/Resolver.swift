import AsyncIOKernel
import AsyncIOLoop
import Glibc
import SystemPackage

/// Names to addresses, by the system's resolver (getaddrinfo(3)) on the loop's blocking pool.
enum Resolver {
    /// The addresses of a host. A numeric one never leaves the thread.
    static func addresses(of host: String, _ port: UInt16, on loop: EventLoop) async throws -> [SocketAddress] {
        if let numeric = try? SocketAddress(host: host, port: port) { return [numeric] }
        guard !host.isEmpty, host.utf8.count <= 253, !host.utf8.contains(0) else {
            throw IOError(
                .invalidArgument, operation: "resolve", subject: host.isEmpty ? "an empty name" : host,
                detail: "a host name has 1 to 253 bytes, none of them zero")
        }
        return try await loop.offload(name: "resolve \(host)") { try lookUp(host, port) }
    }

    private static func lookUp(_ host: String, _ port: UInt16) throws -> [SocketAddress] {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = unsafe getaddrinfo(host, nil, &hints, &list)
        defer { if let list = unsafe list { unsafe freeaddrinfo(list) } }
        guard code == 0 else {
            let reason = unsafe gai_strerror(code).map { unsafe String(cString: $0) } ?? "code \(code)"
            throw IOError(.noSuchAddressOrDevice, operation: "resolve", subject: host, detail: reason)
        }
        var found: [SocketAddress] = []
        var next = unsafe list
        while let entry = unsafe next {
            if let pointer = unsafe entry.pointee.ai_addr,
                let address = unsafe SocketAddress(pointer, length: entry.pointee.ai_addrlen)?.with(port: port),
                !found.contains(address)
            {
                found.append(address)
            }
            unsafe next = unsafe entry.pointee.ai_next
        }
        return found
    }
}
