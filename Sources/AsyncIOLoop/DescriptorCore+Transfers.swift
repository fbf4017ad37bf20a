import AsyncIOKernel
import CAsyncIO
import Glibc
import Synchronization
import SystemPackage

// One try of each kind of transfer. Nil if the call would block, or if others go first; the hints say so then.
extension DescriptorCore {
    /// IOV_MAX: more vectors in one call are refused (writev(2)).
    private static let vectorsPerCall = 1024

    func receiveBytes(_ operation: PendingOperation) -> Outcome? {
        // What is about to be lent lies here until its task runs, and many may come in one tick: as long as there are
        // pieces.
        if operation.lends && mayLend { return receiveLent(operation.descriptor, operation.count) }
        return takeArriving(operation) ?? receiveArray(operation.descriptor, operation.count)
    }

    @inline(__always)
    private func receiveBytes(_ descriptor: CInt, _ count: Int, lends: Bool) -> Outcome? {
        lends && mayLend ? receiveLent(descriptor, count) : receiveArray(descriptor, count)
    }

    // MARK: Lending

    @inline(__always)
    private var mayLend: Bool { lentCount < Self.mostLent || countFreed() }

    private func countFreed() -> Bool {
        lentCount -= freedElsewhere.exchange(0, ordering: .relaxed)
        return lentCount < Self.mostLent
    }

    private func receiveLent(_ descriptor: CInt, _ count: Int) -> Outcome? {
        let limit = min(count, Self.scratchSize)
        let memory = unsafe lend()
        let socket = unsafe sockets.address(Int(descriptor))
        let result = unsafe receive(from: socket, descriptor, memory, limit)
        var outcome = Outcome(result)
        if result > 0 { unsafe outcome.lent = memory } else { unsafe takeBack(memory) }
        return unsafe noteRead(socket, result, limit) ? outcome : nil
    }

    @inline(__always)
    private func lend() -> UnsafeMutableRawPointer {
        lentCount += 1
        guard let memory = lendable else { return .allocate(byteCount: Self.scratchSize, alignment: 16) }
        unsafe lendable = memory.load(as: UnsafeMutableRawPointer?.self)
        return unsafe memory
    }

    /// Takes back what ``Outcome/lent`` has lent.
    @inline(__always)
    func takeBack(_ memory: UnsafeMutableRawPointer) {
        lentCount -= 1
        unsafe memory.storeBytes(of: lendable, as: UnsafeMutableRawPointer?.self)
        unsafe lendable = memory
    }

    /// The same, from whatever thread.
    func takeBackElsewhere(_ memory: UnsafeMutableRawPointer) {
        unsafe memory.deallocate()
        freedElsewhere.add(1, ordering: .relaxed)
    }

    // MARK: Receiving

    private func receiveArray(_ descriptor: CInt, _ count: Int) -> Outcome? {
        let limit = min(count, Self.scratchSize)
        let result = unsafe receive(descriptor, scratch.baseAddress, limit)
        guard noteRead(descriptor, result, limit) else { return nil }
        guard result > 0 else { return Outcome(result) }
        let bytes = unsafe [UInt8](UnsafeRawBufferPointer(rebasing: scratch[0..<result]))
        return Outcome(result, bytes: bytes)
    }

    func receive(_ operation: PendingOperation) -> Outcome? {
        let result = unsafe receive(operation.descriptor, operation.memory, operation.count)
        return noteRead(operation.descriptor, result, operation.count) ? Outcome(result) : nil
    }

    @inline(__always)
    func receive(_ descriptor: CInt, _ memory: UnsafeMutableRawPointer?, _ count: Int) -> Int {
        unsafe receive(from: sockets.address(Int(descriptor)), descriptor, memory, count)
    }

    @inline(__always)
    private func receive(
        from socket: UnsafeMutablePointer<SocketState>, _ descriptor: CInt, _ memory: UnsafeMutableRawPointer?,
        _ count: Int
    ) -> Int {
        if unsafe socket.pointee.isFed, let result = unsafe takeFed(descriptor, memory, count) { return result }
        guard unsafe socket.pointee.medium == .socket else { return unsafe SystemCall.read(descriptor, memory, count) }
        let result = unsafe SystemCall.receive(descriptor, memory, count)
        return unsafe orBroken(result, socket)
    }

    /// The end of the data, unless a send has met the error that broke the connection off: the kernel tells it once
    /// (SO_ERROR of socket(7)), and to whom it is not told, a broken conversation would look like a finished one.
    @inline(__always)
    func orBroken(_ result: Int, _ socket: UnsafeMutablePointer<SocketState>) -> Int {
        unsafe result == 0 ? socket.pointee.brokenBy : result
    }

    /// Draws the conclusions of a read for the next one. False if it would have blocked.
    @inline(__always)
    func noteRead(_ descriptor: CInt, _ result: Int, _ limit: Int) -> Bool {
        unsafe noteRead(sockets.address(Int(descriptor)), result, limit)
    }

    @inline(__always)
    private func noteRead(_ socket: UnsafeMutablePointer<SocketState>, _ result: Int, _ limit: Int) -> Bool {
        if result == Errno.wouldBlock.negated {
            unsafe socket.pointee.mayRead = false
            return false
        }
        if unsafe result > 0 && result < limit && socket.pointee.shortReadMeansEmpty && !socket.pointee.isFinished {
            // The last of what a closed feed has left says nothing of what the kernel has.
            unsafe socket.pointee.mayRead = socket.pointee.isFed && !socket.pointee.feedIsOpen
        }
        return true
    }

    func send(_ operation: inout PendingOperation) -> Outcome? {
        transfer(&operation) { operation, turn in
            let count = min(operation.count, turn)
            let result =
                switch sockets[Int(operation.descriptor)].medium {
                case .socket: unsafe SystemCall.send(operation.descriptor, operation.memory, count)
                case .pipe: unsafe SystemCall.write(operation.descriptor, operation.memory, count)
                }
            if result > 0 {
                unsafe operation.memory = operation.memory?.advanced(by: min(result, count))
                operation.count -= min(result, count)
            }
            return result
        }
    }

    func sendVector(_ operation: inout PendingOperation) -> Outcome? {
        transfer(&operation) { operation, turn in
            guard let list = unsafe operation.memory?.assumingMemoryBound(to: iovec.self) else {
                return Errno.badAddress.negated
            }
            // As many as fit in a turn, and at least one: a vector is not cut.
            var (taken, bytes) = unsafe (1, list[0].iov_len)
            while taken < min(operation.count, Self.vectorsPerCall), unsafe bytes + list[taken].iov_len <= turn {
                unsafe bytes += list[taken].iov_len
                taken += 1
            }
            let result =
                switch sockets[Int(operation.descriptor)].medium {
                case .socket: unsafe SystemCall.send(operation.descriptor, list, taken)
                case .pipe: unsafe SystemCall.write(operation.descriptor, list, taken)
                }
            if result > 0 { unsafe skip(result, &operation, list) }
            return result
        }
    }

    /// Takes sent bytes off a list of vectors.
    private func skip(_ sent: Int, _ operation: inout PendingOperation, _ list: UnsafeMutablePointer<iovec>) {
        var (left, first) = (sent, 0)
        while first < operation.count, unsafe left >= list[first].iov_len {
            unsafe left -= list[first].iov_len
            first += 1
        }
        if first < operation.count {
            unsafe list[first].iov_base = unsafe list[first].iov_base?.advanced(by: left)
            unsafe list[first].iov_len -= left
        }
        unsafe operation.memory = unsafe UnsafeMutableRawPointer(list.advanced(by: first))
        operation.count -= first
    }

    func spliceOut(_ operation: inout PendingOperation) -> Outcome? {
        transfer(&operation) { operation, turn in
            let result = SystemCall.spliceOut(operation.other, operation.descriptor, min(operation.count, turn))
            if result > 0 { operation.count -= min(result, operation.count) }
            return result
        }
    }

    func sendFile(_ operation: inout PendingOperation) -> Outcome? {
        transfer(&operation) { operation, turn in
            guard let offset = unsafe operation.memory?.assumingMemoryBound(to: Int64.self) else {
                return Errno.badAddress.negated
            }
            let result = unsafe SystemCall.sendFile(
                operation.descriptor, operation.other, offset, min(operation.count, turn))
            if result > 0 { operation.count -= min(result, operation.count) }
            return result
        }
    }

    /// Sends piece by piece until all is sent, nothing is taken any more, or it is somebody else's turn.
    ///
    /// The piece gets how many bytes it may send, takes what was sent off the operation, and returns their number; none
    /// means the end.
    @inline(__always)
    private func transfer(
        _ operation: inout PendingOperation, _ piece: (inout PendingOperation, Int) -> Int
    ) -> Outcome? {
        var turn = bytesPerTurn
        while operation.count > 0 {
            // The peer may take it as fast as we give it: without a bound, one write would be the loop's only work.
            guard turn > 0 else {
                operation.takesTurns = true
                return nil
            }
            let result = piece(&operation, turn)
            guard result > 0 else {
                if result == 0 { break }
                return wouldBlock(operation.descriptor, result) ? nil : Outcome(result)
            }
            turn -= result
            operation.done += result
        }
        return Outcome(operation.done)
    }

    /// Whether a write would have blocked; the next one waits then.
    @inline(__always)
    private func wouldBlock(_ descriptor: CInt, _ result: Int) -> Bool {
        guard result == Errno.wouldBlock.negated else {
            noteBreak(descriptor, result)
            return false
        }
        sockets[Int(descriptor)].mayWrite = false
        return true
    }

    /// Remembers the error of a send for the read that comes after it. EPIPE is our own half-close as well.
    func noteBreak(_ descriptor: CInt, _ result: Int) {
        if result == Errno.connectionReset.negated || result == Errno.timedOut.negated {
            sockets[Int(descriptor)].brokenBy = result
        }
    }

    // MARK: Without an operation

    /// The second step of a read: see ``Operation/Steps``. Nil if it has to become an operation of its own.
    func receiveBytesAtOnce(
        _ handle: Handle, limit: Int, _ landing: Operation.Landing, after first: Token
    ) -> Outcome? {
        guard comesBack(handle, after: first) else { return .cancelled }
        let socket = unsafe sockets.address(Int(handle.descriptor))
        guard unsafe socket.pointee.reader == nil && socket.pointee.mayRead && !socket.pointee.isFed else { return nil }
        return receiveBytes(handle.descriptor, limit, lends: landing == .lent)
    }

    /// What one send takes: a number of bytes, or a negated error number. 0 if it has to become an operation.
    func sendAtOnce(_ handle: Handle, _ bytes: UnsafeRawBufferPointer) -> Int {
        guard isCurrent(handle), bytes.count <= bytesPerTurn else { return 0 }
        let socket = unsafe sockets.address(Int(handle.descriptor))
        guard unsafe socket.pointee.writer == nil && socket.pointee.mayWrite && socket.pointee.medium == .socket
        else { return 0 }
        let result = unsafe SystemCall.send(handle.descriptor, bytes.baseAddress, bytes.count)
        if result >= 0 { return result }
        return wouldBlock(handle.descriptor, result) ? 0 : result
    }

    func sendNow(_ handle: Handle, _ bytes: UnsafeRawBufferPointer) -> Int {
        guard isCurrent(handle) else { return Errno.badFileDescriptor.negated }
        let number = Int(handle.descriptor)
        guard sockets[number].writer == nil else { return Errno.resourceBusy.negated }
        guard sockets[number].mayWrite else { return Errno.wouldBlock.negated }
        let result =
            switch sockets[number].medium {
            case .socket: unsafe SystemCall.send(handle.descriptor, bytes.baseAddress, bytes.count)
            case .pipe: unsafe SystemCall.write(handle.descriptor, bytes.baseAddress, bytes.count)
            }
        noteBreak(handle.descriptor, result)
        if result == Errno.wouldBlock.negated {
            // Nobody may ever wait for this one, and so register it: only an event says when to try again.
            sockets[number].mayWrite = watch(handle) < 0
        }
        return result
    }

    // MARK: Messages

    func receiveMessage(_ operation: PendingOperation) -> Outcome? {
        guard let message = unsafe operation.memory?.assumingMemoryBound(to: msghdr.self) else {
            return Outcome(Errno.badAddress.negated)
        }
        return noteMessage(operation, unsafe SystemCall.receive(operation.descriptor, message))
    }

    /// The hints are neither asked nor told: a datagram socket that cannot send to one peer may well send to another,
    /// and a call that never waits must not depend on an event that nobody has registered for.
    func receiveMessageNow(_ handle: Handle, _ message: UnsafeMutablePointer<msghdr>) -> Int {
        guard isCurrent(handle) else { return Errno.badFileDescriptor.negated }
        guard sockets[Int(handle.descriptor)].reader == nil else { return Errno.resourceBusy.negated }
        return unsafe SystemCall.receive(handle.descriptor, message)
    }

    /// Also while another message waits: it may be for somebody else, and messages of several tasks have no order.
    func sendMessageNow(_ handle: Handle, _ message: UnsafeMutablePointer<msghdr>) -> Int {
        guard isCurrent(handle) else { return Errno.badFileDescriptor.negated }
        return unsafe SystemCall.send(handle.descriptor, message)
    }

    func receiveMessages(_ operation: PendingOperation) -> Outcome? {
        guard let messages = unsafe operation.memory?.assumingMemoryBound(to: casyncio_message.self) else {
            return Outcome(Errno.badAddress.negated)
        }
        return noteMessage(operation, unsafe SystemCall.receive(operation.descriptor, messages, operation.count))
    }

    /// A short message says nothing of the next one.
    private func noteMessage(_ operation: PendingOperation, _ result: Int) -> Outcome? {
        guard result == Errno.wouldBlock.negated else { return Outcome(result) }
        sockets[Int(operation.descriptor)].mayRead = false
        return nil
    }

    /// A datagram goes whole or not at all. Of a stream's message the rest follows, as in ``send(_:)``; what travelled
    /// with its first byte must not travel again.
    func sendMessage(_ operation: inout PendingOperation) -> Outcome? {
        guard let message = unsafe operation.memory?.assumingMemoryBound(to: msghdr.self) else {
            return Outcome(Errno.badAddress.negated)
        }
        var turn = bytesPerTurn
        while true {
            let result = unsafe SystemCall.send(operation.descriptor, message)
            guard result >= 0 else { return wouldBlock(operation.descriptor, result) ? nil : Outcome(result) }
            operation.done += result
            guard result > 0, unsafe takeOff(result, message) > 0 else { return Outcome(operation.done) }
            turn -= result
            guard turn > 0 else {
                operation.takesTurns = true
                return nil
            }
        }
    }

    /// Takes sent bytes off a message; returns how many are left of it. One that was sent whole is left as it is.
    private func takeOff(_ sent: Int, _ message: UnsafeMutablePointer<msghdr>) -> Int {
        let vectors = unsafe UnsafeMutableBufferPointer(
            start: message.pointee.msg_iov, count: Int(message.pointee.msg_iovlen))
        let whole = unsafe vectors.reduce(0) { unsafe $0 + $1.iov_len }
        guard sent < whole, let list = vectors.baseAddress else { return 0 }
        var rest = unsafe PendingOperation(memory: UnsafeMutableRawPointer(list), count: vectors.count)
        unsafe skip(sent, &rest, list)
        unsafe message.pointee.msg_iov = rest.memory?.assumingMemoryBound(to: iovec.self)
        unsafe message.pointee.msg_iovlen = rest.count
        unsafe message.pointee.msg_control = nil
        unsafe message.pointee.msg_controllen = 0
        return whole - sent
    }

    func sendMessages(_ operation: PendingOperation) -> Outcome? {
        guard let messages = unsafe operation.memory?.assumingMemoryBound(to: casyncio_message.self) else {
            return Outcome(Errno.badAddress.negated)
        }
        let result = unsafe SystemCall.send(operation.descriptor, messages, operation.count)
        return wouldBlock(operation.descriptor, result) ? nil : Outcome(result)
    }

    /// The pipe is empty, so a call that would block finds nothing to read. That it moves less than asked for says
    /// nothing: a pipe has a number of places, too.
    func spliceIn(_ operation: PendingOperation) -> Outcome? {
        let result =
            spliceStored(operation)
            ?? SystemCall.spliceIn(
                operation.descriptor, operation.other, operation.count)
        return noteMessage(operation, unsafe orBroken(result, sockets.address(Int(operation.descriptor))))
    }

    // MARK: Connections

    func accept(_ operation: PendingOperation) -> Outcome? {
        let (result, peer) = SystemCall.accept(operation.descriptor)
        if result == Errno.wouldBlock.negated {
            sockets[Int(operation.descriptor)].mayRead = false
            return nil
        }
        guard result >= 0 else { return Outcome(result) }
        let isTCP = sockets[Int(operation.descriptor)].shortReadMeansEmpty
        let handle = beginOwnership(of: CInt(truncatingIfNeeded: result), isAdopted: true, isTCP: isTCP)
        sockets[Int(handle.descriptor)].isSecret = true
        return Outcome(handle.rawValue, bytes: peer)
    }
}
