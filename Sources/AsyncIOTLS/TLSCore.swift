#if TLS
import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import NIOCore
import SystemPackage

/// What a ``TLSStream`` is made of: the engine, the stream beneath, and who may touch them when.
///
/// No task of its own reads: whoever reads brings what has come to the engine. What the engine has to say is written by
/// whoever made it say something, as far as the stream beneath takes it at once; the rest is written by a task that
/// lives until it has gone. It is nobody's, so that a cancelled writer never cuts a record in two.
@safe
final class TLSCore: @unchecked Sendable {
    let transport: any ByteStream
    let loop: AsyncIOLoop.EventLoop
    let subject: String
    let side: TLSSide
    let shutdownTimeout: Duration
    private let lock = FutexLock()
    /// Set when the outbox has been emptied, or never will be.
    let drained = AsyncEvent(name: "TLS outbox")
    /// Set when the stream beneath has been closed.
    let ended = AsyncEvent(name: "TLS end")

    // MARK: State, under the lock

    let engine: TLSEngine
    var phase = Phase.open
    var reader: TaskLabel?
    var writer: TaskLabel?
    /// Whether more came than a record when it was last read; the reader's.
    private var isStreamed = false
    /// Whether somebody is at the stream beneath, to write.
    var isSending = false
    /// What is to be done when the outbox is empty.
    var afterwards = Afterwards.nothing
    /// Why nothing more can be sent.
    var sendFailure: (any Error)?
    /// Whether the peer was refused although the handshake is over.
    var isRefused = false
    /// Whether the peer's end has been waited for, or is.
    var hasLingered = false
    /// Ends the time that closing may take.
    var deadline: ScheduledCall?
    /// Whether somebody looks whether the connection rests, and when next.
    var isWatched = false
    var restTimer: ScheduledCall?

    enum Phase { case open, closed }
    enum Afterwards { case nothing, finish, close }

    init(
        _ transport: any ByteStream, _ engine: TLSEngine, _ side: TLSSide, subject: String, shutdownTimeout: Duration,
        on loop: AsyncIOLoop.EventLoop
    ) {
        self.transport = transport
        self.engine = engine
        self.side = side
        self.subject = subject
        self.shutdownTimeout = shutdownTimeout
        self.loop = loop
    }

    @inline(__always)
    func locked<Result>(_ body: () throws -> Result) rethrows -> Result {
        lock.acquire()
        defer { lock.release() }
        return try body()
    }

    /// What is known of the connection, asked of the engine.
    func ask<Result>(_ question: (TLSEngine) -> Result) -> Result { locked { question(engine) } }

    // MARK: The handshake

    /// The most that is read at once: about a record, so that little memory is used by those of whom little comes.
    private static let readSize = 16_640
    /// The most that is read at once of those who fill that: some records, which cost less together.
    private static let streamedSize = 3 * readSize

    /// Speaks until both sides know each other. Throws ``TLSError``, and what the stream beneath throws.
    func shakeHands() async throws {
        while true {
            do { try await drain() } catch let error as AsyncIOKernel.IOError { throw await lastWord(after: error) }
            let (isEstablished, failure) = locked { (engine.isEstablished, explained) }
            if let failure { throw failure }
            if isEstablished { return try locked { try refuseDoubtfulNames() } }
            let bytes = try await transport.read(upTo: Self.readSize)
            locked { take(bytes) }
            // What a server says last is not waited for: its client may have other things to do first.
            if side == .server, locked({ engine.isEstablished && engine.failure == nil }) { return send() }
        }
    }

    /// The peer takes nothing more: its last word may say why.
    private func lastWord(after error: AsyncIOKernel.IOError) async -> any Error {
        if let bytes = try? await transport.read(upTo: Self.readSize) { locked { take(bytes) } }
        return locked { explained } ?? error
    }

    private func take(_ bytes: [UInt8]?) {
        if let bytes { engine.feed(bytes) } else { engine.feedEnd() }
    }

    /// Why nothing more will come, in words.
    var explained: (any Error)? {
        guard let failure = engine.failure else { return nil }
        return diagnosis.explain(failure)
    }

    private var diagnosis: TLSDiagnosis {
        TLSDiagnosis(
            subject: subject, side: side, certificate: engine.peerCertificate, isEstablished: engine.isEstablished)
    }

    /// Refuses a certificate whose names NIOSSL is content with, and others would not be.
    private func refuseDoubtfulNames() throws {
        guard let name = engine.expectedName, engine.peerCertificate?.isPlainly(for: name) != true else { return }
        isRefused = true
        throw diagnosis.nameMismatch
    }

    // MARK: Reading

    func read(upTo limit: Int) async throws -> [UInt8]? {
        try await read { $0.readableBytes > 0 ? $0.take(upTo: limit) : nil }
    }

    /// The memory is the caller's until this returns.
    func read(into memory: UnsafeMutableRawBufferPointer) async throws -> Int {
        try await read { $0.readableBytes > 0 ? unsafe $0.take(into: memory) : nil } ?? 0
    }

    /// Reads the stream beneath until there is something to take. Nil at the peer's close_notify.
    private func read<Taken>(_ takeSome: (TLSEngine) -> Taken?) async throws -> Taken? {
        try Task.checkCancellation()
        if AsyncIOLoop.EventLoop.hasHadItsTurn {
            await AsyncIOLoop.EventLoop.yield()
            try Task.checkCancellation()
        }
        try locked {
            try mustBeOpen("read")
            if let reader { throw busy(reader, "read") }
            reader = TaskLabel.current
        }
        defer { locked { reader = nil } }
        while true {
            let found: Taken?? = try locked {
                guard phase == .open else { throw closedMeanwhile("read") }
                if let taken = takeSome(engine) { return .some(taken) }
                if engine.hasEnded { return .some(nil) }
                if let explained { throw explained }
                return .none
            }
            if let found { return found }
            let (isFlooded, isResting) = locked { (engine.outbox.count > 64, rests()) }
            if isResting { watch() }
            // Who makes us answer again and again, and reads no answer, is not read either.
            if isFlooded { try await drain() }
            let bytes: [UInt8]?
            do { bytes = try await transport.read(upTo: isStreamed ? Self.streamedSize : Self.readSize) } catch {
                if !(error is CancellationError), locked({ phase != .open }) { throw closedMeanwhile("read") }
                throw error
            }
            let hasAnswer = locked {
                isStreamed = (bytes?.count ?? 0) >= Self.readSize
                take(bytes)
                return !engine.outbox.isEmpty
            }
            if hasAnswer { send() }
        }
    }
}
#endif
