import AsyncIOKernel
import CAsyncIO
import Glibc

/// Memory for the headers of messages to send. The bytes are the caller's, who keeps them alive.
///
/// A room belongs to one send at a time, travels with its operation, and is used again. Unchecked, because it is passed
/// from task to task by a lock and never shared.
@safe
final class OutgoingRoom: @unchecked Sendable {
    /// One datagram: bytes that are alive until it has been sent, and whom it goes to; nil is the connected peer.
    @safe
    struct Item {
        let bytes: UnsafeRawBufferPointer
        let peer: SocketAddress?

        var length: Int { unsafe bytes.count }
    }

    /// How many messages one call takes, and datagrams: a fraction of a millisecond's work.
    static let messagesPerCall = 64
    static let datagramsPerCall = 1024
    static let bytesPerCall = 1 << 20
    /// How many datagrams the kernel cuts out of one message (UDP_MAX_SEGMENTS, at its smallest), and from how many
    /// bytes: less than fits into a packet with all headers.
    static let segmentsPerMessage = 64
    static let bytesPerMessage = 64_000

    private let messages: UnsafeMutableBufferPointer<casyncio_message>
    private let vectors: UnsafeMutableBufferPointer<iovec>
    private let names: UnsafeMutableBufferPointer<sockaddr_storage>
    private let controls: UnsafeMutableRawBufferPointer
    /// How many datagrams each message stands for.
    private var parts: [Int] = []

    init(forOne: Bool = false) {
        let count = forOne ? 1 : Self.messagesPerCall
        unsafe messages = .allocate(capacity: count)
        unsafe messages.initialize(repeating: casyncio_message())
        unsafe vectors = .allocate(capacity: forOne ? 1 : Self.datagramsPerCall)
        unsafe names = .allocate(capacity: count)
        unsafe names.initialize(repeating: sockaddr_storage())
        unsafe controls = .allocate(byteCount: count * ControlMessages.space, alignment: 16)
        parts.reserveCapacity(count)
    }

    deinit {
        unsafe messages.deallocate()
        unsafe vectors.deallocate()
        unsafe names.deallocate()
        unsafe controls.deallocate()
    }

    /// The header of the first message, for sendmsg(2).
    var header: UnsafeMutablePointer<msghdr> {
        guard let first = unsafe messages.baseAddress else { preconditionFailure("a room for no message") }
        return unsafe UnsafeMutableRawPointer(first).assumingMemoryBound(to: msghdr.self)
    }

    /// The messages, for sendmmsg(2).
    var list: UnsafeMutableBufferPointer<casyncio_message> {
        unsafe UnsafeMutableBufferPointer(rebasing: messages[..<parts.count])
    }

    /// How many datagrams the first messages stand for.
    func datagrams(inFirst messages: Int) -> Int { parts.prefix(messages).reduce(0, +) }

    /// Whether the first message is to be cut by the kernel.
    var beginsWithSegments: Bool { (parts.first ?? 0) > 1 }

    /// One datagram, from an address of ours if one is named.
    func fill(_ item: Item, from source: SocketAddress? = nil) {
        parts.removeAll(keepingCapacity: true)
        unsafe vectors[0] = unsafe Self.vector(item.bytes)
        append(firstVector: 0, count: 1, to: item.peer)
        guard let source, let memory = unsafe controls.baseAddress else { return }
        var writer = unsafe ControlWriter(memory)
        writer.append(source: source)
        unsafe messages[0].header.msg_control = memory
        unsafe messages[0].header.msg_controllen = writer.length
    }

    /// As many datagrams as fit in one call, from an index on. Neighbours of one size and for one peer become one
    /// message, which the kernel cuts, if their size is at most the segment limit.
    func fill(from start: Int, of count: Int, segmentLimit: Int, _ item: (Int) -> Item) {
        parts.removeAll(keepingCapacity: true)
        var (index, bytes) = (start, 0)
        while index < count, parts.count < Self.messagesPerCall, index - start < Self.datagramsPerCall,
            bytes < Self.bytesPerCall
        {
            let first = item(index)
            let vector = index - start
            unsafe vectors[vector] = unsafe Self.vector(first.bytes)
            var (run, total) = (1, first.length)
            if total > 0 && total <= segmentLimit {
                let room = min(count - index, Self.segmentsPerMessage, Self.datagramsPerCall - vector)
                while run < room {
                    let next = item(index + run)
                    // Only the last may be shorter, and none may be empty: that one would not be sent.
                    guard next.length > 0, next.length <= first.length,
                        total + next.length <= Self.bytesPerMessage, next.peer == first.peer
                    else { break }
                    unsafe vectors[vector + run] = unsafe Self.vector(next.bytes)
                    total += next.length
                    run += 1
                    if next.length < first.length { break }
                }
            }
            append(firstVector: vector, count: run, to: first.peer)
            if run > 1 { askForSegments(of: first.length) }
            index += run
            bytes += total
        }
    }

    private func append(firstVector: Int, count: Int, to peer: SocketAddress?) {
        let index = parts.count
        var header = unsafe msghdr()
        unsafe header.msg_iov = unsafe vectors.baseAddress?.advanced(by: firstVector)
        unsafe header.msg_iovlen = count
        if let peer, let name = unsafe names.baseAddress?.advanced(by: index) {
            unsafe peer.withSockaddr { pointer, length in
                unsafe UnsafeMutableRawPointer(name).copyMemory(from: pointer, byteCount: Int(length))
                unsafe header.msg_namelen = length
            }
            unsafe header.msg_name = UnsafeMutableRawPointer(name)
        }
        unsafe messages[index].header = unsafe header
        parts.append(count)
    }

    private func askForSegments(of size: Int) {
        let index = parts.count - 1
        guard let memory = unsafe controls.baseAddress?.advanced(by: index * ControlMessages.space) else { return }
        var writer = unsafe ControlWriter(memory)
        writer.append(segment: size)
        unsafe messages[index].header.msg_control = memory
        unsafe messages[index].header.msg_controllen = writer.length
    }

    private static func vector(_ bytes: UnsafeRawBufferPointer) -> iovec {
        unsafe iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
    }
}
