import AsyncIOKernel
import SystemPackage

// Relays: the one operation over two descriptors. It is under way as the reader of the one and as the writer of the
// other, so that nobody else takes from the first or puts something between into the second; whichever of the two is
// closed ends it.
extension DescriptorCore {
    func relay(_ source: Handle, to sink: Handle, _ counter: ByteCounter, _ token: Token) -> Submission {
        guard isCurrent(source), isCurrent(sink) else { return .completed(Outcome(Errno.badFileDescriptor.negated)) }
        let (from, into) = (Int(source.descriptor), Int(sink.descriptor))
        guard sockets[from].medium == .socket, sockets[into].medium == .socket else {
            return .completed(Outcome(Errno.notSupported.negated))
        }
        guard sockets[from].reader == nil, sockets[into].writer == nil else {
            return .completed(Outcome(Errno.resourceBusy.negated))
        }
        let operation = unsafe PendingOperation(
            kind: .relay, descriptor: source.descriptor, memory: Unmanaged.passUnretained(counter).toOpaque(),
            other: sink.descriptor)
        if sockets[from].mayRead, let outcome = relay(operation) { return .completed(outcome) }
        let submission = keep(operation, source, token)
        if case .pending = submission { sockets[into].writer = token }
        return submission
    }

    /// Passes on what is there. Nil if nothing is, and all that came was taken.
    ///
    /// One that has no end in sight is given back: the caller has better ways for a flood.
    func relay(_ operation: PendingOperation) -> Outcome? {
        var turns = 16
        while sockets[Int(operation.descriptor)].mayRead {
            turns -= 1
            let limit = Self.scratchSize
            let received = unsafe receive(operation.descriptor, scratch.baseAddress, limit)
            guard noteRead(operation.descriptor, received, limit) else { return nil }
            guard received > 0 else { return Outcome(received) }
            let bytes = unsafe UnsafeRawBufferPointer(rebasing: scratch[0..<received])
            guard received < limit, turns > 0, sockets[Int(operation.other)].mayWrite else {
                return unsafe rest(bytes)
            }
            let sent = unsafe SystemCall.send(operation.other, bytes.baseAddress, received)
            // Not a hint that the sink is full: it may not be registered yet. The caller's send finds out; of an error,
            // too.
            noteBreak(operation.other, sent)
            let taken = max(sent, 0)
            if let counter = unsafe operation.memory {
                unsafe Unmanaged<ByteCounter>.fromOpaque(counter)._withUnsafeGuaranteedRef { $0.add(taken) }
            }
            if taken < received { return unsafe rest(UnsafeRawBufferPointer(rebasing: bytes[taken...])) }
        }
        return nil
    }

    private func rest(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        unsafe Outcome(bytes.count, bytes: [UInt8](bytes))
    }

    /// Gives back the places that an operation has under way.
    func vacate(_ token: Token, _ operation: PendingOperation) {
        vacate(token, operation.descriptor)
        if operation.kind == .relay { vacate(token, operation.other) }
    }

    private func vacate(_ token: Token, _ number: CInt) {
        if sockets[Int(number)].reader == token { sockets[Int(number)].reader = nil }
        if sockets[Int(number)].writer == token { sockets[Int(number)].writer = nil }
    }
}
