import AsyncIOKernel
import AsyncIOLoop
import SystemPackage

/// Collects what is written to a stream, and sends it in few and large pieces.
///
/// ```swift
/// let writer = BufferedWriter(connection)
/// try await writer.write("220 ready\r\n")
/// try await writer.close()
/// ```
///
/// Many small writes in one tick of the loop leave in one system call at its end, without a flush. Outside of loops
/// they leave soon, together with what comes meanwhile.
///
/// Any number of tasks may write, from any thread: each message (what one call writes) arrives whole, in the order in
/// which the calls came. While more than the high-water mark is buffered, a write suspends, first come, first served,
/// until no more than the low-water mark is left: memory stays bounded by the high-water mark. A message that is larger
/// is not copied: it is sent from where it is, when its turn has come.
///
/// A cancelled write, flush or close throws `CancellationError` and has written nothing of its message. What was
/// accepted before is sent all the same. One exception: a message larger than the high-water mark that is cancelled
/// while it is being sent leaves the stream in the middle of it, and the writer fails.
///
/// If sending fails, everybody who waits gets the error, and so does every later call. If nobody calls any more, it
/// goes to the loop's error handler when the writer is let go; where no loop runs, there is nobody to tell.
public final class BufferedWriter<Stream: ByteStream>: Sendable, CustomStringConvertible {
    /// Where the bytes go. Nobody else should write to it.
    public let stream: Stream
    private let parking: Parking<WriterMachine>
    /// The loop on which the writer is used: who hears of an error that nobody asks for.
    private let home = Locked<EventLoop?>(nil)

    /// Makes a writer with nothing in it.
    ///
    /// - Parameters:
    ///   - stream: Where the bytes go.
    ///   - highWater: How many bytes it holds before a write suspends, at least one.
    ///   - lowWater: How many may be left when a write goes on; a quarter of `highWater` unless it is named.
    public init(_ stream: Stream, highWater: Int = 65_536, lowWater: Int? = nil) {
        self.stream = stream
        let high = max(highWater, 1)
        let low = min(max(lowWater ?? high / 4, 0), high)
        parking = Parking(WriterMachine(lowWater: low, highWater: high), sharing: .acrossThreads)
    }

    deinit {
        let (failure, isTold, rest) = parking.read { ($0.failure, $0.isTold, $0.buffered) }
        if let failure, !isTold {
            report(failure)
        } else if failure == nil && rest > 0 {
            report(
                IOError(.canceled, operation: "write", subject: "\(stream)", detail: "\(rest) bytes were never sent"))
        }
    }

    private func report(_ error: any Error) {
        if let loop = home.withLock({ $0 }) ?? EventLoop.current {
            loop.report(error, context: description)
        } else {
            StandardError.write("\(UnhandledError(error, context: description))")
        }
    }

    /// How many bytes have been accepted and not yet handed to the stream.
    public var bufferedCount: Int { parking.read { $0.buffered } }

    /// `BufferedWriter(TCPStream(10.0.0.1:80))`.
    public var description: String { "BufferedWriter(\(stream))" }

    // MARK: Writing

    /// Writes a message, and suspends while the buffer is full.
    ///
    /// Returns when the message has been accepted; it is sent soon. Throws the error of an earlier failure to send,
    /// ``IOError`` with `EPIPE` after ``closeWriting()`` and with `EBADF` after ``close()``, and `CancellationError`.
    /// Nothing to write is no operation.
    public func write(_ bytes: RawSpan) async throws {
        if bytes.isEmpty { return }
        // The span is borrowed until this function returns, so its memory outlives the wait.
        let memory = unsafe bytes.withUnsafeBytes { unsafe $0 }
        if unsafe try await accept(memory) == .isSender {
            try await send(bytes.byteCount) { try await $0.write(bytes) }
        }
        _ = bytes.byteCount
    }

    /// Writes a message. As ``write(_:)-(RawSpan)``.
    public func write(_ bytes: [UInt8]) async throws {
        try unsafe await write(bytes.span.bytes)
    }

    /// Writes a text as UTF-8. As ``write(_:)-(RawSpan)``.
    public func write(_ text: String) async throws {
        try await write(Array(text.utf8))
    }

    /// Writes several chunks as one message. As ``write(_:)-(RawSpan)``.
    public func write(contentsOf chunks: [[UInt8]]) async throws {
        try await write(Array(chunks.joined()))
    }

    /// Writes a number. As ``write(_:)-(RawSpan)``.
    public func writeInteger(_ number: some FixedWidthInteger, _ order: ByteOrder = .big) async throws {
        try await write(number.bytes(order))
    }

    /// Writes a message if there is room for it now. False if there is not, or if others wait. Never suspends.
    ///
    /// For a message that is larger than the high-water mark there never is. Throws as ``write(_:)-(RawSpan)``.
    public func tryWrite(_ bytes: [UInt8]) throws -> Bool {
        if bytes.isEmpty { return true }
        if bytes.count > parking.read({ $0.highWater }) {
            try check()
            return false
        }
        switch unsafe bytes.withUnsafeBytes({ bytes in parking.visit { machine, _ in unsafe machine.write(bytes) } }) {
        case .accepted: return true
        case .acceptedFirst:
            startSending()
            return true
        case .full, .isSender: return false
        case .refused: throw refusal()
        }
    }

    private enum Acceptance { case isAccepted, isSender }

    private func accept(_ bytes: UnsafeRawBufferPointer) async throws -> Acceptance {
        switch Visit.begin() {
        case .isCancelled: throw CancellationError()
        case .mustTakeTurns: break
        case .mayGoOn:
            switch parking.visit({ machine, _ in unsafe machine.write(bytes) }) {
            case .accepted: return .isAccepted
            case .acceptedFirst:
                startSending()
                return .isAccepted
            case .isSender: return .isSender
            case .refused: throw refusal()
            case .full: break
            }
        }
        return unsafe try await acceptSlowly(bytes)
    }

    private func acceptSlowly(_ bytes: UnsafeRawBufferPointer) async throws -> Acceptance {
        try await Visit.takeTurns()
        // There may be room as soon as the stream has been asked.
        sendNow()
        var answer = WriterMachine.Writing.full
        let visitor = await parking.park(note: WriterMachine.Wish.room) { machine, visitor, _ in
            answer = unsafe machine.wait(toWrite: bytes, visitor)
            if case .full = answer { return .parked }
            return .answered
        }
        let (phase, note) = (visitor.phase, visitor.note)
        parking.recycle(visitor)
        switch phase {
        case .granted: break
        case .ended: throw refusal(.meanwhile)
        case .fresh, .queued, .cancelled: throw CancellationError()
        }
        switch answer {
        case .isSender: return .isSender
        case .acceptedFirst: startSending()
        case .full where note == WriterMachine.Wish.isSender: return .isSender
        case .accepted, .full, .refused: break
        }
        return .isAccepted
    }

    /// Sends a message that is larger than the buffer, in its turn.
    private func send(_ count: Int, _ body: (Stream) async throws -> Void) async throws {
        do { try await body(stream) } catch {
            let failure: any Error =
                error is CancellationError
                ? broken("a write of \(count) bytes was cancelled halfway: the stream is only good for closing") : error
            parking.visit { machine, woken in
                machine.fail(failure, waking: &woken)
                _ = machine.tellFailure()
            }
            throw error
        }
        if let batch = parking.visit({ $0.nextBatch(waking: &$1) }) { startTask(batch, from: 0) }
    }

    // MARK: Flushing

    /// Suspends until everything that has been accepted by now is with the stream.
    ///
    /// Throws the error of a failure to send, and `CancellationError`; the bytes are sent all the same then.
    public func flush() async throws {
        try await Visit.enter()
        sendNow()
        if parking.read({ $0.failure == nil && $0.buffered == 0 }) { return }
        try await wait(note: 0) { $0.wait(toFlush: $1) }
    }

    private func sendEverything() async throws {
        try await Visit.enter()
        sendNow()
        try await wait(note: WriterMachine.Wish.everything) { $0.wait(toSendEverything: $1) }
    }

    private func wait(note: Int, _ arrive: (inout WriterMachine, ParkedTask) -> Arrival) async throws {
        let visitor = await parking.park(note: note) { machine, visitor, _ in arrive(&machine, visitor) }
        let phase = visitor.phase
        parking.recycle(visitor)
        switch phase {
        case .granted: return
        case .ended: throw refusal(.meanwhile)
        case .fresh, .queued, .cancelled: throw CancellationError()
        }
    }

    // MARK: Ending

    /// Sends everything, and tells the peer then that nothing more will come. Further writes fail with `EPIPE`.
    ///
    /// If it is cancelled, it can be called again; what was accepted is sent all the same.
    public func closeWriting() async throws {
        parking.visit { machine, _ in machine.end(.finished) }
        try await sendEverything()
        try await stream.closeWriting()
    }

    /// Sends everything, and closes the stream then. Further writes fail with `EBADF`; closing again does nothing.
    ///
    /// A peer that does not read makes this wait: put a limit on it with `withTimeout`. The stream is closed in any
    /// case: if sending fails, the error is thrown; if the task is cancelled, what was not sent is dropped, the peer
    /// gets `ECONNRESET`, and `CancellationError` is thrown.
    public func close() async throws {
        let wasClosed = parking.visit { machine, _ in
            defer { machine.end(.closed) }
            return machine.phase == .closed
        }
        if wasClosed { return }
        do { try await sendEverything() } catch is CancellationError {
            breakOff()
            throw CancellationError()
        } catch {
            stream.close()
            throw error
        }
        stream.close()
    }

    /// Drops what was not sent, and breaks the stream off: see ``ByteStream/abort()``. Who waits gets `ECANCELED`.
    public func abort() {
        parking.visit { machine, _ in machine.end(.closed) }
        breakOff()
    }

    private func breakOff() {
        let error = broken("broken off before everything was sent")
        parking.visit { machine, woken in
            machine.fail(error, waking: &woken)
            _ = machine.tellFailure()
        }
        stream.abort()
    }

    private func broken(_ detail: String) -> IOError {
        IOError(.canceled, operation: "write", subject: "\(stream)", detail: detail)
    }

    private func check() throws {
        if parking.read({ $0.failure != nil || $0.phase != .open }) { throw refusal() }
    }

    /// When a call was refused: as it came, or while it waited.
    private enum Moment { case before, meanwhile }

    /// Why nothing is accepted, or why the wait has ended.
    private func refusal(_ moment: Moment = .before) -> any Error {
        let (failure, phase) = parking.visit { machine, _ in (machine.tellFailure(), machine.phase) }
        if phase == .closed && (moment == .before || failure == nil) {
            return IOError(.badFileDescriptor, operation: "write", subject: "\(stream)", detail: "already closed")
        }
        return failure
            ?? IOError(
                .brokenPipe, operation: "write", subject: "\(stream)", detail: "writing was finished by closeWriting()")
    }

    // MARK: Sending

    /// Sees to it that somebody sends: at the end of the tick where a loop runs, in a task elsewhere.
    private func startSending() {
        guard let loop = EventLoop.current else { return startTask(nil, from: 0) }
        home.withLock { $0 = loop }
        // Also if the loop closes before: somebody may wait for these bytes, or for what becomes of them.
        loop.callSoonOrElsewhere { self.sendNow() }
    }

    /// Sends what the stream takes at once, and leaves the rest to a task.
    private func sendNow() {
        guard EventLoop.current != nil else { return }
        var next = parking.visit { machine, _ in machine.beginSending() }
        while let batch = next {
            let count: Int
            do { count = try unsafe stream.tryWrite(batch.span.bytes) } catch { return fail(error) }
            if count < batch.count {
                if count > 0 { parking.visit { $0.didSend(count, waking: &$1) } }
                return startTask(batch, from: count)
            }
            next = parking.visit { machine, woken in
                machine.didSend(count, waking: &woken)
                return machine.nextBatch(waking: &woken)
            }
        }
    }

    /// Has a task send the batch, or what is there, and all that comes meanwhile. Nobody's cancellation ends it but the
    /// end of its loop.
    private func startTask(_ batch: [UInt8]?, from offset: Int) {
        if let loop = EventLoop.current, !loop.isClosed {
            home.withLock { $0 = loop }
            let sender = loop.spawn(name: description) { await self.send(batch, from: offset) }
            // Nil if the task has ended; it has not begun yet, so the loop is ending and takes none. Somebody's
            // clean-up may wait for these bytes all the same, and as long as the loop turns they can be sent.
            if sender.observe(.watches, { _ in }) != nil { return }
        }
        Task.detached(name: description) { await self.send(batch, from: offset) }
    }

    private func send(_ batch: [UInt8]?, from offset: Int) async {
        var next = batch ?? parking.visit { machine, _ in machine.beginSending() }
        var offset = offset
        while let batch = next {
            do { try unsafe await stream.write(batch.span.bytes.extracting(offset..<batch.count)) } catch {
                return fail(
                    error is CancellationError
                        ? broken("the loop has ended, and its tasks were cancelled, before everything was sent") : error
                )
            }
            let count = batch.count - offset
            next = parking.visit { machine, woken in
                machine.didSend(count, waking: &woken)
                return machine.nextBatch(waking: &woken)
            }
            offset = 0
        }
    }

    private func fail(_ error: any Error) {
        parking.visit { $0.fail(error, waking: &$1) }
    }
}
