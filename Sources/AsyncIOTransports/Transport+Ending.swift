import AsyncIO
import AsyncIOKernel
import AsyncIOLoop

extension Transport {
    /// Whether the stream is closed.
    var isOver: Bool {
        switch ending {
        case .none, .flushing: false
        case .over, .told: true
        }
    }

    /// Whether the protocol shall hear no more than the end.
    var isEnding: Bool {
        if case .none = ending { return false }
        return true
    }

    // MARK: Steps

    /// The program wants it so, and not the peer.
    func closeByProgram(_ manner: Manner) {
        isClosedByProgram = true
        if manner == .orderly { closeInOrder() } else { end(nil, .aborted) }
    }

    func closeInOrder() {
        guard case .none = ending else { return }
        ending = .flushing
        visible.withLock { $0.isClosing = true }
        attention.set()
        if depth == 0 { flush() } else { closeIfFlushed() }
    }

    /// The end that ``closeInOrder()`` has asked for, as soon as nothing is left to send.
    func closeIfFlushed() {
        guard case .flushing = ending, buffer.isEmpty, !isSending, eof != .wanted else { return }
        end(nil)
    }

    enum Manner { case orderly, aborted }

    /// Closes the stream and lets the connection's task tell the protocol. The stream is broken off where the peer
    /// would take what it has got for the whole.
    func end(_ error: (any Error)?, _ manner: Manner = .orderly) {
        guard !isOver else { return }
        ending = .over(error)
        visible.withLock { $0.isClosing = true }
        if manner == .orderly && buffer.isEmpty { stream.close() } else { stream.abort() }
        buffer.removeAll()
        countBuffer()
        attention.set()
    }

    // MARK: Calls

    /// Begins: the protocol hears of the transport.
    func connect() { call { [self] in try $0.connected(self) } }

    /// Calls the protocol. What it throws ends the connection. What it has written leaves when it returns.
    func call(_ body: (any StreamProtocol) throws -> Void) {
        guard let listener else { return }
        gather {
            do {
                try body(listener)
            } catch {
                loop.report(error, context: description)
                // What was written before the failure was written.
                sendNow()
                end(error)
            }
        }
    }

    /// Lets writes gather while the body runs.
    func gather(_ body: () -> Void) {
        depth += 1
        body()
        depth -= 1
        if depth == 0 { flush() }
    }

    /// The last call. Once.
    func tellLost() {
        guard case .over(let error) = ending else { return }
        call { try $0.lost(error) }
        ending = .told
        listener = nil
        visible.withLock { $0.listener = nil }
    }

    func handOver(to next: any StreamProtocol) {
        if case .told = ending { return }
        listener = next
        if flow.isPaused && !isOver { call { try $0.paused() } }
    }
}

// The callbacks themselves. A transport and its protocol live on the same loop: one may call the other.
extension StreamProtocol {
    fileprivate nonisolated func connected(_ transport: Transport) throws {
        try assumeIsolated { try $0.connectionMade(transport) }
    }

    nonisolated func received(_ bytes: [UInt8]) throws { try assumeIsolated { try $0.dataReceived(bytes) } }

    nonisolated func finished() throws -> Bool { try assumeIsolated { try $0.eofReceived() } }

    nonisolated func paused() throws { try assumeIsolated { try $0.pauseWriting() } }

    nonisolated func resumed() throws { try assumeIsolated { try $0.resumeWriting() } }

    fileprivate nonisolated func lost(_ error: (any Error)?) throws {
        try assumeIsolated { try $0.connectionLost(error) }
    }
}
