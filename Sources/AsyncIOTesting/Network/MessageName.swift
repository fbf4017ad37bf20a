import CAsyncIO
import Glibc

/// The parts of a `msghdr` beside its bytes. The memory is the caller's, and alive for the call.
enum MessageName {
    /// Says that there is nothing beside the bytes.
    static func clear(_ message: UnsafeMutablePointer<msghdr>) {
        unsafe message.pointee.msg_namelen = 0
        unsafe message.pointee.msg_controllen = 0
        unsafe message.pointee.msg_flags = 0
    }

    /// The address to send to; nil without one.
    static func read(_ message: UnsafeMutablePointer<msghdr>) -> [UInt8]? {
        guard let name = unsafe message.pointee.msg_name, unsafe message.pointee.msg_namelen > 0 else { return nil }
        return unsafe [UInt8](UnsafeRawBufferPointer(start: name, count: Int(message.pointee.msg_namelen)))
    }

    /// The address to send from, as IP_PKTINFO of ip(7) and IPV6_PKTINFO of ipv6(7) ask for it; nil without one.
    static func readSource(_ message: UnsafeMutablePointer<msghdr>) -> IPAddress? {
        guard let start = unsafe message.pointee.msg_control else { return nil }
        let memory = unsafe UnsafeRawBufferPointer(start: start, count: Int(message.pointee.msg_controllen))
        let header = MemoryLayout<cmsghdr>.size
        var offset = 0
        while offset + header <= memory.count {
            let length = unsafe memory.loadUnaligned(fromByteOffset: offset, as: Int.self)
            guard length >= header, length <= memory.count - offset else { return nil }
            let level = unsafe memory.loadUnaligned(fromByteOffset: offset + 8, as: CInt.self)
            let type = unsafe memory.loadUnaligned(fromByteOffset: offset + 12, as: CInt.self)
            let data = offset + header
            if level == CInt(IPPROTO_IP), type == IP_PKTINFO, length >= header + 12 {
                // Behind the interface, and before the destination, which is for those who receive.
                let address = unsafe memory.loadUnaligned(fromByteOffset: data + 4, as: UInt32.self)
                return .v4(UInt32(bigEndian: address))
            }
            if level == CInt(IPPROTO_IPV6), type == IPV6_PKTINFO, length >= header + 20 {
                let high = unsafe memory.loadUnaligned(fromByteOffset: data, as: UInt64.self)
                let low = unsafe memory.loadUnaligned(fromByteOffset: data + 8, as: UInt64.self)
                return IPAddress(high: UInt64(bigEndian: high), low: UInt64(bigEndian: low))
            }
            offset += (length + 7) & ~7
        }
        return nil
    }

    /// Says who has sent, as far as there is room.
    static func write(_ name: [UInt8], _ message: UnsafeMutablePointer<msghdr>) {
        guard let memory = unsafe message.pointee.msg_name else { return }
        let room = unsafe UnsafeMutableRawBufferPointer(start: memory, count: Int(message.pointee.msg_namelen))
        unsafe room.copyBytes(from: name.prefix(room.count))
        unsafe message.pointee.msg_namelen = socklen_t(name.count)
    }

    /// Fills in a datagram; the result of recvmsg(2).
    static func deliver(_ bytes: [UInt8], from name: [UInt8], _ message: UnsafeMutablePointer<msghdr>) -> Int {
        let wantsLength = unsafe message.pointee.msg_flags & CInt(truncatingIfNeeded: MSG_TRUNC) != 0
        unsafe write(name, message)
        let copied = unsafe MessageBytes(message).fill(bytes)
        let isCut = copied < bytes.count
        unsafe message.pointee.msg_flags = isCut ? CInt(truncatingIfNeeded: MSG_TRUNC) : 0
        return wantsLength ? bytes.count : copied
    }
}
