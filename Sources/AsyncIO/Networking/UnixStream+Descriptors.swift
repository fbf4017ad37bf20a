public import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

extension UnixStream {
    /// The most descriptors that one ``send(_:descriptors:)`` takes: SCM_MAX_FD of unix(7).
    public static let maximumDescriptors = 253

    /// Writes all of the bytes, and sends copies of open descriptors along with the first of them (SCM_RIGHTS of
    /// unix(7)).
    ///
    /// The peer gets them with the first byte, by ``receiveDescriptors(upTo:bytes:)``. The caller keeps his own, which
    /// must stay open until this returns. Suspends while the peer does not take the bytes. A task that is cancelled
    /// meanwhile gets `CancellationError`; what has been sent then is sent, so that the connection is only good for
    /// closing. Throws ``IOError`` as ``write(_:)-([UInt8])``, and with `EINVAL` for descriptors without a byte and for
    /// more than ``maximumDescriptors``, `EBADF` for one that is not open, `ETOOMANYREFS` if too many are on their
    /// way.
    public func send(_ bytes: [UInt8], descriptors: [Int32]) async throws {
        guard !descriptors.isEmpty else { return try await write(bytes) }
        guard !bytes.isEmpty else {
            throw refusal("descriptors travel with a byte; send at least one")
        }
        guard descriptors.count <= Self.maximumDescriptors else {
            throw refusal("\(descriptors.count) descriptors; at most \(Self.maximumDescriptors) travel together")
        }
        let message = Message(bytes: bytes.count, descriptors: descriptors.count)
        defer { message.free() }
        message.fill(bytes, descriptors)
        let outcome = unsafe await core.perform(.sendMessage(core.writer, message.header))
        if outcome.result < 0 { try core.check(outcome, "write") }
    }

    /// Reads what is there, at most so many bytes, with the descriptors that came along; nil at the end of the peer's
    /// data.
    ///
    /// One read brings the descriptors of one ``send(_:descriptors:)`` at most. If there are more than the limit, the
    /// kernel closes the others, and ``ReceivedDescriptors/wereDropped`` says so. All are close-on-exec. What the
    /// caller does not take is closed with the returned value. Suspends until something is there; a cancelled task gets
    /// `CancellationError`, and nothing is lost. Throws ``IOError`` as ``read(upTo:)``, and with `EINVAL` for limits
    /// below one byte, or below zero descriptors.
    public func receiveDescriptors(
        upTo limit: Int, bytes byteLimit: Int = maximumRead
    ) async throws -> ReceivedDescriptors? {
        guard byteLimit > 0, limit >= 0 else {
            throw refusal("room for \(byteLimit) bytes and \(limit) descriptors; there must be room for a byte")
        }
        let limit = min(limit, Self.maximumDescriptors)
        let message = Message(bytes: min(byteLimit, Self.maximumRead), descriptors: limit)
        defer { message.free() }
        let outcome = unsafe await core.perform(.receiveMessage(core.reader, message.header))
        if outcome.result < 0 { try core.check(outcome, "read") }
        // Descriptors never come without a byte.
        guard outcome.result > 0 else { return nil }
        return message.received(outcome.result, upTo: limit)
    }

    private func refusal(_ detail: String) -> IOError {
        IOError(.invalidArgument, operation: "pass descriptors", subject: "\(peer)", detail: detail)
    }
}

/// What came over a Unix socket in one piece: bytes, and the descriptors that travelled with the first of them.
///
/// Not copyable: it owns the descriptors, and closes those that nobody has taken.
public struct ReceivedDescriptors: ~Copyable, Sendable {
    /// The bytes; at least one.
    public let bytes: [UInt8]
    /// Whether the peer has sent more descriptors than there was room for. The others have been closed.
    public let wereDropped: Bool
    private var numbers: ArraySlice<CInt>

    init(bytes: [UInt8], numbers: [CInt], wereDropped: Bool) {
        self.bytes = bytes
        self.numbers = numbers[...]
        self.wereDropped = wereDropped
    }

    deinit {
        for number in numbers { Descriptor(owning: number).close() }
    }

    /// How many descriptors have not been taken.
    public var count: Int { numbers.count }

    /// Takes the next descriptor, in the order of sending; nil if none is left.
    public mutating func take() -> Descriptor? {
        numbers.popFirst().map { Descriptor(owning: $0) }
    }
}

/// The memory of a message with descriptors, for sendmsg(2) and recvmsg(2): it stays where it is until the kernel is
/// done with it.
@safe
private struct Message {
    let header: UnsafeMutablePointer<msghdr>
    private let vector: UnsafeMutablePointer<iovec>
    private let bytes: UnsafeMutableRawBufferPointer
    private let control: UnsafeMutableRawBufferPointer

    init(bytes count: Int, descriptors: Int) {
        unsafe header = .allocate(capacity: 1)
        unsafe vector = .allocate(capacity: 1)
        unsafe bytes = .allocate(byteCount: count, alignment: 16)
        let length = descriptors * MemoryLayout<CInt>.stride
        unsafe control = .allocate(
            byteCount: casyncio_control_space(length), alignment: MemoryLayout<cmsghdr>.alignment)
        unsafe vector.initialize(to: iovec(iov_base: bytes.baseAddress, iov_len: count))
        unsafe header.initialize(to: msghdr())
        unsafe header.pointee.msg_iov = vector
        unsafe header.pointee.msg_iovlen = 1
        guard descriptors > 0 else { return }
        unsafe header.pointee.msg_control = control.baseAddress
        // Its length, and not the rounded one, in which the kernel would find room for one more.
        unsafe header.pointee.msg_controllen = casyncio_control_length(length)
    }

    func free() {
        unsafe control.deallocate()
        unsafe bytes.deallocate()
        unsafe vector.deallocate()
        unsafe header.deallocate()
    }

    func fill(_ content: [UInt8], _ descriptors: [CInt]) {
        unsafe bytes.copyBytes(from: content)
        guard let item = unsafe casyncio_first_control(header) else { return }
        let length = descriptors.count * MemoryLayout<CInt>.stride
        unsafe item.pointee.cmsg_level = SOL_SOCKET
        unsafe item.pointee.cmsg_type = CInt(SCM_RIGHTS)
        unsafe item.pointee.cmsg_len = casyncio_control_length(length)
        let place = unsafe UnsafeMutableRawBufferPointer(start: casyncio_control_data(item), count: length)
        unsafe descriptors.withUnsafeBytes { unsafe place.copyMemory(from: $0) }
    }

    /// What has come. Every descriptor gets an owner here, or is closed.
    func received(_ count: Int, upTo limit: Int) -> ReceivedDescriptors {
        var numbers: [CInt] = []
        var next = unsafe casyncio_first_control(header)
        while let item = unsafe next {
            unsafe next = casyncio_next_control(header, item)
            guard unsafe item.pointee.cmsg_level == SOL_SOCKET,
                unsafe item.pointee.cmsg_type == CInt(SCM_RIGHTS)
            else { continue }
            let length = unsafe Int(item.pointee.cmsg_len) - casyncio_control_length(0)
            for index in 0..<max(length, 0) / MemoryLayout<CInt>.stride {
                numbers.append(
                    unsafe UnsafeRawPointer(casyncio_control_data(item)).loadUnaligned(
                        fromByteOffset: index * MemoryLayout<CInt>.stride, as: CInt.self))
            }
        }
        let surplus = numbers.dropFirst(limit)
        for number in surplus { Descriptor(owning: number).close() }
        let isCut = unsafe header.pointee.msg_flags & CInt(MSG_CTRUNC) != 0
        return ReceivedDescriptors(
            bytes: unsafe [UInt8](UnsafeRawBufferPointer(rebasing: bytes[..<min(count, bytes.count)])),
            numbers: Array(numbers.prefix(limit)), wereDropped: isCut || !surplus.isEmpty)
    }
}
