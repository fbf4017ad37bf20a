public import AsyncIOKernel
public import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

/// A datagram socket between processes of this machine (unix(7)): as UDP, but nothing is lost or reordered, and a
/// receiver that does not keep up makes its senders wait.
///
/// One task receives at a time, a second one gets ``IOError`` with `EBUSY` that names the first; any number may send.
/// Every method may be called from any thread; on the socket's loop it costs no hop. Letting go of the last reference
/// closes the socket, and removes the file that it was bound to, unless somebody has put another one in its place.
///
/// **Backpressure.** A receiver's queue takes few datagrams (`net.unix.max_dgram_qlen`, mostly 10). To a connected
/// socket the kernel says when there is room again, and a send goes on at once. A send to a named receiver is not told,
/// and tries again after 0.1 to 10 ms: connect the socket if it has one receiver.
///
/// Descriptors that come along are closed, as are those of any other message that nobody asked for.
public final class UnixDatagramSocket: Sendable, CustomStringConvertible {
    let core: DatagramCore

    private init(_ core: DatagramCore) { self.core = core }

    /// The loop that does the socket's work.
    public var loop: EventLoop { core.loop }

    /// Where it receives; unnamed if it was never bound.
    public var local: SocketAddress { core.local }

    /// The peer of a connected socket; nil if it is not connected.
    public var peer: SocketAddress? { core.peer }

    /// `UnixDatagramSocket(unix:/run/app.sock)`, connected `UnixDatagramSocket(unix:(unnamed) → unix:/dev/log)`.
    public var description: String {
        core.state.withLock { state in "UnixDatagramSocket(\(state.local)\(state.peer.map { " → \($0)" } ?? ""))" }
    }

    // MARK: Making one

    /// Binds to a path. A socket's file that an earlier process has left behind is replaced.
    ///
    /// Processes that do this at the same time, with this package, take turns by a lock on the folder (flock(2)), for
    /// which this suspends at most a second. Throws ``IOError``: `EADDRINUSE` if somebody is bound to the path, or if
    /// another kind of file is there, `ENOENT`, `EACCES`.
    public static func bind(_ path: String, on loop: EventLoop? = nil) async throws -> UnixDatagramSocket {
        try await bind(to: .unix(path: path), on: loop)
    }

    /// Binds to an address; to ``SocketAddress/unnamedUnix`` for a name that the kernel makes up, so that others can
    /// answer (unix(7), autobind). As ``bind(_:on:)``.
    public static func bind(to address: SocketAddress, on loop: EventLoop? = nil) async throws -> UnixDatagramSocket {
        let loop = try EventLoop.required(loop)
        let descriptor = try Socket.openUnix(for: address, CInt(SOCK_DGRAM.rawValue), "bind")
        let number = descriptor.number
        let place: SocketPlace?
        if let path = address.pathBytes {
            place = try await SocketPlace.take(path, for: number, .datagram, address, on: loop)
        } else {
            try Socket.bind(number, to: address)
            place = nil
        }
        let local = Socket.localAddress(number) ?? address
        do {
            return try await adopt(descriptor, local: local, place: place, on: loop)
        } catch {
            place?.giveUp()
            throw error
        }
    }

    /// Makes a socket that sends to whoever is bound to a path; it has no name, so that nobody can answer.
    ///
    /// Does not wait. Throws ``IOError``: `ENOENT` if nothing is at the path, `ECONNREFUSED` if nobody is bound to it
    /// any more, `EPROTOTYPE` if it is a stream's, `EACCES`.
    public static func connect(_ path: String, on loop: EventLoop? = nil) async throws -> UnixDatagramSocket {
        try await connect(to: .unix(path: path), on: loop)
    }

    /// Makes a socket that sends to an address, and is bound to one of its own if one is named. As ``connect(_:on:)``.
    public static func connect(
        to address: SocketAddress, from local: SocketAddress? = nil, on loop: EventLoop? = nil
    ) async throws -> UnixDatagramSocket {
        let loop = try EventLoop.required(loop)
        let socket: UnixDatagramSocket
        if let local {
            socket = try await bind(to: local, on: loop)
        } else {
            let descriptor = try Socket.openUnix(for: address, CInt(SOCK_DGRAM.rawValue), "connect")
            socket = try await adopt(descriptor, local: .unnamedUnix, on: loop)
        }
        try await socket.connect(to: address)
        return socket
    }

    /// Two sockets that are connected to each other, without names (socketpair(2)).
    public static func pair(on loop: EventLoop? = nil) async throws -> (UnixDatagramSocket, UnixDatagramSocket) {
        let loop = try EventLoop.required(loop)
        let ends = try SystemCall.socketPair(CInt(SOCK_DGRAM.rawValue))
        let left = Descriptor(owning: ends.0)
        let right = Descriptor(owning: ends.1)
        let first = try await adopt(left, local: .unnamedUnix, peer: .unnamedUnix, on: loop)
        let second = try await adopt(right, local: .unnamedUnix, peer: .unnamedUnix, on: loop)
        return (first, second)
    }

    /// Connects the socket: from here on it receives from this peer alone, and sends to it where no other is named. May
    /// be called again, for another peer.
    ///
    /// As ``connect(_:on:)``. `EPERM` if the peer is connected to somebody else.
    public func connect(to address: SocketAddress) async throws {
        try await core.connect(to: address)
    }

    private static func adopt(
        _ descriptor: consuming Descriptor, local: SocketAddress, peer: SocketAddress? = nil, place: SocketPlace? = nil,
        on loop: EventLoop
    ) async throws -> UnixDatagramSocket {
        let handle = try await loop.adopt(descriptor, "\(local)")
        let state = DatagramCore.State(local: local, peer: peer, place: place)
        return UnixDatagramSocket(loop, handle, DatagramCore.Traits(isUnix: true), state)
    }

    convenience init(
        _ loop: EventLoop, _ handle: Handle, _ traits: DatagramCore.Traits, _ state: sending DatagramCore.State
    ) {
        self.init(DatagramCore(loop, handle, traits, state))
    }

    /// Closes the socket, and removes its file. What has been received and not been taken is gone. Calling it again
    /// does nothing.
    ///
    /// Does not wait. Operations that are under way end with ``IOError`` `ECANCELED`, loops over the datagrams just
    /// end; the next send of a connected peer fails with `ECONNREFUSED`.
    public func close() { core.close() }

    // MARK: Sending

    /// Sends one datagram to whoever is bound to an address. An empty one is a datagram, too.
    ///
    /// Suspends while the receiver's queue is full, and while our own buffer is. A cancelled task gets
    /// `CancellationError`, and the datagram was not sent. Throws ``IOError``: `ENOENT` and `ECONNREFUSED` if nobody is
    /// there, `EMSGSIZE` if it is longer than our send buffer, `EPERM` if the receiver is connected to somebody else.
    public func send(_ bytes: [UInt8], to peer: SocketAddress) async throws {
        try await core.send(bytes, to: peer)
    }

    /// Sends one datagram to whoever is bound to an address, in place. As ``send(_:to:)-([UInt8],_)``.
    public func send(_ bytes: RawSpan, to peer: SocketAddress) async throws {
        try await core.send(bytes, to: peer)
    }

    /// Sends a text as UTF-8 to whoever is bound to an address, in one datagram. As ``send(_:to:)-([UInt8],_)``.
    public func send(_ text: String, to peer: SocketAddress) async throws {
        try await core.send(Array(text.utf8), to: peer)
    }

    /// Sends one datagram to the peer of a connected socket. As ``send(_:to:)-([UInt8],_)``.
    public func send(_ bytes: [UInt8]) async throws {
        try await core.send(bytes, to: nil)
    }

    /// Sends one datagram to the peer of a connected socket, in place. As ``send(_:to:)-([UInt8],_)``.
    public func send(_ bytes: RawSpan) async throws {
        try await core.send(bytes, to: nil)
    }

    /// Sends a text as UTF-8 to the peer of a connected socket, in one datagram. As ``send(_:to:)-([UInt8],_)``.
    public func send(_ text: String) async throws {
        try await core.send(Array(text.utf8), to: nil)
    }

    /// Sends one datagram if it is taken at once, and says whether it was. Never waits; elsewhere than on the socket's
    /// loop nothing is taken.
    public func trySend(_ bytes: RawSpan, to peer: SocketAddress? = nil) throws -> Bool {
        try core.trySend(bytes, to: peer)
    }
}

// MARK: - Receiving

extension UnixDatagramSocket: AsyncSequence {
    /// The limit of a receive that names none.
    public static let maximumLength = DatagramCore.maximumLength

    /// Receives one datagram, with its sender; of one that is longer than the limit, its first bytes,
    /// ``Datagram/isTruncated``. The limit may be larger than ``maximumLength``: datagrams here can be.
    ///
    /// As ``UDPSocket/receive(upTo:)``, without errors that an earlier send has caused.
    public func receive(upTo limit: Int = maximumLength) async throws -> Datagram {
        try await core.receive(upTo: limit)
    }

    /// Receives one datagram into the free part of the span, which is its limit. As ``receive(upTo:)``.
    public func receive(into span: inout OutputRawSpan) async throws -> Datagram.Info {
        try await core.receive(into: &span)
    }

    /// Receives one datagram if one is there; nil if none is. See ``UDPSocket/tryReceive(upTo:)``.
    public func tryReceive(upTo limit: Int = maximumLength) throws -> Datagram? {
        try core.tryReceive(upTo: limit)
    }

    /// Receives what is there, at least one datagram and at most so many. See ``UDPSocket/receiveBatch(upTo:limit:)``.
    ///
    /// The limit may be larger than ``maximumLength``, as in ``receive(upTo:)``; the room for one batch is at most
    /// 64 MiB, and with a limit so large that fewer datagrams fit, fewer come at once.
    public func receiveBatch(upTo count: Int = 64, limit: Int = maximumLength) async throws -> [Datagram] {
        var batch: [Datagram] = []
        _ = try await core.receiveBatch(upTo: count, limit: limit) { info, bytes in
            batch.append(Datagram(unsafe bytes.withUnsafeBytes { unsafe [UInt8]($0) }, info))
        }
        return batch
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
