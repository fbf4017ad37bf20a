import AsyncIOKernel
import CAsyncIO
import Glibc
import SystemPackage

// The encoding: the system calls of each operation. Tried at once here, again when the descriptor becomes ready.
extension DescriptorCore {
    @inline(__always)
    package func submit(_ operation: Operation, token: Token) -> Submission {
        switch operation {
        case .receiveBytes(let handle, let limit, let steps, let landing):
            return receiveBytes(handle, limit, steps, landing, token)
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
        case .sendVector(let handle, let vectors):
            return unsafe begin(.sendVector, handle, vectors.baseAddress, vectors.count, token)
        case .receiveMessage(let handle, let message):
            return unsafe begin(.receiveMessage, handle, message, 1, token)
        case .sendMessage(let handle, let message):
            return unsafe begin(.sendMessage, handle, message, 1, token)
        case .receiveMessages(let handle, let messages):
            return unsafe begin(.receiveMessages, handle, messages.baseAddress, messages.count, token)
        case .sendMessages(let handle, let messages):
            return unsafe begin(.sendMessages, handle, messages.baseAddress, messages.count, token)
        case .spliceIn(let handle, let pipe, let count):
            return unsafe begin(.spliceIn, handle, nil, count, other: pipe, token)
        case .spliceOut(let handle, let pipe, let count):
            return unsafe begin(.spliceOut, handle, nil, count, other: pipe, token)
        case .relay(let source, let sink, let counter):
            return relay(source, to: sink, counter, token)
        case .sendFile(let handle, let file, let offset, let count):
            return unsafe begin(.sendFile, handle, offset, count, other: file, token)
        case .accept(let handle):
            return unsafe begin(.accept, handle, nil, 0, token)
        case .sendNow(let handle, let bytes):
            return unsafe .completed(Outcome(sendNow(handle, bytes)))
        case .receiveMessageNow(let handle, let message):
            return unsafe .completed(Outcome(receiveMessageNow(handle, message)))
        case .sendMessageNow(let handle, let message):
            return unsafe .completed(Outcome(sendMessageNow(handle, message)))
        case .option(let handle, let level, let name, let size):
            return .completed(option(handle, level, name, size))
        case .setOption(let handle, let level, let name, let value):
            guard isCurrent(handle) else { return .completed(Outcome(Errno.badFileDescriptor.negated)) }
            return .completed(Outcome(SystemCall.setOption(handle.descriptor, level, name, value)))
        case .finishSending(let handle):
            return .completed(Outcome(finishSending(handle)))
        case .localAddress(let handle):
            return .completed(localAddress(handle))
        case .connect(let handle, let address):
            return unsafe connect(handle, address.pointee, token)
        case .adopt(let number, let medium):
            guard number >= 0 else { return .completed(Outcome(Errno.badFileDescriptor.negated)) }
            let isTCP = medium == .socket && SystemCall.isTCP(number)
            return .completed(Outcome(beginOwnership(of: number, isAdopted: true, medium, isTCP: isTCP).rawValue))
        case .close(let handle, let closing):
            return .completed(Outcome(closeNow(handle, closing)))
        case .disown(let handle):
            return .completed(Outcome(disown(handle)))
        case .waitReadable(let number):
            return waitForeign(number, .waitReadable, token)
        case .waitWritable(let number):
            return waitForeign(number, .waitWritable, token)
        case .file(let call):
            return unsafe source?.submit(call, token: token) ?? .completed(.needsThread)
        case .sleep:
            preconditionFailure("timers are the loop's")
        }
    }

    @inline(__always)
    private func receiveBytes(
        _ handle: Handle, _ limit: Int, _ steps: Operation.Steps, _ landing: Operation.Landing, _ token: Token
    ) -> Submission {
        var inTwoSteps = true
        switch steps {
        case .one: inTwoSteps = false
        case .two: break
        case .second(let first):
            guard comesBack(handle, after: first) else { return .completed(.cancelled) }
        }
        return unsafe begin(
            PendingOperation(
                kind: .receiveBytes, lends: landing == .lent, inTwoSteps: inTwoSteps, descriptor: handle.descriptor,
                count: limit),
            handle, token)
    }

    /// The second step of a read gives back the place that was kept for it. False if the descriptor was closed between
    /// the steps, while the operation was under way.
    @inline(__always)
    func comesBack(_ handle: Handle, after first: Token) -> Bool {
        guard isCurrent(handle) else { return false }
        let socket = unsafe sockets.address(Int(handle.descriptor))
        if unsafe socket.pointee.reader == first { unsafe socket.pointee.reader = nil }
        return true
    }

    private func begin(
        _ kind: PendingOperation.Kind, _ handle: Handle, _ memory: UnsafeMutableRawPointer?, _ count: Int,
        other: CInt = -1, _ token: Token
    ) -> Submission {
        let operation = unsafe PendingOperation(
            kind: kind, descriptor: handle.descriptor, memory: memory, count: count, other: other)
        return begin(operation, handle, token)
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
        // What the driver has received by itself cannot be found by other calls than these.
        if isReader && sockets[number].isFed && !operation.awaitsBytes { unsafe source?.stopFeeding(handle) }
        var operation = operation
        if isReader ? sockets[number].mayRead : sockets[number].mayWrite {
            if let outcome = attempt(&operation) { return .completed(outcome) }
        }
        return keep(operation, handle, token)
    }

    /// Puts an operation to sleep until its descriptor is ready, registering the descriptor the first time.
    func keep(_ operation: PendingOperation, _ handle: Handle, _ token: Token) -> Submission {
        let number = Int(handle.descriptor)
        let code = watch(operation, handle)
        guard code >= 0 else { return .completed(Outcome(code)) }
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
        case .receiveMessage: receiveMessage(operation)
        case .receiveMessages: receiveMessages(operation)
        case .spliceIn: spliceIn(operation)
        case .relay: relay(operation)
        case .send: send(&operation)
        case .sendVector: sendVector(&operation)
        case .sendMessage: sendMessage(&operation)
        case .sendMessages: sendMessages(operation)
        case .spliceOut: spliceOut(&operation)
        case .sendFile: sendFile(&operation)
        case .accept: accept(operation)
        case .connect: finishConnecting(operation)
        case .waitReadable, .waitWritable: Outcome(0)
        case .none: nil
        }
    }

    private func localAddress(_ handle: Handle) -> Outcome {
        guard isCurrent(handle) else { return Outcome(Errno.badFileDescriptor.negated) }
        let (result, address) = SystemCall.localAddress(handle.descriptor)
        return Outcome(result, bytes: result < 0 ? nil : address)
    }

    private func finishSending(_ handle: Handle) -> Int {
        guard isCurrent(handle) else { return Errno.badFileDescriptor.negated }
        guard sockets[Int(handle.descriptor)].writer == nil else { return Errno.resourceBusy.negated }
        switch sockets[Int(handle.descriptor)].medium {
        case .socket: return SystemCall.finishSending(handle.descriptor)
        case .pipe: return closeNow(handle, .orderly)
        }
    }

    private func option(_ handle: Handle, _ level: CInt, _ name: CInt, _ size: Int) -> Outcome {
        guard isCurrent(handle) else { return Outcome(Errno.badFileDescriptor.negated) }
        let (result, value) = SystemCall.option(handle.descriptor, level, name, size)
        return Outcome(result, bytes: result < 0 ? nil : value)
    }

    package func rival(of operation: Operation) -> Token? {
        guard let side = operation.side, operation.descriptor >= 0, Int(operation.descriptor) < sockets.count else {
            return nil
        }
        let state = sockets[Int(operation.descriptor)]
        let rival = side == .reader ? state.reader : state.writer
        guard rival == nil, case .relay(_, let sink, _) = operation, isCurrent(sink) else { return rival }
        return sockets[Int(sink.descriptor)].writer
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
    package func notice(_ handle: Handle, _ events: UInt32, into completions: inout CompletionList) {
        let number = Int(handle.descriptor)
        guard number >= 0, number < sockets.count else { return }
        // The table's elements never move.
        let socket = unsafe sockets.address(number)
        guard unsafe socket.pointee.generation == handle.generation else { return }
        if events & Interest.finished != 0 { unsafe socket.pointee.isFinished = true }
        if events & Interest.readable != 0 {
            unsafe socket.pointee.mayRead = true
            if let reader = unsafe socket.pointee.reader {
                if unsafe !socket.pointee.isFed && endsFirstStep(reader) {
                    // Between the steps of a read, the place is kept.
                    completions.append(Completion(reader, .again))
                } else if let outcome = retry(reader) {
                    unsafe socket.pointee.reader = nil
                    completions.append(Completion(reader, outcome))
                }
            }
        }
        if events & Interest.writable != 0 {
            unsafe socket.pointee.mayWrite = true
            if unsafe socket.pointee.writer != nil { retryWriter(number, into: &completions) }
        }
        if unsafe !socket.pointee.isAdopted { updateForeign(CInt(number)) }
    }

    /// Whether the token is that of a read's first step, which has ended now.
    @inline(__always)
    private func endsFirstStep(_ token: Token) -> Bool {
        let index = Int(token.index)
        guard index < pending.count else { return false }
        let operation = unsafe pending.address(index)
        guard
            unsafe operation.pointee.inTwoSteps && operation.pointee.kind != .none
                && operation.pointee.generation == token.generation
        else { return false }
        unsafe operation.pointee.kind = .none
        return true
    }

    /// Begins the first step of a read, if all that it could do now is to wait. Nil, without a trace, if not.
    @inline(__always)
    func awaitBytes(_ handle: Handle, limit: Int, lends: Bool, _ makeToken: () -> Token) -> Token? {
        guard isCurrent(handle) else { return nil }
        let socket = unsafe sockets.address(Int(handle.descriptor))
        let isListenedTo = unsafe socket.pointee.canBeFed ? socket.pointee.feedIsOpen : socket.pointee.isWatched
        guard unsafe isListenedTo && !socket.pointee.mayRead && socket.pointee.reader == nil else { return nil }
        let token = makeToken()
        let index = Int(token.index)
        pending.reserve(index)
        // In place: what is remembered of each wait for a message is worth no copy.
        unsafe pending.address(index).pointee = PendingOperation(
            kind: .receiveBytes, lends: lends, inTwoSteps: true, descriptor: handle.descriptor,
            generation: token.generation, count: limit)
        unsafe socket.pointee.reader = token
        return token
    }

    private func retryWriter(_ number: Int, into completions: inout CompletionList) {
        guard let writer = sockets[number].writer, let outcome = retry(writer) else { return }
        sockets[number].writer = nil
        completions.append(Completion(writer, outcome))
    }

    /// Goes on with the writes that let the others go first.
    package func nextTurns(into completions: inout CompletionList) {
        guard !takingTurns.isEmpty else { return }
        let tokens = takingTurns
        takingTurns.removeAll(keepingCapacity: true)
        for token in tokens {
            // Cancelled or closed meanwhile, it has ended already.
            guard let operation = pendingOperation(token) else { continue }
            pending[Int(token.index)].takesTurns = false
            retryWriter(Int(operation.descriptor), into: &completions)
        }
    }

    func retry(_ token: Token) -> Outcome? {
        guard var operation = pendingOperation(token) else { return nil }
        if operation.inTwoSteps && !sockets[Int(operation.descriptor)].isFed {
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
        if operation.kind == .relay { vacate(token, operation) }
        forget(token)
        return outcome
    }

    // MARK: Ending

    package func cancel(_ token: Token) {
        guard let operation = pendingOperation(token) else { return }
        end(token, Errno.canceled.negated)
        if !sockets[Int(operation.descriptor)].isAdopted { updateForeign(operation.descriptor) }
    }

    func end(_ token: Token, _ result: Int) {
        guard let operation = pendingOperation(token) else { return }
        vacate(token, operation)
        forget(token)
        ended.append(Completion(token, Outcome(result)))
    }

    private func closeNow(_ handle: Handle, _ closing: Closing) -> Int {
        guard isCurrent(handle) else { return Errno.badFileDescriptor.negated }
        let state = sockets[Int(handle.descriptor)]
        endWaiting(Int(handle.descriptor), Errno.canceled.negated)
        if state.isWatched || state.isFed {
            if state.isSecret && !casyncio_has_forked() {
                unsafe source?.forgetOnlyCopy(handle)
            } else {
                unsafe source?.forget(handle)
            }
        }
        if state.isFed { stored[handle.descriptor] = nil }
        endOwnership(of: handle.descriptor)
        if closing == .abortive && state.medium == .socket { SystemCall.lingerNoTime(handle.descriptor) }
        return SystemCall.close(handle.descriptor)
    }

    private func disown(_ handle: Handle) -> Int {
        guard isCurrent(handle) else { return Errno.badFileDescriptor.negated }
        if sockets[Int(handle.descriptor)].isFed { unsafe source?.stopFeeding(handle) }
        let state = sockets[Int(handle.descriptor)]
        // Whoever gets the number would miss the bytes that have been received already.
        let isIdle = state.reader == nil && state.writer == nil && stored[handle.descriptor] == nil
        guard isIdle else { return Errno.resourceBusy.negated }
        if state.isWatched { unsafe source?.forget(handle) }
        endOwnership(of: handle.descriptor)
        return Int(handle.descriptor)
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
        let code = watchForeign(number)
        guard code >= 0 else {
            if isReader { sockets[index].reader = nil } else { sockets[index].writer = nil }
            // Regular files and folders are always ready, and others may be.
            return .completed(Outcome(code == Errno.notPermitted.negated ? 0 : code))
        }
        sockets[index].isWatched = true
        unsafe remember(PendingOperation(kind: kind, descriptor: number), for: token)
        return .pending
    }

    /// Follows what is still waited for on a descriptor that others own; lets go of it when nothing is.
    private func updateForeign(_ number: CInt) {
        let index = Int(number)
        guard sockets[index].isWatched else { return }
        _ = watchForeign(number)
        if sockets[index].reader == nil && sockets[index].writer == nil { endOwnership(of: number) }
    }

    private func watchForeign(_ number: CInt) -> Int {
        let state = sockets[Int(number)]
        let interest = (state.reader != nil ? Interest.input : 0) | (state.writer != nil ? Interest.output : 0)
        let handle = Handle(descriptor: number, generation: state.generation)
        return unsafe source?.watch(foreign: handle, interest, isWatched: state.isWatched)
            ?? Errno.badFileDescriptor.negated
    }
}
