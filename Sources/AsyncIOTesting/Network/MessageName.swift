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
