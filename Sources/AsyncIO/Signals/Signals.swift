import AsyncIOKernel
import AsyncIOLoop

/// The signals that the process gets, as they come.
///
/// ```swift
/// for try await signal in try Signals(.hangup, .user1) { … }
/// ```
///
/// It listens from its creation to ``close()``, or until it is let go. As long as somebody listens to a signal, its
/// default action is off; the last one to go puts back what was there before. Everybody who listens, on whatever loop,
/// gets every signal. Several of one kind that come before anybody looks are one, as the system itself counts them;
/// after the last there is always one more step. Signals of different kinds that wait come in the order of their
/// numbers.
///
/// Listening replaces the run's own reaction: while somebody listens to ``Signal/interrupt``, Ctrl-C neither cancels
/// the body of `EventLoop.run` (``EventLoop/Options/interrupts``), nor does a second one end the process.
///
/// A signal that the process was started to ignore (nohup(1), a shell's background job) stays ignored unless
/// ``Ignored/isHeard`` asks otherwise. One that it was started with blocked is let through to the loop's thread
/// meanwhile. Children are not affected: exec(3) takes handlers away, and nothing is blocked.
///
/// For one task at a time: a second one gets ``IOError`` with `EBUSY`.
public final class Signals: Sendable, CustomStringConvertible {
    /// What becomes of signals that the process ignores.
    public enum Ignored: Sendable {
        /// They never come: whoever started the process wants it so.
        case staysIgnored
        /// They come, and are ignored again at the end.
        case isHeard
    }

    /// What it listens to.
    public let signals: [Signal]
    private let loop: EventLoop
    private let listener: SignalListener
    /// What has come and was not given yet.
    private let waiting = Locked<SignalListener.Set>(0)

    /// Listens from now on. Throws ``IOError`` with `EINVAL` for no signal, for SIGKILL and SIGSTOP, which no process
    /// can catch, and for those that report a fault of the program, as SIGSEGV; with `ENOSPC` where more than 256
    /// listen at once; ``EventLoopError/noLoop`` where no loop runs and none is named.
    public convenience init(
        _ signals: Signal..., ignored: Ignored = .staysIgnored, on loop: EventLoop? = nil
    ) throws {
        try self.init(signals, ignored: ignored, on: loop)
    }

    /// Listens from now on to the signals of a list.
    public init(_ signals: [Signal], ignored: Ignored = .staysIgnored, on loop: EventLoop? = nil) throws {
        for signal in signals {
            guard let reason = signal.reasonAgainst else { continue }
            throw IOError(.invalidArgument, operation: "listen to", subject: "\(signal)", detail: reason)
        }
        guard !signals.isEmpty else {
            throw IOError(.invalidArgument, operation: "listen to", subject: "signals", detail: "name at least one")
        }
        self.loop = try EventLoop.required(loop)
        self.signals = signals
        listener = try SignalListener(signals.reduce(0) { $0 | $1.bit }, .ofProgram, evenIgnored: ignored == .isHeard)
        let listener = listener
        onLoop { listener.unblockHere() }
    }

    deinit { close() }

    /// The signals that will not come, because the process ignores them.
    public var ignored: [Signal] { signals.filter { listener.heard & $0.bit == 0 } }

    /// Suspends until a signal comes, and returns it; nil after ``close()``.
    ///
    /// Throws `CancellationError`; the signal is still to come then.
    public func next() async throws -> Signal? {
        try await Visit.enter()
        while true {
            if listener.isOver { return nil }
            if let signal = takeFirst() { return signal }
            try await loop.waitReadable(listener.descriptor)
        }
    }

    private func takeFirst() -> Signal? {
        waiting.withLock { waiting in
            if waiting == 0 { waiting = listener.take() }
            guard waiting != 0 else { return nil }
            let signal = Signal(firstOf: waiting)
            waiting &= ~signal.bit
            return signal
        }
    }

    /// Listens no more; whoever waits for the next one gets nil. Calling it again does nothing. From any thread.
    public func close() {
        guard !listener.isOver else { return }
        let heard = listener.heard
        listener.end()
        if !loop.isClosed { onLoop { SignalListener.reblockHere(heard) } }
    }

    private func onLoop(_ body: @escaping @Sendable () -> Void) {
        if loop.isCurrent { body() } else { loop.callSoon(body) }
    }

    /// `Signals(SIGHUP, SIGUSR1)`.
    public var description: String { "Signals(\(signals.map(\.description).joined(separator: ", ")))" }
}

extension Signals: AsyncSequence {
    /// One signal a step.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let signals: Signals

        /// See ``Signals/next()``.
        public func next() async throws -> Signal? { try await signals.next() }

        /// See ``Signals/next()``.
        public func next(isolation actor: isolated (any Actor)?) async throws -> Signal? { try await signals.next() }
    }

    /// An iterator that goes on where the last one has ended.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(signals: self) }
}
