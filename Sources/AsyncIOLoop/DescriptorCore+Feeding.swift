import AsyncIOKernel
import Glibc
import SystemPackage

/// Bytes that a driver has received before their reader came.
struct StoredBytes {
    var bytes: [UInt8]
    /// How many of them have been taken.
    var taken = 0

    var left: Int { bytes.count - taken }

    /// A reader who is always one message behind must not keep all that he has ever got.
    mutating func append(_ more: UnsafeRawBufferPointer) {
        if taken >= 4096 {
            bytes.removeFirst(taken)
            taken = 0
        }
        unsafe bytes.append(contentsOf: more)
    }
}

// A driver that receives by itself, ahead of the calls, feeds the core with what has come. Receives take from there
// what they would otherwise have asked the kernel for: first what is stored, then what is just arriving; when both are
// empty, a receive would block. Nothing else changes for the operations: cancelling one takes nothing away.
extension DescriptorCore {
    /// How much is kept for a reader who does not come; then the driver is asked to stop.
    private static let storageLimit = 16_384

    /// The driver has received bytes. They need not outlive the call.
    ///
    /// True if more may come; false if enough is stored, or if the descriptor has another owner by now.
    func feed(_ handle: Handle, _ bytes: UnsafeRawBufferPointer, into completions: inout CompletionList) -> Bool {
        guard isCurrent(handle) else { return false }
        let number = handle.descriptor
        let index = Int(number)
        if stored[number] != nil {
            unsafe stored[number]?.append(bytes)
        } else {
            unsafe arriving = bytes
            arrivingFor = number
        }
        sockets[index].mayRead = true
        if let reader = sockets[index].reader, let outcome = retry(reader) {
            sockets[index].reader = nil
            completions.append(Completion(reader, outcome))
        }
        if unsafe !arriving.isEmpty {
            unsafe stored[number] = StoredBytes(bytes: [UInt8](arriving))
            unsafe arriving = UnsafeRawBufferPointer(start: nil, count: 0)
            sockets[index].mayRead = true
        }
        arrivingFor = -1
        return stored[number].map { $0.left < Self.storageLimit } ?? true
    }

    /// The driver receives nothing more by itself, for the reason that its last receive has met: 0, or a negated error
    /// number. What comes next is found by calls.
    func feedHasEnded(_ handle: Handle, _ result: Int, into completions: inout CompletionList) {
        guard isCurrent(handle) else { return }
        let index = Int(handle.descriptor)
        sockets[index].feedIsOpen = false
        sockets[index].isFed = stored[handle.descriptor] != nil
        sockets[index].mayRead = true
        // The kernel tells an error once.
        if result < 0 && Errno(negated: result).breaksConnection { sockets[index].brokenBy = result }
        guard let reader = sockets[index].reader else { return }
        var outcome = retry(reader)
        if outcome == nil, let operation = pendingOperation(reader) {
            let code = watch(operation, handle)
            if code < 0 {
                vacate(reader, operation)
                forget(reader)
                outcome = Outcome(code)
            }
        }
        guard let outcome else { return }
        if outcome.result != Outcome.again.result { sockets[index].reader = nil }
        completions.append(Completion(reader, outcome))
    }

    /// What a receive finds. Nil if the kernel has to be asked after all.
    func takeFed(_ descriptor: CInt, _ memory: UnsafeMutableRawPointer?, _ count: Int) -> Int? {
        let room = unsafe UnsafeMutableRawBufferPointer(start: memory, count: count)
        if var kept = stored[descriptor] {
            let taken = min(kept.left, count)
            unsafe kept.bytes.withUnsafeBytes { bytes in
                unsafe room.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[kept.taken..<kept.taken + taken]))
            }
            kept.taken += taken
            stored[descriptor] = kept.left > 0 ? kept : nil
            return taken
        }
        if arrivingFor == descriptor, unsafe !arriving.isEmpty {
            let taken = min(arriving.count, count)
            unsafe room.copyMemory(from: UnsafeRawBufferPointer(rebasing: arriving[..<taken]))
            unsafe arriving = UnsafeRawBufferPointer(rebasing: arriving[taken...])
            return taken
        }
        if sockets[Int(descriptor)].feedIsOpen { return Errno.wouldBlock.negated }
        sockets[Int(descriptor)].isFed = false
        return nil
    }

    /// Bytes that are just arriving, without a copy in between.
    @inline(__always)
    func takeArriving(_ operation: PendingOperation) -> Outcome? {
        guard arrivingFor == operation.descriptor, unsafe !arriving.isEmpty else { return nil }
        let taken = min(arriving.count, operation.count)
        let bytes = unsafe [UInt8](UnsafeRawBufferPointer(rebasing: arriving[..<taken]))
        unsafe arriving = UnsafeRawBufferPointer(rebasing: arriving[taken...])
        if unsafe arriving.isEmpty { sockets[Int(operation.descriptor)].mayRead = false }
        return Outcome(taken, bytes: bytes)
    }

    /// Moves stored bytes into the pipe of a splice, which is empty. Nil if there are none.
    func spliceStored(_ operation: PendingOperation) -> Int? {
        guard sockets[Int(operation.descriptor)].isFed else { return nil }
        let limit = min(operation.count, Self.scratchSize / 2)
        guard let count = unsafe takeFed(operation.descriptor, scratch.baseAddress, limit), count > 0 else {
            return nil
        }
        let written = unsafe SystemCall.write(operation.other, scratch.baseAddress, count)
        // An empty pipe takes that much.
        return written == count ? count : Errno.ioError.negated
    }
}

extension Errno {
    /// Whether a receive that reports it is the end of its connection.
    fileprivate var breaksConnection: Bool {
        switch self {
        case .noBufferSpace, .canceled, .interrupted, .wouldBlock, .invalidArgument, .notSupported, .noMemory,
            .socketNotConnected, .badFileDescriptor:
            false
        default: self != .notSupportedOnSocket
        }
    }
}
