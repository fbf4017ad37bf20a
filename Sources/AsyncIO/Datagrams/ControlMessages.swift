import AsyncIOKernel
import CAsyncIO
import Glibc

/// Numbers of udp(7) that Glibc's module does not have.
enum UDPOption {
    static let level = CInt(IPPROTO_UDP)
    /// UDP_SEGMENT: the kernel, or the network card, cuts one big message into datagrams of this size (Linux 4.18).
    static let segment: CInt = 103
    /// UDP_GRO: datagrams of one sender and size come as one big message, with their size (Linux 5.0).
    static let coalesce: CInt = 104
}

/// What stands beside a received message's bytes (cmsg(3)).
struct ControlMessages {
    /// The address in the packet's header.
    var destination: SocketAddress?
    var interface: UInt32?
    var hopLimit: UInt8?
    var congestion: UInt8?
    /// The size of the datagrams that the message consists of; 0 if it is one datagram.
    var segment = 0

    /// Room for everything that is ever asked for, on a socket of both families.
    static let space = 256

    init() {}

    /// Takes apart what the kernel wrote. Lengths are checked: a message that is cut short (MSG_CTRUNC) tells nothing.
    init(of header: UnsafeMutablePointer<msghdr>, port: UInt16) {
        var next = unsafe casyncio_first_control(header)
        while let control = unsafe next {
            let length = unsafe Int(control.pointee.cmsg_len) - casyncio_control_length(0)
            let data = unsafe UnsafeRawBufferPointer(start: casyncio_control_data(control), count: max(length, 0))
            unsafe note(control.pointee.cmsg_level, control.pointee.cmsg_type, data, port)
            unsafe next = unsafe casyncio_next_control(header, control)
        }
    }

    private mutating func note(_ level: CInt, _ type: CInt, _ data: UnsafeRawBufferPointer, _ port: UInt16) {
        switch (level, type) {
        case (CInt(IPPROTO_IP), IP_PKTINFO) where data.count >= 12:
            unsafe interface = data.loadUnaligned(as: UInt32.self)
            // The header's address, not the one an answer would come from: they differ for groups and broadcasts.
            unsafe destination = .ipv4(data[8], data[9], data[10], data[11], port: port)
        case (CInt(IPPROTO_IPV6), IPV6_PKTINFO) where data.count >= 20:
            let index = unsafe data.loadUnaligned(fromByteOffset: 16, as: UInt32.self)
            interface = index
            var groups = InlineArray<8, UInt16>(repeating: 0)
            for group in 0..<8 {
                groups[group] = unsafe UInt16(
                    bigEndian: data.loadUnaligned(fromByteOffset: group * 2, as: UInt16.self))
            }
            // Only link-local addresses need to be told which link (RFC 4007).
            let isLinkLocal = groups[0] & 0xffc0 == 0xfe80 || groups[0] & 0xff0f == 0xff02
            destination = .ipv6(groups, port: port, scope: isLinkLocal ? index : 0)
        case (CInt(IPPROTO_IP), IP_TTL), (CInt(IPPROTO_IPV6), IPV6_HOPLIMIT):
            hopLimit = unsafe Self.number(data).map { UInt8(clamping: $0) }
        case (CInt(IPPROTO_IP), IP_TOS) where data.count >= 1:
            unsafe congestion = data[0] & 3
        case (CInt(IPPROTO_IPV6), IPV6_TCLASS):
            congestion = unsafe Self.number(data).map { UInt8(truncatingIfNeeded: $0) & 3 }
        case (UDPOption.level, UDPOption.coalesce):
            segment = unsafe Self.number(data).map { max(Int($0), 0) } ?? 0
        default:
            break
        }
    }

    private static func number(_ data: UnsafeRawBufferPointer) -> CInt? {
        unsafe data.count >= MemoryLayout<CInt>.size ? data.loadUnaligned(as: CInt.self) : nil
    }
}

/// Writes control messages into a room of ``ControlMessages/space`` bytes, one after the other.
@safe
struct ControlWriter {
    private let memory: UnsafeMutableRawPointer
    /// Bytes written.
    private(set) var length = 0

    init(_ memory: UnsafeMutableRawPointer) { unsafe self.memory = memory }

    /// Appends one message whose bytes the body fills in.
    private mutating func append(
        _ level: CInt, _ type: CInt, size: Int, _ body: (UnsafeMutableRawBufferPointer) -> Void
    ) {
        let space = casyncio_control_space(size)
        guard length + space <= ControlMessages.space else { return }
        let start = unsafe memory.advanced(by: length)
        unsafe start.initializeMemory(as: UInt8.self, repeating: 0, count: space)
        let control = unsafe start.assumingMemoryBound(to: cmsghdr.self)
        unsafe control.pointee.cmsg_level = level
        unsafe control.pointee.cmsg_type = type
        unsafe control.pointee.cmsg_len = casyncio_control_length(size)
        unsafe body(UnsafeMutableRawBufferPointer(start: casyncio_control_data(control), count: size))
        length += space
    }

    /// Asks the kernel to cut the message into datagrams of this size.
    mutating func append(segment: Int) {
        unsafe append(UDPOption.level, UDPOption.segment, size: 2) { data in
            unsafe data.storeBytes(of: UInt16(clamping: segment), as: UInt16.self)
        }
    }

    /// Asks the kernel to send from this address (IP_PKTINFO of ip(7), IPV6_PKTINFO of ipv6(7)).
    mutating func append(source: SocketAddress) {
        unsafe source.withSockaddr { pointer, length in
            let bytes = unsafe UnsafeRawBufferPointer(start: pointer, count: Int(length))
            switch source.family {
            case .ipv4:
                unsafe append(CInt(IPPROTO_IP), IP_PKTINFO, size: 12) { data in
                    // Interface, then the address to send from; the third field is for received ones.
                    unsafe UnsafeMutableRawBufferPointer(rebasing: data[4..<8]).copyMemory(
                        from: UnsafeRawBufferPointer(rebasing: bytes[4..<8]))
                }
            case .ipv6:
                unsafe append(CInt(IPPROTO_IPV6), IPV6_PKTINFO, size: 20) { data in
                    unsafe UnsafeMutableRawBufferPointer(rebasing: data[0..<16]).copyMemory(
                        from: UnsafeRawBufferPointer(rebasing: bytes[8..<24]))
                    // The scope of a link-local address is the interface's number.
                    unsafe data.storeBytes(
                        of: bytes.loadUnaligned(fromByteOffset: 24, as: UInt32.self), toByteOffset: 16,
                        as: UInt32.self)
                }
            case .unix:
                break
            }
        }
    }
}
