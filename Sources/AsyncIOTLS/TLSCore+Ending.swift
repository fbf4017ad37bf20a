#if TLS
import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import NIOCore
import SystemPackage

extension TLSCore {
    /// Says our last word, after what was written, and that nothing more comes.
    func closeWriting() async throws {
        try Task.checkCancellation()
        let isNew = try locked {
            try mustBeOpen("close writing")
            if let writer { throw busy(writer, "close writing") }
            defer { engine.finish() }
            return !engine.hasFinished
        }
        guard isNew else { return }
        send()
        let hasGone = try locked {
            if let sendFailure { throw sendFailure }
            if engine.outbox.isEmpty && !isSending { return true }
            afterwards = .finish
            return false
        }
        if hasGone { try await transport.closeWriting() }
    }

    /// Closes, after what was written and our last word; without it, while somebody writes: what has come is no whole.
    func close() {
        let (isOpen, isWhole) = locked {
            guard phase == .open else { return (false, false) }
            phase = .closed
            let isWhole = writer == nil && sendFailure == nil && engine.isEstablished
            if isWhole { engine.finish() }
            return (true, isWhole)
        }
        guard isOpen else { return }
        drained.set()
        guard isWhole else { return transport.close() }
        send()
        let (hasGone, hasFailed) = locked {
            let hasGone = engine.outbox.isEmpty && !isSending
            if !hasGone { afterwards = .close }
            return (hasGone, sendFailure != nil)
        }
        if hasFailed { return transport.close() }
        if hasGone { return closeBelow() }
        loop.callLater(shutdownTimeout) { if self.locked({ self.afterwards == .close }) { self.transport.abort() } }
    }

    /// Our last word has gone, and with it everything else.
    ///
    /// A server of TLS 1.3 sends tickets after the handshake. A client that has never read leaves them in the kernel,
    /// which would answer our closing with a reset (RFC 1122, 4.2.2.13), and that may overtake what we have sent. So
    /// such a client lets the server end first, for a time, and reads what comes meanwhile.
    func closeBelow() {
        guard locked({ side == .client && !hasHeard && !engine.hasEnded && reader == nil }) else {
            return transport.close()
        }
        start("end", { await $0.linger() }, orElse: { core, _ in core.transport.close() })
    }

    private func linger() async {
        defer { transport.close() }
        try? await withTimeout(shutdownTimeout) {
            try await transport.closeWriting()
            var count = 0
            while count < 65_536, let bytes = try await transport.read(upTo: 65_536) { count += bytes.count }
        }
    }

    /// Says our last word and waits until it has gone, with all that was written; at most for the shutdown's time.
    func finish() async {
        try? await withTimeout(shutdownTimeout) {
            try await self.closeWriting()
            try await self.drain()
        }
    }

    func abort() {
        let isOpen = locked {
            defer { phase = .closed }
            return phase == .open
        }
        guard isOpen else { return }
        transport.abort()
        drained.set()
    }

    // MARK: Errors

    func mustBeOpen(_ operation: String) throws {
        if phase != .open { throw error(.badFileDescriptor, operation, "already closed") }
    }

    func closedMeanwhile(_ operation: String) -> AsyncIOKernel.IOError {
        error(.canceled, operation, "closed while the operation waited")
    }

    func busy(_ task: TaskLabel, _ operation: String) -> AsyncIOKernel.IOError {
        error(.resourceBusy, operation, "\(task) is at it already; use one reader and one writer at a time")
    }

    func error(_ code: Errno, _ operation: String, _ detail: String) -> AsyncIOKernel.IOError {
        AsyncIOKernel.IOError(code, operation: operation, subject: subject, detail: detail)
    }
}
#endif
