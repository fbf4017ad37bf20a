import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

// A datagram is sent whole or not at all, and mostly at once: the headers stand on the stack then, nothing is
// allocated, and nothing is awaited. Only when the kernel has no room, or when the caller runs elsewhere, they move to
// memory that travels with the operation.
extension DatagramCore {
    @inline(__always)
    func send(_ bytes: RawSpan, to peer: SocketAddress?) async throws {
        let begun = unsafe bytes.withUnsafeBytes { unsafe begin($0, peer) }
        if case .ended(let outcome) = begun, outcome.result >= 0 { return }
        try await finish(bytes, peer, from: nil, begun)
    }

    @inline(__always)
    func send(_ bytes: [UInt8], to peer: SocketAddress?) async throws {
        let begun = unsafe bytes.withUnsafeBytes { unsafe begin($0, peer) }
        if case .ended(let outcome) = begun, outcome.result >= 0 { return }
        unsafe try await finish(bytes.span.bytes, peer, from: nil, begun)
    }

    func send(_ bytes: RawSpan, to peer: SocketAddress?, from source: SocketAddress) async throws {
        try await finish(bytes, peer, from: source, nil)
    }

    func trySend(_ bytes: RawSpan, to peer: SocketAddress?) throws -> Bool {
        guard loop.isCurrent else { return false }
        let outcome = unsafe bytes.withUnsafeBytes { bytes in
            unsafe withHeader(bytes, peer) { unsafe loop.performNow(.sendMessageNow(handle, $0)) }
        }
        guard let outcome else { return false }
        if outcome.result >= 0 { return true }
        if isFull(outcome) { return false }
        throw failure(outcome, bytes.byteCount, peer)
    }

    /// An attempt that never waits: the headers live as long as the call.
    @inline(__always)
    private func begin(_ bytes: UnsafeRawBufferPointer, _ peer: SocketAddress?) -> EventLoop.Begun {
        unsafe withHeader(bytes, peer) { unsafe loop.begin(.sendMessageNow(handle, $0)) }
    }

    @inline(__always)
    private func withHeader<Result>(
        _ bytes: UnsafeRawBufferPointer, _ peer: SocketAddress?, _ body: (UnsafeMutablePointer<msghdr>) -> Result
    ) -> Result {
        var vector = unsafe iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
        return unsafe withUnsafeMutablePointer(to: &vector) { vector in
            var header = unsafe msghdr()
            unsafe header.msg_iov = vector
            unsafe header.msg_iovlen = 1
            guard let peer else { return unsafe body(&header) }
            return unsafe peer.withSockaddr { pointer, length in
                unsafe header.msg_name = UnsafeMutableRawPointer(mutating: pointer)
                unsafe header.msg_namelen = length
                return unsafe body(&header)
            }
        }
    }

    /// Everything but the usual case.
    private func finish(
        _ bytes: RawSpan, _ peer: SocketAddress?, from source: SocketAddress?, _ begun: EventLoop.Begun?
    ) async throws {
        let room = OutgoingRoom(forOne: true)
        // The span is borrowed until this function returns, so its memory outlives the operation.
        let memory = unsafe bytes.withUnsafeBytes { unsafe $0 }
        unsafe room.fill(OutgoingRoom.Item(bytes: memory, peer: peer), from: source)
        var outcome: Outcome
        if let begun {
            outcome = unsafe await loop.finish(.sendMessageNow(handle, room.header), begun)
        } else {
            outcome = unsafe await perform(.sendMessageNow(handle, room.header))
        }
        if traits.isUnix && peer != nil {
            try await retry(room, &outcome)
        } else if isFull(outcome) {
            outcome = try await senders.withLock { unsafe await perform(.sendMessage(handle, room.header)) }
        }
        withExtendedLifetime(room) {}
        _ = bytes.byteCount
        if outcome.result < 0 { throw await explained(failure(outcome, bytes.byteCount, peer), bytes.byteCount) }
    }

    /// Sends again after a pause, until the receiver's queue has room.
    ///
    /// The kernel says when our own buffer has room again, and, to a connected socket, when its peer's queue has. Of
    /// another receiver's queue it says nothing: unix_dgram_poll looks at the peer alone. Worse, the memory of a
    /// message that was refused is given back at once, which counts as room: whoever waits for that, spins. So
    /// everybody who sends to a named receiver tries again, and each for itself, since their receivers need not be the
    /// same.
    private func retry(_ room: OutgoingRoom, _ outcome: inout Outcome) async throws {
        var pause = Duration.microseconds(100)
        while isFull(outcome) {
            try await loop.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(10))
            outcome = unsafe await perform(.sendMessageNow(handle, room.header))
        }
    }

    /// Whether it was not sent for want of room.
    private func isFull(_ outcome: Outcome) -> Bool { outcome.result == Errno.wouldBlock.negated }

    // MARK: Batches

    /// Sends the datagrams in order. The items' bytes are alive until this returns.
    func sendBatch(_ count: Int, _ item: (Int) -> OutgoingRoom.Item) async throws -> SentBatch {
        var sent = 0
        do {
            try await senders.withLock {
                let room = state.withLock { $0.outgoing.take() } ?? OutgoingRoom()
                defer { giveBack(room) }
                while sent < count { try await sendSome(&sent, of: count, room, item) }
            }
        } catch {
            guard sent > 0 else { throw error }
            return SentBatch(sent: sent, failure: error)
        }
        return SentBatch(sent: sent, failure: nil)
    }

    private func sendSome(
        _ sent: inout Int, of count: Int, _ room: OutgoingRoom, _ item: (Int) -> OutgoingRoom.Item
    ) async throws {
        room.fill(from: sent, of: count, segmentLimit: state.withLock { $0.segmentLimit }, item)
        let outcome = unsafe await perform(.sendMessages(handle, room.list))
        guard outcome.result < 0 else {
            sent += room.datagrams(inFirst: outcome.result)
            return
        }
        let first = item(sent)
        let length = first.length
        guard room.beginsWithSegments, let limit = Self.segmentLimit(after: outcome, length) else {
            throw await explained(failure(outcome, length, first.peer), length)
        }
        // Or it says something of the destination, in the same words: a port 0 is EINVAL, too. Then the datagram cannot
        // be sent alone either.
        room.fill(first)
        let alone = unsafe await perform(.sendMessages(handle, room.list))
        guard alone.result >= 0 else { throw await explained(failure(alone, length, first.peer), length) }
        sent += room.datagrams(inFirst: alone.result)
        state.withLock { $0.segmentLimit = min($0.segmentLimit, limit) }
    }

    /// What the kernel shall be asked to cut from now on, if the route, or its network card, cannot: the datagrams are
    /// longer than its packets (EINVAL, EMSGSIZE), or it computes no checksums (EIO). They are sent one by one then,
    /// now and later. Nil if the error says something else.
    private static func segmentLimit(after outcome: Outcome, _ length: Int) -> Int? {
        switch Errno(negated: outcome.result) {
        case .invalidArgument, .messageTooLong: length - 1
        case .ioError, .notSupported: 0
        default: nil
        }
    }

    private func giveBack(_ room: OutgoingRoom) {
        state.withLock { state in
            if !state.isClosed { state.outgoing = room }
        }
    }

    // MARK: Errors

    /// The error of a send, or the task's cancellation.
    private func failure(_ outcome: Outcome, _ length: Int, _ peer: SocketAddress?) -> any Error {
        let subject = (peer ?? self.peer).map { "\($0)" } ?? "\(local)"
        let detail: String
        switch Errno(negated: outcome.result) {
        case .messageTooLong:
            detail = "\(length) bytes are too long for a datagram: at most 65507 over IPv4, 65527 over IPv6"
        case .addressRequired where peer == nil, .socketNotConnected where peer == nil:
            detail = "the socket is not connected: connect it, or name the peer"
        default:
            do {
                try loop.check(outcome, "send", subject)
                return IOError(.ioError, operation: "send", subject: subject)
            } catch {
                return error
            }
        }
        return IOError(Errno(negated: outcome.result), operation: "send", subject: subject, detail: detail)
    }

    /// The limit of a Unix datagram is the buffer of the socket that sends it.
    private func explained(_ error: any Error, _ length: Int) async -> any Error {
        guard traits.isUnix, let error = error as? IOError, error.code == .messageTooLong else { return error }
        let outcome = await perform(.option(handle, level: SOL_SOCKET, name: SO_SNDBUF, size: 4))
        let size = CInt(option: outcome.bytes ?? [])
        return IOError(
            error.code, operation: error.operation, subject: error.subject,
            detail: "\(length) bytes are too long for a send buffer of \(size): make it larger, or send less at once")
    }
}

extension CInt {
    /// The number that getsockopt(2) has filled in; 0 if there is none.
    init(option bytes: [UInt8]) {
        self = bytes.count >= 4 ? unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(as: CInt.self) } : 0
    }

    /// The bytes of an option's value, for setsockopt(2).
    var optionBytes: [UInt8] { unsafe withUnsafeBytes(of: self) { unsafe [UInt8]($0) } }
}
