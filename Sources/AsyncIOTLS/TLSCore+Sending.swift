#if TLS
import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import NIOCore
import SystemPackage

// What the engine has to say, and how it gets to the peer.
extension TLSCore {
    /// Sends what the stream beneath takes at once, and leaves the rest to a task. Never waits.
    func send() {
        guard
            var piece = locked({ () -> ByteBuffer? in
                guard !isSending, sendFailure == nil, let first = engine.outbox.first else { return nil }
                isSending = true
                return first
            })
        else { return }
        do {
            while true {
                let count = try transport.tryWrite(piece.readableBytesSpan)
                guard let next = sent(count) else { return }
                // What is left of the same piece would not be taken either.
                if count < piece.readableBytes { break }
                piece = next
            }
        } catch { return sendingFailed(error) }
        start("sender", { await $0.sendRest() }, orElse: { $0.sendingFailed($1) })
    }

    /// Starts a task of the connection's own, or says why the loop takes none: it is ending.
    func start(
        _ name: String, _ body: @escaping @Sendable (TLSCore) async -> Void,
        orElse refuse: @escaping @Sendable (TLSCore, any Error) -> Void
    ) {
        let task = loop.spawn(name: "TLS \(name) of \(transport)") { await body(self) }
        // One that has begun ends without an error, cancelled or not.
        _ = task.observe(.watches) { result in if case .failure(let error) = result { refuse(self, error) } }
    }

    /// So many bytes have gone: what comes next, or nil if that was all. Then the place is free.
    private func sent(_ count: Int) -> ByteBuffer? {
        let (next, step, timer) = locked { () -> (ByteBuffer?, Afterwards, ScheduledCall?) in
            engine.sent(count)
            if let next = engine.outbox.first { return (next, .nothing, nil) }
            isSending = false
            defer { (afterwards, deadline) = (.nothing, nil) }
            return (nil, afterwards, deadline)
        }
        guard next == nil else { return next }
        timer?.cancel()
        drained.set()
        switch step {
        case .nothing: break
        case .finish:
            start("end", { try? await $0.transport.closeWriting() }, orElse: { core, _ in core.abortTransport() })
        case .close: closeBelow()
        }
        return nil
    }

    /// The task that waits for the peer.
    private func sendRest() async {
        do {
            while let piece = locked({ engine.outbox.first }) {
                // The buffer is held here until the write has returned.
                try await transport.write(piece.readableBytesSpan)
                // Then the place is free, and may be somebody else's.
                guard sent(piece.readableBytes) != nil else { return }
            }
        } catch { sendingFailed(error) }
    }

    func sendingFailed(_ error: any Error) {
        // It is the loop that ends the task: nobody who writes was cancelled.
        let error = error is CancellationError ? AsyncIOLoop.EventLoopError.closed(loop.name) : error
        let (isClosing, timer) = locked {
            sendFailure = sendFailure ?? error
            isSending = false
            defer { (afterwards, deadline) = (.nothing, nil) }
            return (afterwards == .close, deadline)
        }
        timer?.cancel()
        drained.set()
        if isClosing { abortTransport() }
    }

    /// Waits until all that the engine has to say has gone. Throws why it never will.
    func drain() async throws {
        send()
        while true {
            let isEmpty = try locked {
                if phase != .open { throw closedMeanwhile("write") }
                if let sendFailure { throw sendFailure }
                if engine.outbox.isEmpty { return true }
                drained.clear()
                return false
            }
            if isEmpty { return }
            try await drained.wait()
        }
    }
}
#endif
