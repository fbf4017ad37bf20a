public import AsyncIOKernel

extension UDPSocket {
    /// Sends one datagram to a peer. An empty one is a datagram, too.
    ///
    /// Suspends only while the kernel has no room for it; that it has left says nothing of its arrival. A cancelled
    /// task gets `CancellationError`, and the datagram was not sent. Throws ``IOError``: `EMSGSIZE` if it is too long,
    /// `ENETUNREACH`, `EACCES` for a broadcast without ``UDPOptions/broadcast``, `EBADF` on a closed socket, and, on a
    /// connected one, what an earlier datagram has caused.
    public func send(_ bytes: [UInt8], to peer: SocketAddress) async throws {
        try await core.send(bytes, to: peer)
    }

    /// Sends one datagram to a peer, in place. As ``send(_:to:)-([UInt8],_)``.
    public func send(_ bytes: RawSpan, to peer: SocketAddress) async throws {
        try await core.send(bytes, to: peer)
    }

    /// Sends a text as UTF-8, in one datagram. As ``send(_:to:)-([UInt8],_)``.
    public func send(_ text: String, to peer: SocketAddress) async throws {
        try await core.send(Array(text.utf8), to: peer)
    }

    /// Sends one datagram to a peer from one of our addresses: a server of many addresses answers from the one that it
    /// was asked at, ``Datagram/Info/destination``. The port is the socket's.
    ///
    /// As ``send(_:to:)-([UInt8],_)``. Throws ``IOError`` with `EINVAL` or `ENETUNREACH` if the address is none of
    /// ours.
    public func send(_ bytes: [UInt8], to peer: SocketAddress, from source: SocketAddress) async throws {
        unsafe try await core.send(bytes.span.bytes, to: peer, from: source)
    }

    /// Sends one datagram to the peer of a connected socket.
    ///
    /// As ``send(_:to:)-([UInt8],_)``. Throws ``IOError`` with `EDESTADDRREQ` if the socket is not connected.
    public func send(_ bytes: [UInt8]) async throws {
        try await core.send(bytes, to: nil)
    }

    /// Sends one datagram to the peer of a connected socket, in place. As ``send(_:)-([UInt8])``.
    public func send(_ bytes: RawSpan) async throws {
        try await core.send(bytes, to: nil)
    }

    /// Sends a text as UTF-8 to the peer of a connected socket, in one datagram. As ``send(_:)-([UInt8])``.
    public func send(_ text: String) async throws {
        try await core.send(Array(text.utf8), to: nil)
    }

    /// Sends one datagram if the kernel takes it at once, and says whether it did. Never waits; elsewhere than on the
    /// socket's loop nothing is taken. Without a peer it goes to that of a connected socket.
    ///
    /// Throws ``IOError`` as ``send(_:to:)-([UInt8],_)`` does.
    public func trySend(_ bytes: RawSpan, to peer: SocketAddress? = nil) throws -> Bool {
        try core.trySend(bytes, to: peer)
    }

    /// Sends datagrams to the peers that they name, in order, with few system calls (sendmmsg(2)). Neighbours of one
    /// size and for one peer leave as one message that the kernel cuts, see ``UDPOptions/segmentsSent``.
    ///
    /// Suspends while the kernel has no room; other senders wait meanwhile. If the first datagram fails, its error is
    /// thrown, as ``send(_:to:)-([UInt8],_)`` does; if a later one fails or the task is cancelled, the result says how
    /// many had been sent, and why no more. Of what the network reports about the batch's datagrams, the next call is
    /// told the last. No datagrams are no operation.
    public func sendBatch(_ datagrams: [Datagram]) async throws -> SentBatch {
        // The arrays are held by the caller's list, and are not changed, until this function returns.
        let sent = try await core.sendBatch(datagrams.count) { index in
            let bytes = unsafe datagrams[index].bytes.withUnsafeBytes { unsafe $0 }
            return unsafe OutgoingRoom.Item(bytes: bytes, peer: datagrams[index].peer)
        }
        withExtendedLifetime(datagrams) {}
        return sent
    }

    /// Sends datagrams to one peer, or without one to that of a connected socket. As ``sendBatch(_:)``.
    public func sendBatch(_ chunks: [[UInt8]], to peer: SocketAddress? = nil) async throws -> SentBatch {
        let sent = try await core.sendBatch(chunks.count) { index in
            unsafe OutgoingRoom.Item(bytes: chunks[index].withUnsafeBytes { unsafe $0 }, peer: peer)
        }
        withExtendedLifetime(chunks) {}
        return sent
    }
}
