public import AsyncIO
public import AsyncIOKernel
public import AsyncIOLoop
import Synchronization

/// A connection, seen by a ``StreamProtocol``: the transport calls back what comes in, and buffers what goes out.
///
/// ``StreamProtocol`` tells what is called when, and how to port from asyncio.
///
/// Every method may be called from any thread, and none suspends. On the loop's thread it takes effect before it
/// returns; from elsewhere it is handed to the loop, where the calls of one thread take effect in their order. After
/// the loop's end they do nothing.
///
/// The loop owns the connection: nobody has to keep the transport for it to go on. At the loop's end, transports that
/// are left are closed, what the kernel does not take at once is dropped, and their protocols get `connectionLost`.
public actor Transport: LoopActor, CustomStringConvertible, CustomReflectable {
    /// The loop that does the connection's work.
    public nonisolated let loop: EventLoop
    /// What the transport stands on, for questions about the socket: options, credentials. Whoever reads or writes it
    /// takes bytes from the protocol, or mixes his own among the transport's.
    public nonisolated let stream: any ByteStream
    /// The other side's address, if the stream has one.
    public nonisolated let peer: SocketAddress?
    /// Our own address, if the stream has one.
    public nonisolated let local: SocketAddress?

    /// What every thread may see.
    nonisolated let visible: Locked<Visible>
    /// Bytes that wait: buffered here, or on their way from other threads.
    nonisolated let waiting = WaitingBytes()

    struct Visible {
        var isClosing = false
        var isReading = true
        /// A thread has written beyond the hard limit: the connection will be broken off.
        var isOverflowing = false
        var listener: (any StreamProtocol)?
        var limits: WriteBufferLimits
    }

    // MARK: State, the loop's thread's

    /// Whom to call; nil when all has been said.
    var listener: (any StreamProtocol)?
    /// How many callbacks are running, one inside the other.
    var depth = 0
    var reading = ReadingState.open
    /// What came after reading was paused.
    var held: Arrival?
    var ending = Ending.none
    /// Wakes the task that reads, and waits while it must not.
    let attention = AsyncEvent(name: "transport")
    var buffer = WriteBuffer()
    /// How much of ``waiting`` is buffered here.
    var counted = 0
    var flow: FlowControl
    var eof = EndOfWriting.none
    /// Whether a task is sending what is buffered.
    var isSending = false
    lazy var senderName = "sender of \(self)"
    var isClosedByProgram = false
    var hasReportedWrite = false

    /// What the stream has delivered: bytes, or its end.
    enum Arrival { case bytes([UInt8]), end }

    enum ReadingState { case open, paused, finished }

    enum EndOfWriting { case none, wanted, sent }

    enum Ending {
        case none
        /// What is buffered is sent first.
        case flushing
        /// The stream is closed. The protocol will be told why.
        case over((any Error)?)
        /// The protocol has been told.
        case told
    }

    init(
        _ stream: any ByteStream, _ listener: any StreamProtocol, limits: WriteBufferLimits, peer: SocketAddress?,
        local: SocketAddress?
    ) {
        loop = listener.loop
        self.stream = stream
        self.peer = peer
        self.local = local
        self.listener = listener
        flow = FlowControl(limits)
        visible = Locked(Visible(listener: listener, limits: limits))
    }

    /// `Transport(TCPStream(10.0.0.1:80))`.
    public nonisolated var description: String { "Transport(\(stream))" }

    /// Shows no more than the description: a look inside would read the loop's state on whatever thread.
    public nonisolated var customMirror: Mirror { Mirror(self, children: []) }

    // MARK: Writing

    /// Writes bytes, in order with all others. Never waits: what the kernel does not take now is buffered, and sent as
    /// the peer takes it.
    ///
    /// Writes from inside a callback may leave together when it returns. When the buffer grows above the high-water
    /// mark, the protocol gets ``StreamProtocol/pauseWriting()`` before this returns. After `close`, `abort` and
    /// `writeEOF` the bytes are dropped, and the first time that happens the loop's error handler gets an ``IOError``;
    /// after the connection is lost they are dropped. A write that finds more than the hard limit waiting aborts the
    /// connection: see ``WriteBufferLimits/hard``.
    public nonisolated func write(_ bytes: [UInt8]) {
        if loop.isCurrent { return assumeIsolated { $0.send(bytes) } }
        let (limit, isOverflowing) = visible.withLock { ($0.limits.hard, $0.isOverflowing) }
        // Nothing of it would be sent: the connection is about to be broken off.
        if isOverflowing { return }
        let (before, delivery) = waiting.send(bytes.count)
        if before > limit { return overflowElsewhere(before) }
        loop.callSoon {
            delivery.arrive()
            self.assumeIsolated { $0.send(bytes) }
        }
    }

    /// Has the connection broken off, once: whoever goes on writing meanwhile queues nothing.
    private nonisolated func overflowElsewhere(_ count: Int) {
        let isFirst = visible.withLock { visible in
            defer { visible.isOverflowing = true }
            return !visible.isOverflowing
        }
        if isFirst { loop.callSoon { self.assumeIsolated { $0.overflow(count) } } }
    }

    /// Writes a text as UTF-8. As ``write(_:)-([UInt8])``.
    public nonisolated func write(_ text: String) { write(Array(text.utf8)) }

    /// Writes the chunks one after the other, as one write.
    public nonisolated func write(contentsOf chunks: [[UInt8]]) {
        guard loop.isCurrent else { return write(Array(chunks.joined())) }
        assumeIsolated { transport in transport.gather { for chunk in chunks { transport.send(chunk) } } }
    }

    /// Says to the peer that nothing more will come, after what is buffered (half-close). Reading goes on. Calling it
    /// again does nothing.
    public nonisolated func writeEOF() { onLoop { $0.finishWriting() } }

    /// Whether ``writeEOF()`` is possible. It is on every ``ByteStream``.
    public nonisolated var canWriteEOF: Bool { true }

    /// How many bytes wait to be sent.
    public nonisolated var writeBufferSize: Int { waiting.count }

    /// The marks between which the protocol is asked to pause and to resume, and the limit.
    public nonisolated var writeBufferLimits: WriteBufferLimits { visible.withLock { $0.limits } }

    /// Moves the marks. As for ``WriteBufferLimits/init(high:low:hard:)``; without a hard limit it stays as it is.
    ///
    /// If that puts the buffer on the other side of a mark, the protocol is told at once. Throws ``IOError`` with
    /// `EINVAL` unless 0 ≤ low ≤ high ≤ hard.
    public nonisolated func setWriteBufferLimits(high: Int? = nil, low: Int? = nil, hard: Int? = nil) throws(IOError) {
        let limits = try WriteBufferLimits(high: high, low: low, hard: hard ?? writeBufferLimits.hard)
        visible.withLock { $0.limits = limits }
        onLoop { transport in
            transport.flow.limits = limits
            transport.tellFlow()
        }
    }

    // MARK: Reading

    /// Stops ``StreamProtocol/dataReceived(_:)`` until ``resumeReading()``, and with that the peer, once the kernel's
    /// buffers are full. One chunk that is under way is kept. Calling it again does nothing.
    ///
    /// The end of the peer's data waits as well, and so does the news that the connection broke off, unless a read was
    /// under way when reading was paused: it comes with the next write or read. Have the kernel look for a peer that is
    /// gone meanwhile, so that these fail at once: ``TCPOptions/keepAlive`` and ``TCPOptions/userTimeout``.
    public nonisolated func pauseReading() { onLoop { $0.stopReading() } }

    /// Goes on where ``pauseReading()`` stopped. Calling it again does nothing.
    public nonisolated func resumeReading() { onLoop { $0.goOnReading() } }

    /// Whether bytes are waited for: not paused, not closing, and not at the end of the peer's data.
    public nonisolated var isReading: Bool { visible.withLock { $0.isReading && !$0.isClosing } }

    // MARK: Ending

    /// Closes the connection: nothing more is received, what is buffered is sent, and then the protocol gets
    /// `connectionLost(nil)`. Calling it again does nothing.
    ///
    /// A peer that never reads keeps the transport for ever; ``abort()`` does not wait for it. What the peer has sent
    /// and nobody has read is lost, and TCP tells the peer by a reset (RFC 1122, 4.2.2.13), which may overtake our last
    /// bytes: where these matter, call ``writeEOF()`` and close when the peer has finished, too.
    public nonisolated func close() { onLoop { $0.closeByProgram(.orderly) } }

    /// Breaks the connection off: what is buffered is dropped, and the protocol gets `connectionLost(nil)` soon. See
    /// ``ByteStream/abort()``.
    public nonisolated func abort() { onLoop { $0.closeByProgram(.aborted) } }

    /// Whether the connection is closed, or about to be.
    public nonisolated var isClosing: Bool { visible.withLock { $0.isClosing } }

    // MARK: The protocol

    /// Who is called back; nil after `connectionLost`.
    public nonisolated var currentProtocol: (any StreamProtocol)? { visible.withLock { $0.listener } }

    /// Has another protocol called from now on, as for STARTTLS or an upgrade of HTTP.
    ///
    /// Neither is told by `connectionMade` or `connectionLost`; if writing is paused, the new one gets `pauseWriting`.
    /// From the loop's thread, the next callback is the new one's; a protocol that is switched from inside its
    /// `dataReceived` hands over what it has not used. Does nothing once the connection is lost. Throws ``IOError``
    /// with `EINVAL` for a protocol that lives on another loop.
    public nonisolated func setProtocol(_ listener: any StreamProtocol) throws(IOError) {
        try requireHome(of: listener, loop, "set protocol")
        visible.withLock { if $0.listener != nil { $0.listener = listener } }
        onLoop { $0.handOver(to: listener) }
    }

    /// Takes a step of one of the connection's tasks. They run on the loop's thread, but are not isolated: an isolated
    /// task is queued twice for everything that it waits for.
    nonisolated func here<Result: Sendable>(_ step: @Sendable (isolated Transport) -> Result) async -> Result {
        // Behind a stream that visits actors of other threads, a task may go on there.
        loop.isCurrent ? atOnce(step) : await inTurn(step)
    }

    private nonisolated func atOnce<Result: Sendable>(
        _ step: @Sendable (isolated Transport) -> Result
    ) -> Result { assumeIsolated(step) }

    private func inTurn<Result: Sendable>(_ step: @Sendable (isolated Transport) -> Result) -> Result { step(self) }

    private nonisolated func onLoop(_ body: @escaping @Sendable (isolated Transport) -> Void) {
        if loop.isCurrent { assumeIsolated(body) } else { loop.callSoon { self.assumeIsolated(body) } }
    }
}
