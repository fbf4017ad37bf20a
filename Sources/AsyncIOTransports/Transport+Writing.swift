import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import Synchronization
import SystemPackage

extension Transport {
    /// The most that a task offers at a time: what is buffered, and with it the marks, is known this exactly.
    private static let pieceSize = 65_536

    func send(_ bytes: [UInt8]) {
        guard !bytes.isEmpty, mayWrite() else { return }
        if flow.isExceeded(by: buffer.count) { return overflow(buffer.count) }
        var taken = 0
        if buffer.isEmpty && !isSending && (depth == 0 || bytes.count > gatherLimit) { taken = offer(bytes, from: 0) }
        if isOver { return }
        buffer.append(bytes, from: taken)
        if depth == 0 || buffer.count > gatherLimit { flush() } else { noteBuffer() }
    }

    /// How many bytes may wait for the end of a callback. Waiting for that alone crosses no mark.
    private var gatherLimit: Int { min(WriteBuffer.chunkSize, flow.limits.high) }

    /// Whether there is still somebody to write to. The first write that our own side has forbidden is reported.
    private func mayWrite() -> Bool {
        if !isEnding && eof == .none { return true }
        guard !hasReportedWrite, isClosedByProgram || eof != .none else { return false }
        hasReportedWrite = true
        let (code, detail) =
            isClosedByProgram
            ? (Errno.badFileDescriptor, "closed already; look at isClosing before writing")
            : (Errno.brokenPipe, "nothing can be written after writeEOF")
        let failure = IOError(code, operation: "write", subject: description, detail: detail)
        loop.report(failure, context: description)
        return false
    }

    /// Offers bytes to the kernel and returns up to which index it has taken them.
    private func offer(_ bytes: [UInt8], from start: Int) -> Int {
        do {
            return try unsafe start + stream.tryWrite(bytes.span.bytes.extracting(start..<bytes.count))
        } catch {
            end(error)
            return bytes.count
        }
    }

    /// Sends what is taken now; a task is left to send the rest.
    func flush() {
        sendNow()
        if isOver { return }
        if !isSending && (!buffer.isEmpty || eof == .wanted) { startSending() }
        noteBuffer()
        closeIfFlushed()
    }

    /// Sends what is taken now.
    func sendNow() {
        guard !isSending, !isOver else { return }
        while let (chunk, offset) = buffer.first {
            let end = offer(chunk, from: offset)
            if isOver { return }
            buffer.removeFirst(end - offset)
            if end < chunk.count { return }
        }
    }

    private func startSending() {
        isSending = true
        let sender = loop.spawn(name: senderName) { await self.sendBuffer() }
        // Nil if the task has ended; it has not begun yet, so the loop is ending and takes none.
        guard sender.observe(.watches, { _ in }) == nil else { return }
        isSending = false
        end(buffer.isEmpty ? nil : CancellationError())
    }

    /// The task that waits for the peer.
    private nonisolated func sendBuffer() async {
        do {
            while let piece = await here({ $0.nextPiece() }) {
                switch piece {
                case .bytes(let chunk, let range):
                    unsafe try await stream.write(chunk.span.bytes.extracting(range))
                case .end:
                    try await stream.closeWriting()
                }
                await here { $0.sent(piece) }
            }
        } catch {
            await here { $0.sendingFailed(error) }
        }
    }

    /// What the sending task offers to the stream.
    private enum Piece {
        case bytes([UInt8], Range<Int>)
        /// That nothing more will come.
        case end
    }

    /// Nil when all has been sent: the task ends.
    private func nextPiece() -> Piece? {
        if !isOver, let (chunk, offset) = buffer.first {
            return .bytes(chunk, offset..<min(chunk.count, offset + Self.pieceSize))
        }
        if !isOver && eof == .wanted { return .end }
        isSending = false
        closeIfFlushed()
        return nil
    }

    private func sent(_ piece: Piece) {
        if isOver { return }
        switch piece {
        case .bytes(_, let range):
            buffer.removeFirst(range.count)
            noteBuffer()
        case .end: eof = .sent
        }
    }

    private func sendingFailed(_ error: any Error) {
        isSending = false
        // At the loop's end, the task that reads knows as well, and what to do.
        if !(error is CancellationError) { end(error) }
    }

    func finishWriting() {
        guard case .none = ending, eof == .none else { return }
        eof = .wanted
        if depth == 0 { flush() }
    }

    /// A peer does not read, and the protocol does not care.
    func overflow(_ count: Int) {
        guard !isOver else { return }
        let failure = IOError(
            .noBufferSpace, operation: "write", subject: description,
            detail: "\(count) bytes wait already, more than the hard limit of \(flow.limits.hard); "
                + "stop at pauseWriting, or raise the limit")
        loop.report(failure, context: description)
        end(failure, .aborted)
    }

    // MARK: Flow control

    /// What is buffered has changed.
    private func noteBuffer() {
        countBuffer()
        tellFlow()
    }

    func countBuffer() {
        waiting.add(buffer.count - counted)
        counted = buffer.count
    }

    /// Tells the protocol if a mark was crossed.
    func tellFlow() {
        guard !isOver else { return }
        switch flow.step(buffered: buffer.count) {
        case .pause: call { try $0.paused() }
        case .resume: call { try $0.resumed() }
        case nil: break
        }
    }
}
