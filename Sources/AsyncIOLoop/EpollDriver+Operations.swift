import AsyncIOKernel
import Glibc
import SystemPackage

// The encoding: what each operation means over epoll. Tried at once here, again when the descriptor becomes ready.
extension EpollDriver {
    package func submit(_ operation: Operation, token: Token) -> Submission {
        switch operation {
        case .receiveBytes(let handle, let limit, let inTwoSteps):
            return unsafe begin(
                PendingOperation(
                    kind: .receiveBytes, inTwoSteps: inTwoSteps, descriptor: handle.descriptor, count: limit),
                handle, token)
        case .receive(let handle, let memory):
            return unsafe begin(
                PendingOperation(
                    kind: .receive, descriptor: handle.descriptor, memory: memory.baseAddress, count: memory.count),
                handle, token)
        case .send(let handle, let bytes):
            let memory = unsafe UnsafeMutableRawPointer(mutating: bytes.baseAddress)
            return unsafe begin(
                PendingOperation(kind: .send, descriptor: handle.descriptor, memory: memory, count: bytes.count),
                handle, token)
        case .accept(let handle):
            return unsafe begin(PendingOperation(kind: .accept, descriptor: handle.descriptor), handle, token)
        case .finishSending(let handle):
            return .completed(Outcome(finishSending(handle)))
        case .localAddress(let handle):
            return .completed(localAddress(handle))
        case .connect(let handle, let address):
            return unsafe connect(handle, address.pointee, token)
        case .adopt(let number):
            guard number >= 0 else { return .completed(Outcome(Errno.badFileDescriptor.negated)) }
            return .completed(Outcome(beginOwnership(of: number, isAdopted: true).rawValue))
        case .close(let handle):
            return .completed(Outcome(closeNow(handle)))
        case .waitReadable(let number):
            return waitForeign(number, .waitReadable, token)
        case .waitWritable(let number):
            return waitForeign(number, .waitWritable, token)
        case .sleep:
            preconditionFailure("timers are the loop's")
        }
    }

    /// Tries an operation of an adopted descriptor, and keeps it for later if it would block.
    @inline(__always)
    private func begin(_ operation: PendingOperation, _ handle: Handle, _ token: Token) -> Submission {
        guard isCurrent(handle) else { return .completed(Outcome(Errno.badFileDescriptor.negated)) }
        let number = Int(handle.descriptor)
        let isReader = operation.isReader
        guard (isReader ? sockets[number].reader : sockets[number].writer) == nil else {
            return .completed(Outcome(Errno.resourceBusy.negated))
        }
        var operation = operation
        if isReader ? sockets[number].mayRead : sockets[number].mayWrite {
            if let outcome = attempt(&operation) { return .completed(outcome) }
        }
        return keep(operation, handle, token)
    }

    /// Puts an operation to sleep until its descriptor is ready, registering the descriptor the first time.
    private func keep(_ operation: PendingOperation, _ handle: Handle, _ token: Token) -> Submission {
        let number = Int(handle.descriptor)
        if !sockets[number].isRegistered {
            let code = register(handle)
            guard code >= 0 else { return .completed(Outcome(code)) }
            sockets[number].isRegistered = true
        }
        remember(operation, for: token)
        if operation.takesTurns { takingTurns.append(token) }
        if operation.isReader { sockets[number].reader = token } else { sockets[number].writer = token }
        return .pending
    }

    /// One try. Nil if the call would block; the hints say so then.
    private func attempt(_ operation: inout PendingOperation) -> Outcome? {
        switch operation.kind {
        case .receiveBytes: receiveBytes(operation)
        case .receive: receive(operation)
        case .send: send(&operation)
        case .accept: accept(operation)
        case .connect: finishConnecting(operation)
        case .waitReadable, .waitWritable: Outcome(0)
        case .none: nil
        }
    }

    private func receiveBytes(_ operation: PendingOperation) -> Outcome? {
        let limit = min(operation.count, Self.scratchSize)
        let result = unsafe SystemCall.receive(operation.descriptor, scratch.baseAddress, limit)
        guard noteRead(operation.descriptor, result, limit) else { return nil }
        guard result > 0 else { return Outcome(result) }
        let bytes = unsafe [UInt8](UnsafeRawBufferPointer(rebasing: scratch[0..<result]))
        return Outcome(result, bytes: bytes)
    }

    private func receive(_ operation: PendingOperation) -> Outcome? {
        let result = unsafe SystemCall.receive(operation.descriptor, operation.memory, operation.count)
        return noteRead(operation.descriptor, result, operation.count) ? Outcome(result) : nil
    }

    /// Draws the conclusions of a read for the next one. False if it would have blocked.
    @inline(__always)
    private func noteRead(_ descriptor: CInt, _ result: Int, _ limit: Int) -> Bool {
        let number = Int(descriptor)
        if result == Errno.wouldBlock.negated {
            sockets[number].mayRead = false
            return false
        }
        if result > 0 && result < limit && !sockets[number].isFinished { sockets[number].mayRead = false }
        return true
    }

    private func send(_ operation: inout PendingOperation) -> Outcome? {
        var turn = bytesPerTurn
        while operation.count > 0 {
            // The peer may take it as fast as we give it: without a bound, one write would be the loop's only work.
            guard turn > 0 else {
                operation.takesTurns = true
                return nil
            }
            let result = unsafe SystemCall.send(
                operation.descriptor, operation.memory, min(operation.count, turn))
            guard result >= 0 else {
                if result != Errno.wouldBlock.negated { return Outcome(result) }
                sockets[Int(operation.descriptor)].mayWrite = false
                return nil
            }
            let taken = min(result, operation.count)
            unsafe operation.memory = operation.memory?.advanced(by: taken)
            operation.count -= taken
            turn -= taken
            operation.done += taken
        }
        return Outcome(operation.done)
    }

    private func accept(_ operation: PendingOperation) -> Outcome? {
        let (result, peer) = SystemCall.accept(operation.descriptor)
        if result == Errno.wouldBlock.negated {
            sockets[Int(operation.descriptor)].mayRead = false
            return nil
        }
        guard result >= 0 else { return Outcome(result) }
        let handle = beginOwnership(of: CInt(truncatingIfNeeded: result), isAdopted: true)
        return Outcome(handle.rawValue, bytes: peer)
    }

    private func localAddress(_ handle: Handle) -> Outcome {
        guard isCurrent(handle) else { return Outcome(Errno.badFileDescriptor.negated) }
        let (result, address) = SystemCall.localAddress(handle.descriptor)
        return Outcome(result, bytes: result < 0 ? nil : address)
    }

    private func finishSending(_ handle: Handle) -> Int {
        guard isCurrent(handle) else { return Errno.badFileDescriptor.negated }
        guard sockets[Int(handle.descriptor)].writer == nil else { return Errno.resourceBusy.negated }
        return SystemCall.finishSending(handle.descriptor)
    }

    private func connect(_ handle: Handle, _ address: SocketAddress, _ token: Token) -> Submission {
        guard isCurrent(handle) else { return .completed(Outcome(Errno.badFileDescriptor.negated)) }
        let result = SystemCall.connect(handle.descriptor, address)
        let goesOn = result == Errno.nowInProgress.negated || result == Errno.interrupted.negated
        guard goesOn else { return .completed(Outcome(result)) }
        return unsafe keep(PendingOperation(kind: .connect, descriptor: handle.descriptor), handle, token)
    }

    private func finishConnecting(_ operation: PendingOperation) -> Outcome? {
        Outcome(SystemCall.pendingError(operation.descriptor))
    }

    // MARK: Readiness

    /// Works on one event: completes what waited for it.
    func notice(_ handle: Handle, _ events: UInt32, into completions: inout [Completion]) {
        let number = Int(handle.descriptor)
        guard number >= 0, number < sockets.count, sockets[number].generation == handle.generation else { return }
        if events & Interest.finished != 0 { sockets[number].isFinished = true }
        if events & Interest.readable != 0 {
            sockets[number].mayRead = true
            if let reader = sockets[number].reader, let outcome = retry(reader) {
                sockets[number].reader = nil
                completions.append(Completion(reader, outcome))
            }
        }
        if events & Interest.writable != 0 {
            sockets[number].mayWrite = true
            retryWriter(number, into: &completions)
        }
        if !sockets[number].isAdopted { updateForeign(CInt(number)) }
    }

    private func retryWriter(_ number: Int, into completions: inout [Completion]) {
        guard let writer = sockets[number].writer, let outcome = retry(writer) else { return }
        sockets[number].writer = nil
        completions.append(Completion(writer, outcome))
    }

    /// Goes on with the writes that let the others go first.
    func nextTurns(into completions: inout [Completion]) {
        let tokens = takingTurns
        takingTurns.removeAll(keepingCapacity: true)
        for token in tokens {
            // Cancelled or closed meanwhile, it has ended already.
            guard let operation = pendingOperation(token) else { continue }
            pending[Int(token.index)].takesTurns = false
            retryWriter(Int(operation.descriptor), into: &completions)
        }
    }

    private func retry(_ token: Token) -> Outcome? {
        guard var operation = pendingOperation(token) else { return nil }
        if operation.inTwoSteps {
            forget(token)
            return .again
        }
        // An event does not give it a turn more than it would have had.
        if operation.takesTurns { return nil }
        guard let outcome = attempt(&operation) else {
            pending[Int(token.index)] = operation
            if operation.takesTurns { takingTurns.append(token) }
            return nil
        }
        forget(token)
        return outcome
    }

    // MARK: Ending

    package func cancel(_ token: Token) {
        guard let operation = pendingOperation(token) else { return }
        let number = Int(operation.descriptor)
        if sockets[number].reader == token { sockets[number].reader = nil }
        if sockets[number].writer == token { sockets[number].writer = nil }
        end(token, Errno.canceled.negated)
        if !sockets[number].isAdopted { updateForeign(operation.descriptor) }
    }

    func end(_ token: Token, _ result: Int) {
        forget(token)
        ended.append(Completion(token, Outcome(result)))
    }

    private func closeNow(_ handle: Handle) -> Int {
        guard isCurrent(handle) else { return Errno.badFileDescriptor.negated }
        let state = sockets[Int(handle.descriptor)]
        if let reader = state.reader { end(reader, Errno.canceled.negated) }
        if let writer = state.writer { end(writer, Errno.canceled.negated) }
        if state.isRegistered { _ = unregister(handle.descriptor) }
        endOwnership(of: handle.descriptor)
        return SystemCall.close(handle.descriptor)
    }

    // MARK: Descriptors of others

    private func waitForeign(_ number: CInt, _ kind: PendingOperation.Kind, _ token: Token) -> Submission {
        guard number >= 0, Descriptor.isOpen(number) else {
            return .completed(Outcome(Errno.badFileDescriptor.negated))
        }
        let index = Int(number)
        if index >= sockets.count || !(sockets[index].reader != nil || sockets[index].writer != nil) {
            // Nobody waits on it: whoever had the number before is gone, or it is ours and must not be touched.
            if index < sockets.count && sockets[index].isAdopted {
                return .completed(Outcome(Errno.resourceBusy.negated))
            }
            _ = beginOwnership(of: number, isAdopted: false)
        }
        let isReader = kind == .waitReadable
        guard !sockets[index].isAdopted, (isReader ? sockets[index].reader : sockets[index].writer) == nil else {
            return .completed(Outcome(Errno.resourceBusy.negated))
        }
        if isReader { sockets[index].reader = token } else { sockets[index].writer = token }
        let code = register(foreign: number, sockets[index])
        guard code >= 0 else {
            if isReader { sockets[index].reader = nil } else { sockets[index].writer = nil }
            // Regular files and folders are always ready.
            return .completed(Outcome(code == Errno.notPermitted.negated ? 0 : code))
        }
        sockets[index].isRegistered = true
        unsafe remember(PendingOperation(kind: kind, descriptor: number), for: token)
        return .pending
    }

    /// Follows what is still waited for on a descriptor that others own; lets go of it when nothing is.
    private func updateForeign(_ number: CInt) {
        let index = Int(number)
        guard sockets[index].isRegistered else { return }
        _ = register(foreign: number, sockets[index])
        if sockets[index].reader == nil && sockets[index].writer == nil { endOwnership(of: number) }
    }
}
