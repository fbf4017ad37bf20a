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
            let isWhole = writer == nil && sendFailure == nil && engine.isEstablished && !isRefused
            if isWhole { engine.finish() }
            return (true, isWhole)
        }
        guard isOpen else { return }
        endWatch()
        drained.set()
        guard isWhole else { return closeTransport() }
        send()
        let (hasGone, hasFailed) = locked {
            let hasGone = engine.outbox.isEmpty && !isSending
            if !hasGone { afterwards = .close }
            return (hasGone, sendFailure != nil)
        }
        if hasFailed { return closeTransport() }
        if hasGone { return closeBelow() }
        let call = loop.callLater(shutdownTimeout) {
            if self.locked({ self.afterwards == .close }) { self.abortTransport() }
        }
        let isNeeded = locked {
            if afterwards == .close { deadline = call }
            return afterwards == .close
        }
        if !isNeeded { call.cancel() }
    }

    /// Our last word has gone, and with it everything else.
    ///
    /// What the peer has sent and nobody has read would make the kernel answer our closing with a reset (RFC 1122,
    /// 4.2.2.13), which may overtake what we have sent, and void it: the last word of a peer that has ended its side,
    /// or the tickets that a server of TLS 1.3 sends after the handshake. So the peer may end first, for a time, and
    /// what comes meanwhile is dropped.
    func closeBelow() {
        guard mayLinger() else { return closeTransport() }
        start(
            "end",
            { core in
                try? await withTimeout(core.shutdownTimeout) { try await core.linger() }
                core.closeTransport()
            }, orElse: { core, _ in core.closeTransport() })
    }

    /// Whether the peer's end is to be waited for; once.
    private func mayLinger() -> Bool {
        locked {
            guard !hasLingered, !engine.hasEnded, sendFailure == nil, reader == nil else { return false }
            hasLingered = true
            return true
        }
    }

    /// Reads and drops what comes until the peer's end, though no more than that much.
    private func linger() async throws {
        try? await transport.closeWriting()
        var count = 0
        while count < 65_536, let bytes = try await transport.read(upTo: 65_536) { count += bytes.count }
    }

    /// Says our last word and waits until it has gone, with all that was written, and until the peer has ended, if it
    /// could lose something otherwise; at most for the shutdown's time. Also if the stream was closed before.
    func finish() async {
        try? await withTimeout(shutdownTimeout) {
            do {
                try await self.closeWriting()
                try await self.drain()
                if self.mayLinger() { try await self.linger() }
            } catch {
                if self.locked({ self.phase == .closed }) { try await self.ended.wait() }
            }
        }
    }

    func closeTransport() {
        transport.close()
        ended.set()
    }

    func abortTransport() {
        transport.abort()
        ended.set()
    }

    func abort() {
        let isOpen = locked {
            defer { phase = .closed }
            return phase == .open
        }
        guard isOpen else { return }
        endWatch()
        abortTransport()
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
