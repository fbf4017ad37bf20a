public import AsyncIOKernel
public import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

/// A UDP socket (udp(7)): datagrams to and from whom it likes, or, connected, one peer alone.
///
/// ```swift
/// let socket = try await UDPSocket.bind("127.0.0.1", 7000)
/// for try await datagram in socket {
///     try await socket.send(datagram.bytes, to: datagram.peer)
/// }
/// ```
///
/// One task receives at a time, a second one gets ``IOError`` with `EBUSY` that names the first. Any number may send: a
/// datagram mostly leaves at once, and when the kernel has no room for it, its sender waits behind those that wait
/// already; datagrams of several tasks have no order. Every method may be called from any thread; on the socket's loop
/// it costs no hop. Letting go of the last reference closes the socket. There is no other way to end it: nothing is
/// under way that could be broken off.
///
/// **Errors of the network.** A connected socket is told by ICMP that its peer cannot be reached. Linux keeps the error
/// for the next call, a send or a receive, which throws it, once (`ECONNREFUSED`, `EHOSTUNREACH`, …): that datagram was
/// not sent, the socket lives on, and the call after it does its work. A socket that is not connected is told nothing
/// of the kind, so that one peer who has gone does not disturb what comes from the others.
public final class UDPSocket: Sendable, CustomStringConvertible {
    let core: DatagramCore

    private init(_ core: DatagramCore) { self.core = core }

    /// The loop that does the socket's work.
    public var loop: EventLoop { core.loop }

    /// Where it receives: with the port that the kernel chose, if none was asked for. Connecting a socket that is bound
    /// to all addresses chooses one of them.
    public var local: SocketAddress { core.local }

    /// The peer of a connected socket; nil if it is not connected.
    public var peer: SocketAddress? { core.peer }

    /// `UDPSocket(127.0.0.1:7000)`, connected `UDPSocket(127.0.0.1:7000 → 10.0.0.1:53)`.
    public var description: String {
        core.state.withLock { state in "UDPSocket(\(state.local)\(state.peer.map { " → \($0)" } ?? ""))" }
    }

    // MARK: Making one

    /// Binds to a host and port; port 0 lets the kernel choose one. A name is looked up, and its first address taken.
    ///
    /// Suspends only to look up a name. Throws ``IOError``: `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES` for a port below
    /// 1024, and what an option reports.
    public static func bind(
        _ host: String, _ port: UInt16, options: UDPOptions = UDPOptions(), on loop: EventLoop? = nil
    ) async throws -> UDPSocket {
        let loop = try EventLoop.required(loop)
        guard let address = try await lookUp(host, port).first else {
            throw IOError(.addressNotAvailable, operation: "bind", subject: "\(host):\(port)")
        }
        return try await bind(to: address, options: options, on: loop)
    }

    /// Binds to an address; `.any(port: 0)` for a client of many servers. As ``bind(_:_:options:on:)``.
    public static func bind(
        to address: SocketAddress, options: UDPOptions = UDPOptions(), on loop: EventLoop? = nil
    ) async throws -> UDPSocket {
        let loop = try EventLoop.required(loop)
        guard address.family != .unix else {
            throw IOError(
                .addressFamilyNotSupported, operation: "bind", subject: "\(address)",
                detail: "UDP needs an IPv4 or IPv6 address; a UnixDatagramSocket takes this one")
        }
        let descriptor = try Socket.open(for: address, CInt(SOCK_DGRAM.rawValue), "bind")
        let (number, subject) = (descriptor.number, "\(address)")
        let traits = try options.apply(to: number, address.family, subject)
        try Socket.bind(number, to: address)
        let local = Socket.localAddress(number) ?? address
        let handle = try await loop.adopt(descriptor, subject)
        return UDPSocket(loop, handle, traits, options.state(number, local: local))
    }

    convenience init(
        _ loop: EventLoop, _ handle: Handle, _ traits: DatagramCore.Traits, _ state: sending DatagramCore.State
    ) {
        self.init(DatagramCore(loop, handle, traits, state))
    }

    /// Makes a socket that is connected to a host and port. A name is looked up, and its first address taken: no answer
    /// tells whether another would be better.
    ///
    /// No packet is sent, and so nothing is known of the peer. Suspends only to look up a name. Throws ``IOError``:
    /// `ENETUNREACH` without a route, and what ``bind(to:options:on:)`` throws.
    public static func connect(
        _ host: String, _ port: UInt16, from local: SocketAddress? = nil, options: UDPOptions = UDPOptions(),
        on loop: EventLoop? = nil
    ) async throws -> UDPSocket {
        let loop = try EventLoop.required(loop)
        let version: SocketAddress.IPVersion? = local.map { $0.family == .ipv6 ? .v6 : .v4 }
        guard let address = try await lookUp(host, port, version: version).first else {
            throw IOError(.addressNotAvailable, operation: "connect", subject: "\(host):\(port)")
        }
        return try await connect(to: address, from: local, options: options, on: loop)
    }

    /// Makes a socket that is connected to an address, and bound to one of ours if one is named.
    ///
    /// As ``connect(_:_:from:options:on:)``.
    public static func connect(
        to address: SocketAddress, from local: SocketAddress? = nil, options: UDPOptions = UDPOptions(),
        on loop: EventLoop? = nil
    ) async throws -> UDPSocket {
        let any = SocketAddress.any(port: 0, version: address.family == .ipv6 ? .v6 : .v4)
        let socket = try await bind(to: local ?? any, options: options, on: loop)
        try await socket.connect(to: address)
        return socket
    }

    /// Connects a bound socket: from here on it receives from this peer alone, sends to it where no other is named, and
    /// is told when it cannot be reached. May be called again, for another peer.
    ///
    /// No packet is sent. What had been received from others before is still there. Does not wait. Throws ``IOError``:
    /// `ENETUNREACH` without a route, `EBUSY` while a send waits.
    public func connect(to address: SocketAddress) async throws {
        try await core.connect(to: address)
    }

    /// Closes the socket. What has been sent is on its way; what has been received and not been taken is gone. Calling
    /// it again does nothing.
    ///
    /// Does not wait. Operations that are under way end with ``IOError`` `ECANCELED`, loops over the datagrams just
    /// end.
    public func close() { core.close() }
}

// MARK: - Receiving

extension UDPSocket: AsyncSequence {
    /// The longest datagram there is, and more.
    public static let maximumLength = DatagramCore.maximumLength

    /// Receives one datagram; of one that is longer than the limit, its first bytes, ``Datagram/isTruncated``.
    ///
    /// Suspends until there is one, and holds room for it meanwhile. A cancelled task gets `CancellationError`, and no
    /// datagram is lost: the next receive has it. Throws ``IOError``: `EBUSY` if another task receives, `ECANCELED` if
    /// the socket is closed meanwhile, `EINVAL` for a limit below one, and what an earlier send has caused.
    public func receive(upTo limit: Int = maximumLength) async throws -> Datagram {
        try await core.receive(upTo: limit)
    }

    /// Receives one datagram into the free part of the span, which is its limit. Allocates nothing.
    ///
    /// As ``receive(upTo:)``.
    public func receive(into span: inout OutputRawSpan) async throws -> Datagram.Info {
        try await core.receive(into: &span)
    }

    /// Receives one datagram into the free part of the buffer, which is its limit. Allocates nothing.
    ///
    /// As ``receive(upTo:)``.
    public func receive(into buffer: inout IOBuffer) async throws -> Datagram.Info {
        // The buffer is borrowed until this function returns, so its memory outlives the operation.
        var free = unsafe OutputRawSpan(buffer: buffer.freeSpace, initializedCount: 0)
        let info = try await core.receive(into: &free)
        buffer.advance(by: free.byteCount)
        return info
    }

    /// Receives one datagram if one is there; nil if none is, and elsewhere than on the socket's loop. Never waits.
    ///
    /// Throws as ``receive(upTo:)``, but for `EBUSY`: while another task receives, there is nothing.
    public func tryReceive(upTo limit: Int = maximumLength) throws -> Datagram? {
        try core.tryReceive(upTo: limit)
    }

    /// Receives what is there, at least one datagram and at most so many, in one system call (recvmmsg(2)).
    ///
    /// Suspends until there is one. The room for them is kept for the next batch: `count` times `limit` bytes of
    /// address space, of which what datagrams have filled is memory. As ``receive(upTo:)``.
    public func receiveBatch(upTo count: Int = 64, limit: Int = maximumLength) async throws -> [Datagram] {
        var batch: [Datagram] = []
        batch.reserveCapacity(Swift.min(Swift.max(count, 0), 64))
        _ = try await core.receiveBatch(upTo: count, limit: limit) { info, bytes in
            batch.append(Datagram(unsafe bytes.withUnsafeBytes { unsafe [UInt8]($0) }, info))
        }
        return batch
    }

    /// Receives what is there as ``receiveBatch(upTo:limit:)`` does, and shows it in place, one datagram after the
    /// other: nothing is copied or allocated. Returns how many there were.
    ///
    /// If the body throws, so does this; what the body has not seen yet is received next.
    public func receiveBatch(
        upTo count: Int = 64, limit: Int = maximumLength, _ body: (Datagram.Info, RawSpan) throws -> Void
    ) async throws -> Int {
        try await core.receiveBatch(upTo: count, limit: limit, body)
    }

    /// The datagrams of at most so many bytes each, until the socket is closed.
    public func datagrams(upTo limit: Int = maximumLength) -> DatagramSequence {
        DatagramSequence(core: core, limit: limit)
    }

    /// The datagrams, until the socket is closed.
    public var datagrams: DatagramSequence { datagrams() }

    /// An iterator over the datagrams, until the socket is closed.
    public func makeAsyncIterator() -> DatagramSequence.AsyncIterator { datagrams.makeAsyncIterator() }
}
