import AsyncIOKernel
import CAsyncIO
import Glibc

/// Memory that messages are received into, with what has been received and not been taken yet.
///
/// A room belongs to one receive at a time, and travels with its operation. It goes back to the socket afterwards and
/// is used again, so that a loop of receives allocates nothing but what it hands out. A receive that was given more
/// than it had asked for (one message may be many datagrams) leaves the rest in the room, for the next one.
///
/// Unchecked, because it is passed from task to task by a lock and never shared.
@safe
final class IncomingRoom: @unchecked Sendable {
    /// How many messages fit.
    let count: Int
    /// How many bytes of each.
    let size: Int
    private let messages: UnsafeMutableBufferPointer<casyncio_message>
    private let vectors: UnsafeMutableBufferPointer<iovec>
    private let names: UnsafeMutableBufferPointer<sockaddr_storage>
    private let controls: UnsafeMutableRawBufferPointer
    private let payload: UnsafeMutableRawBufferPointer

    /// Messages that were received, and the next one to take from.
    private var filled = 0
    private var next = 0
    /// Where the next datagram begins in that message, and what stands beside the message.
    private var offset = 0
    private var control: ControlMessages?

    /// The most messages that the kernel takes in one call (UIO_MAXIOV).
    static let maximumCount = 1024

    init(count: Int, size: Int) {
        self.count = count
        self.size = size
        unsafe messages = .allocate(capacity: count)
        unsafe messages.initialize(repeating: casyncio_message())
        unsafe vectors = .allocate(capacity: count)
        unsafe vectors.initialize(repeating: iovec())
        unsafe names = .allocate(capacity: count)
        unsafe names.initialize(repeating: sockaddr_storage())
        unsafe controls = .allocate(byteCount: count * ControlMessages.space, alignment: 16)
        // Untouched pages cost nothing: what is resident is what datagrams have filled.
        unsafe payload = .allocate(byteCount: max(count * size, 1), alignment: 16)
    }

    deinit {
        unsafe messages.deallocate()
        unsafe vectors.deallocate()
        unsafe names.deallocate()
        unsafe controls.deallocate()
        unsafe payload.deallocate()
    }

    /// Whether datagrams wait to be taken.
    var hasMore: Bool { next < filled }

    /// The header of the first message, for recvmsg(2).
    var header: UnsafeMutablePointer<msghdr> {
        guard let first = unsafe messages.baseAddress else { preconditionFailure("a room for no message") }
        return unsafe UnsafeMutableRawPointer(first).assumingMemoryBound(to: msghdr.self)
    }

    /// The first messages, for recvmmsg(2).
    func list(_ wanted: Int) -> UnsafeMutableBufferPointer<casyncio_message> {
        unsafe UnsafeMutableBufferPointer(rebasing: messages[..<min(wanted, count)])
    }

    /// Makes the headers of so many messages ready. A message's bytes go into the room's memory, at most `limit`, or,
    /// of a single message, into the caller's.
    func prepare(
        _ wanted: Int, upTo limit: Int, into memory: UnsafeMutableRawBufferPointer? = nil, withControl: Bool
    ) {
        (filled, next, offset, control) = (0, 0, 0, nil)
        for index in 0..<min(wanted, count) {
            let own = unsafe payload.baseAddress?.advanced(by: index * size)
            unsafe vectors[index] =
                if let memory = unsafe memory {
                    unsafe iovec(iov_base: memory.baseAddress, iov_len: memory.count)
                } else {
                    unsafe iovec(iov_base: own, iov_len: min(limit, size))
                }
            var header = unsafe msghdr()
            unsafe header.msg_name = UnsafeMutableRawPointer(names.baseAddress?.advanced(by: index))
            unsafe header.msg_namelen = socklen_t(MemoryLayout<sockaddr_storage>.size)
            unsafe header.msg_iov = unsafe vectors.baseAddress?.advanced(by: index)
            unsafe header.msg_iovlen = 1
            if withControl {
                unsafe header.msg_control = controls.baseAddress?.advanced(by: index * ControlMessages.space)
                unsafe header.msg_controllen = ControlMessages.space
            }
            // The result shall be the real length.
            unsafe header.msg_flags = CInt(truncatingIfNeeded: MSG_TRUNC)
            unsafe messages[index].header = unsafe header
        }
    }

    /// Notes one message of recvmsg(2), with its real length.
    func received(length: Int) {
        unsafe messages[0].length = CUnsignedInt(clamping: length)
        filled = 1
    }

    /// Notes so many messages of recvmmsg(2).
    func received(messages number: Int) { filled = min(number, count) }

    /// A received datagram, in the room's memory: valid until the room is prepared again.
    @safe
    struct Slice {
        let info: Datagram.Info
        let bytes: UnsafeRawBufferPointer

        var datagram: Datagram { unsafe Datagram([UInt8](bytes), info) }
    }

    /// Takes the next datagram, cut to a limit.
    func take(upTo limit: Int, port: UInt16, unknownPeer: SocketAddress) -> Slice? {
        guard next < filled else { return nil }
        let whole = unsafe Int(messages[next].length)
        let there = unsafe min(whole, vectors[next].iov_len)
        let header = unsafe messages[next].header
        let about = unsafe control ?? readControl(header, port)
        // The kernel coalesces datagrams of one size; the last may be shorter.
        let isOne = about.segment == 0 || whole <= about.segment
        let length = isOne ? whole : min(about.segment, whole - offset)
        let kept = max(0, min(length, there - offset, limit))
        let start = unsafe vectors[next].iov_base.map { unsafe UnsafeRawPointer($0).advanced(by: offset) }
        var info = Datagram.Info(peer: unsafe peer(of: header) ?? unknownPeer, length: length)
        info.isTruncated = kept < length
        info.destination = about.destination
        info.interface = about.interface.map { NetworkInterface(index: $0) }
        info.hopLimit = about.hopLimit
        info.congestion = about.congestion.flatMap(Datagram.CongestionMark.init(rawValue:))
        offset += length
        control = about
        if isOne || offset >= whole { (next, offset, control) = (next + 1, 0, nil) }
        return unsafe Slice(info: info, bytes: UnsafeRawBufferPointer(start: start, count: kept))
    }

    private func readControl(_ header: msghdr, _ port: UInt16) -> ControlMessages {
        guard unsafe header.msg_control != nil, unsafe header.msg_controllen > 0 else { return ControlMessages() }
        var header = unsafe header
        return unsafe ControlMessages(of: &header, port: port)
    }

    /// The sender; nil if it has no name.
    private func peer(of header: msghdr) -> SocketAddress? {
        guard unsafe header.msg_namelen > 0, let name = unsafe header.msg_name else { return nil }
        return unsafe SocketAddress(name.assumingMemoryBound(to: sockaddr.self), length: header.msg_namelen)
    }
}
