package import CAsyncIO
import Glibc
import SystemPackage

// The calls of the hot path, typed. Each returns its value or a negated error number.
extension SystemCall {
    /// recv(2) into at most `count` bytes.
    package static func receive(_ descriptor: CInt, _ memory: UnsafeMutableRawPointer?, _ count: Int) -> Int {
        if let standIn { return unsafe standIn.read(descriptor, into: .init(start: memory, count: count)) }
        return result { unsafe casyncio_receive(descriptor, memory, count) }
    }

    /// send(2), without the SIGPIPE that a peer who has gone would cost us.
    package static func send(_ descriptor: CInt, _ memory: UnsafeRawPointer?, _ count: Int) -> Int {
        if let standIn { return unsafe standIn.write(descriptor, .init(start: memory, count: count)) }
        return result { unsafe casyncio_send(descriptor, memory, count) }
    }

    /// sendmsg(2) of a list of vectors.
    package static func send(_ descriptor: CInt, _ vectors: UnsafeMutablePointer<iovec>, _ count: Int) -> Int {
        var message = unsafe msghdr()
        unsafe message.msg_iov = vectors
        unsafe message.msg_iovlen = count
        return unsafe send(descriptor, &message)
    }

    /// sendmsg(2), without SIGPIPE.
    package static func send(_ descriptor: CInt, _ message: UnsafeMutablePointer<msghdr>) -> Int {
        if let standIn { return unsafe standIn.send(descriptor, message: message) }
        return result { unsafe sendmsg(descriptor, message, CInt(MSG_NOSIGNAL)) }
    }

    /// recvmsg(2); descriptors that come along are close-on-exec. With `MSG_TRUNC` in the header's flags the result is
    /// a datagram's real length, also if there was no room for all of it.
    package static func receive(_ descriptor: CInt, _ message: UnsafeMutablePointer<msghdr>) -> Int {
        if let standIn { return unsafe standIn.receive(descriptor, message: message) }
        let flags = unsafe message.pointee.msg_flags & wantedFlags | closeOnExec
        return result { unsafe recvmsg(descriptor, message, flags) }
    }

    /// recvmmsg(2). The first header's flags count for all, as above.
    package static func receive(
        _ descriptor: CInt, _ messages: UnsafeMutablePointer<casyncio_message>, _ count: Int
    ) -> Int {
        guard count > 0 else { return 0 }
        if let standIn { return unsafe standIn.receive(descriptor, messages, count) }
        let flags = unsafe messages[0].header.msg_flags & wantedFlags | closeOnExec
        return result { unsafe casyncio_receive_messages(descriptor, messages, CUnsignedInt(clamping: count), flags) }
    }

    /// sendmmsg(2).
    package static func send(
        _ descriptor: CInt, _ messages: UnsafeMutablePointer<casyncio_message>, _ count: Int
    ) -> Int {
        if let standIn { return unsafe standIn.send(descriptor, messages, count) }
        return result {
            unsafe casyncio_send_messages(descriptor, messages, CUnsignedInt(clamping: count), CInt(MSG_NOSIGNAL))
        }
    }

    private static var closeOnExec: CInt { CInt(truncatingIfNeeded: MSG_CMSG_CLOEXEC) }
    /// What a caller may ask for in a header that is received into.
    private static var wantedFlags: CInt { CInt(truncatingIfNeeded: MSG_TRUNC) }

    /// socketpair(2) of Unix sockets, close-on-exec and non-blocking: two new numbers, which the caller owns.
    package static func socketPair(_ type: CInt) throws(IOError) -> (CInt, CInt) {
        if let standIn {
            let pair = standIn.socketPair(type: type)
            try check(pair.result, "socketpair")
            return (pair.1, pair.2)
        }
        var ends: [CInt] = [-1, -1]
        let kind = type | CInt(CASYNCIO_SOCK_NONBLOCK | CASYNCIO_SOCK_CLOEXEC)
        try call("socketpair") { unsafe socketpair(AF_UNIX, kind, 0, &ends) }
        return (ends[0], ends[1])
    }

    /// socket(2), close-on-exec and non-blocking.
    package static func socket(family: CInt, _ type: CInt) -> Int {
        if let standIn { return standIn.socket(family: family, type: type) }
        let kind = type | CInt(CASYNCIO_SOCK_NONBLOCK | CASYNCIO_SOCK_CLOEXEC)
        return result { Glibc.socket(family, kind, 0) }
    }

    /// bind(2).
    package static func bind(_ descriptor: CInt, _ address: SocketAddress) -> Int {
        if let standIn { return standIn.bind(descriptor, address) }
        return result {
            unsafe address.withSockaddr { pointer, length in unsafe Glibc.bind(descriptor, pointer, length) }
        }
    }

    /// listen(2).
    package static func listen(_ descriptor: CInt, backlog: CInt) -> Int {
        if let standIn { return standIn.listen(descriptor, backlog: backlog) }
        return result { Glibc.listen(descriptor, backlog) }
    }

    /// accept4(2), non-blocking and close-on-exec; the bytes are the peer's `sockaddr`.
    package static func accept(_ descriptor: CInt) -> (Int, [UInt8]) {
        if let standIn { return standIn.accept(descriptor) }
        return unsafe withAddress { address, length in
            unsafe casyncio_accept4(
                descriptor, address, length, CInt(CASYNCIO_SOCK_NONBLOCK | CASYNCIO_SOCK_CLOEXEC))
        }
    }

    /// getsockname(2); the bytes are a `sockaddr`.
    package static func localAddress(_ descriptor: CInt) -> (Int, [UInt8]) {
        if let standIn { return standIn.localAddress(descriptor) }
        return unsafe withAddress { unsafe getsockname(descriptor, $0, $1) }
    }

    /// getpeername(2); the bytes are a `sockaddr`.
    package static func peerAddress(_ descriptor: CInt) -> (Int, [UInt8]) {
        if let standIn { return standIn.peerAddress(descriptor) }
        return unsafe withAddress { unsafe getpeername(descriptor, $0, $1) }
    }

    /// connect(2), once: a call that a signal interrupts goes on in the background.
    package static func connect(_ descriptor: CInt, _ address: SocketAddress) -> Int {
        if let standIn { return standIn.connect(descriptor, address) }
        return unsafe address.withSockaddr { pointer, length in
            resultOnce { unsafe Glibc.connect(descriptor, pointer, length) }
        }
    }

    /// The error that a socket keeps for us, as a negated number; reading it clears it (SO_ERROR of socket(7)).
    package static func pendingError(_ descriptor: CInt) -> Int {
        if let standIn { return standIn.pendingError(descriptor) }
        var error: CInt = 0
        var length = socklen_t(MemoryLayout<CInt>.size)
        let code = result { unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length) }
        return code < 0 ? code : -Int(error)
    }

    /// shutdown(2) of the sending side. A peer who has gone needs no telling.
    package static func finishSending(_ descriptor: CInt) -> Int {
        let code = standIn?.finishSending(descriptor) ?? result { shutdown(descriptor, CInt(SHUT_WR)) }
        return code == Errno.socketNotConnected.negated ? 0 : code
    }

    /// getsockopt(2): the option's value, at most so many bytes.
    package static func option(_ descriptor: CInt, _ level: CInt, _ name: CInt, _ size: Int) -> (Int, [UInt8]) {
        if let standIn { return standIn.option(descriptor, level: level, name: name, size: size) }
        var value = [UInt8](repeating: 0, count: size)
        var length = socklen_t(clamping: size)
        let code = result {
            unsafe value.withUnsafeMutableBytes {
                unsafe getsockopt(descriptor, level, name, $0.baseAddress, &length)
            }
        }
        return (code, code < 0 ? [] : Array(value.prefix(Int(length))))
    }

    /// Whether a socket speaks TCP (SO_PROTOCOL of socket(7)).
    package static func isTCP(_ descriptor: CInt) -> Bool {
        if let standIn {
            let size = MemoryLayout<CInt>.size
            let (code, value) = standIn.option(descriptor, level: SOL_SOCKET, name: SO_PROTOCOL, size: size)
            return code >= 0 && value == [UInt8(IPPROTO_TCP), 0, 0, 0]
        }
        var value: CInt = 0
        var length = socklen_t(MemoryLayout<CInt>.size)
        let code = result { unsafe getsockopt(descriptor, SOL_SOCKET, SO_PROTOCOL, &value, &length) }
        return code >= 0 && value == CInt(IPPROTO_TCP)
    }

    /// setsockopt(2) of a number.
    package static func setOption(_ descriptor: CInt, _ level: CInt, _ name: CInt, number: CInt) -> Int {
        var number = number
        if let standIn {
            let value = unsafe withUnsafeBytes(of: number) { unsafe [UInt8]($0) }
            return standIn.setOption(descriptor, level: level, name: name, value: value)
        }
        return result {
            unsafe setsockopt(descriptor, level, name, &number, socklen_t(MemoryLayout<CInt>.size))
        }
    }

    /// setsockopt(2).
    package static func setOption(_ descriptor: CInt, _ level: CInt, _ name: CInt, _ value: [UInt8]) -> Int {
        if let standIn { return standIn.setOption(descriptor, level: level, name: name, value: value) }
        return result {
            unsafe value.withUnsafeBytes {
                unsafe setsockopt(descriptor, level, name, $0.baseAddress, socklen_t(clamping: $0.count))
            }
        }
    }

    /// Lets the close(2) that follows break the connection off (SO_LINGER of socket(7)).
    package static func lingerNoTime(_ descriptor: CInt) {
        var linger = linger(l_onoff: 1, l_linger: 0)
        if isSimulated {
            let value = unsafe withUnsafeBytes(of: linger) { unsafe [UInt8]($0) }
            _ = setOption(descriptor, SOL_SOCKET, SO_LINGER, value)
            return
        }
        let size = socklen_t(MemoryLayout<Glibc.linger>.size)
        _ = result { unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, size) }
    }

    /// close(2), once: the number is free whatever it reports.
    package static func close(_ descriptor: CInt) -> Int {
        if let standIn { return standIn.close(descriptor) }
        return resultOnce { Glibc.close(descriptor) }
    }

    /// Lets a call fill in an address; returns its result and the address's bytes.
    private static func withAddress(
        _ call: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> CInt
    ) -> (Int, [UInt8]) {
        var storage = sockaddr_storage()
        let size = MemoryLayout<sockaddr_storage>.size
        var length = socklen_t(size)
        let code = result {
            length = socklen_t(size)
            return unsafe withUnsafeMutablePointer(to: &storage) { storage in
                unsafe storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe call($0, &length) }
            }
        }
        guard code >= 0 else { return (code, []) }
        let count = min(Int(length), size)
        let bytes = unsafe withUnsafeBytes(of: storage) { all in
            unsafe [UInt8](UnsafeRawBufferPointer(rebasing: all[..<count]))
        }
        return (code, bytes)
    }
}
