import AsyncIO
public import AsyncIOKernel
public import AsyncIOLoop
import Synchronization

/// A datagram socket, seen by a ``DatagramProtocol``: the transport calls back what comes in, and buffers what the
/// kernel has no room for. asyncio's `DatagramTransport`.
///
/// Every method may be called from any thread, and none suspends. On the loop's thread it takes effect before it
/// returns; from elsewhere it is handed to the loop, where the calls of one thread take effect in their order. After
/// the loop's end they do nothing. The loop owns the socket: nobody has to keep the transport for it to go on.
public actor DatagramTransport: LoopActor, CustomStringConvertible, CustomReflectable {
    /// The loop that does the socket's work.
    public nonisolated let loop: EventLoop
    nonisolated let socket: any DatagramSocket

    /// What every thread may see.
    private nonisolated let visible: Locked<Visible>
    /// Bytes that wait: buffered here, or on their way from other threads.
    private nonisolated let waiting = WaitingBytes()

    private struct Visible {
        var isClosing = false
        var listener: (any DatagramProtocol)?
        var limits: WriteBufferLimits
        /// What was dropped since the protocol was told last. Unless it is nil, it will be told.
        var overflow: Overflow?
    }

    /// Datagrams that found too many others waiting. They cost this much, however many there are.
    private struct Overflow {
        var count = 0
        /// What the first one found, and where it should have gone.
        let waiting: Int
        let peer: SocketAddress?
    }

    // MARK: State, the loop's thread's

    private var listener: (any DatagramProtocol)?
    private var queue = DatagramQueue()
    private var flow: FlowControl
    private var ending = Ending.none
    /// How much of ``waiting`` is buffered here.
    private var counted = 0
    /// Whether a task is sending what is buffered.
    private var isSending = false
    private var hasReportedSend = false
    /// By ``close()`` or ``abort()``: whoever sends then should have known.
    private var isClosedByProgram = false

    private enum Ending {
        case none
        /// What is buffered is sent first.
        case flushing
        /// The socket is closed. The protocol will be told why.
        case over((any Error)?)
        /// The protocol has been told.
        case told
    }

    init(_ socket: any DatagramSocket, _ listener: any DatagramProtocol, limits: WriteBufferLimits) {
        loop = listener.loop
        self.socket = socket
        self.listener = listener
        flow = FlowControl(limits)
        visible = Locked(Visible(listener: listener, limits: limits))
    }

    /// `DatagramTransport(UDPSocket(127.0.0.1:7000))`.
    public nonisolated var description: String { "DatagramTransport(\(socket))" }

    /// Shows no more than the description: a look inside would read the loop's state on whatever thread.
    public nonisolated var customMirror: Mirror { Mirror(self, children: []) }

    /// Our own address, with the port that the kernel chose, if none was asked for.
    public nonisolated var local: SocketAddress { socket.local }

    /// The peer of a transport that was made with one; nil if it may send to anybody.
    public nonisolated var peer: SocketAddress? { socket.peer }

    // MARK: Sending

    /// Sends one datagram; without a peer, to the one that the transport was made with. Never waits: what the kernel
    /// has no room for now is buffered, and sent in order.
    ///
    /// What cannot be sent is told by ``DatagramProtocol/errorReceived(_:)``, soon: too long, no route, no peer. So is
    /// a datagram that finds more than the hard limit waiting: it is dropped, and of several that are dropped before
    /// the protocol has been told, it is told once, with their number. When the buffer grows above the
    /// high-water mark, the protocol gets ``DatagramProtocol/pauseWriting()`` before this returns. In the buffer each
    /// datagram counts for 64 bytes more than it has. After ``close()`` and ``abort()`` datagrams are dropped, and the
    /// first time that happens the loop's error handler gets an ``IOError``.
    public nonisolated func send(_ bytes: [UInt8], to peer: SocketAddress? = nil) {
        if loop.isCurrent { return assumeIsolated { $0.take(bytes, peer) } }
        let size = DatagramQueue.size(of: bytes)
        let limit = visible.withLock { $0.limits.hard }
        let (before, delivery) = waiting.send(size)
        if before > limit { return overflow(before, peer) }
        loop.callSoon {
            delivery.arrive()
            self.assumeIsolated { $0.take(bytes, peer) }
        }
    }

    /// Sends a text as UTF-8, in one datagram. As ``send(_:to:)-([UInt8],_)``.
    public nonisolated func send(_ text: String, to peer: SocketAddress? = nil) { send(Array(text.utf8), to: peer) }

    /// How much waits to be sent, with 64 bytes for each datagram beside its own.
    public nonisolated var writeBufferSize: Int { waiting.count }

    /// The marks between which the protocol is asked to pause and to resume, and the limit.
    public nonisolated var writeBufferLimits: WriteBufferLimits { visible.withLock { $0.limits } }

    /// Moves the marks. As ``Transport/setWriteBufferLimits(high:low:hard:)``.
    public nonisolated func setWriteBufferLimits(high: Int? = nil, low: Int? = nil, hard: Int? = nil) throws(IOError) {
        let limits = try WriteBufferLimits(high: high, low: low, hard: hard ?? writeBufferLimits.hard)
        visible.withLock { $0.limits = limits }
        onLoop { transport in
            transport.flow.limits = limits
            transport.noteQueue()
        }
    }

    // MARK: Ending

    /// Closes the socket: nothing more is received, what is buffered is sent, and then the protocol gets
    /// `connectionLost(nil)`. Calling it again does nothing.
    public nonisolated func close() { onLoop { $0.closeInOrder() } }

    /// Closes the socket at once; what is buffered is dropped. The protocol gets `connectionLost(nil)` soon.
    public nonisolated func abort() { onLoop { $0.breakOff() } }

    /// Whether the socket is closed, or about to be.
    public nonisolated var isClosing: Bool { visible.withLock { $0.isClosing } }

    /// Who is called back; nil after `connectionLost`.
    public nonisolated var currentProtocol: (any DatagramProtocol)? { visible.withLock { $0.listener } }

    /// Takes a step of one of the socket's tasks. As ``Transport/here(_:)``.
    private nonisolated func here<Result: Sendable>(
        _ step: @Sendable (isolated DatagramTransport) -> Result
    ) async -> Result {
        loop.isCurrent ? atOnce(step) : await inTurn(step)
    }

    private nonisolated func atOnce<Result: Sendable>(
        _ step: @Sendable (isolated DatagramTransport) -> Result
    ) -> Result { assumeIsolated(step) }

    private func inTurn<Result: Sendable>(
        _ step: @Sendable (isolated DatagramTransport) -> Result
    ) -> Result { step(self) }

    private nonisolated func onLoop(_ body: @escaping @Sendable (isolated DatagramTransport) -> Void) {
        if loop.isCurrent { assumeIsolated(body) } else { loop.callSoon { self.assumeIsolated(body) } }
    }
}

// MARK: - The socket's task

extension DatagramTransport {
    /// How many datagrams one system call may bring.
    private static let batch = 32

    /// Begins: the protocol hears of the transport. The socket's work goes on in a task that the loop owns.
    ///
    /// Throws ``EventLoopError/closed(_:)`` if the loop takes no task any more; the protocol has heard that, too.
    func begin() throws {
        if let failure = call({ [self] in try $0.connected(self) }) { end(failure) }
        let life = loop.spawn(name: description) { await self.live() }
        // Nil if the task has ended; it has not begun yet, so it never will.
        guard life.observe(.watches, { _ in }) == nil else { return }
        let failure = EventLoopError.closed(loop.name)
        end(failure)
        tellLost()
        throw failure
    }

    private nonisolated func live() async {
        while await here({ !$0.isOver }) {
            do {
                let datagrams = try await socket.receiveBatch(upTo: Self.batch, limit: socket.roomForOne)
                await here { $0.arrived(datagrams) }
            } catch {
                await here { $0.interrupted(error) }
            }
        }
        await here { $0.tellLost() }
    }

    private func arrived(_ datagrams: [Datagram]) {
        for datagram in datagrams where !isEnding {
            if datagram.isTruncated {
                call { try $0.heard(tooLong(datagram.info)) }
            } else {
                call { try $0.received(datagram.bytes, from: datagram.peer) }
            }
        }
    }

    /// A part of a datagram is none.
    private func tooLong(_ info: Datagram.Info) -> IOError {
        IOError(
            .messageTooLong, operation: "receive", subject: "\(info.peer)",
            detail: "dropped: a datagram of \(info.length) bytes, and there is room for \(socket.roomForOne); "
                + "send less at once, or receive with a UnixDatagramSocket")
    }

    private func interrupted(_ error: any Error) {
        switch error {
        case let error as IOError where error.code.isNews:
            if !isEnding { call { try $0.heard(error) } }
        case is CancellationError, EventLoopError.closed: end(queue.isEmpty ? nil : CancellationError())
        default: end(error)
        }
    }

    // MARK: Sending

    private func take(_ bytes: [UInt8], _ peer: SocketAddress?) {
        guard !isEnding else { return reportLateSend() }
        if flow.isExceeded(by: queue.size) { return overflow(queue.size, peer) }
        do {
            if queue.isEmpty && !isSending, try unsafe socket.trySend(bytes.span.bytes, to: peer) { return }
            queue.append(bytes, to: peer)
        } catch {
            tell(error)
        }
        if !queue.isEmpty && !isSending { startSending() }
        noteQueue()
    }

    private func startSending() {
        isSending = true
        let sender = loop.spawn(name: "sender of \(self)") { await self.sendQueue() }
        // Nil if the task has ended; it has not begun yet, so the loop is ending and takes none.
        guard sender.observe(.watches, { _ in }) == nil else { return }
        isSending = false
        end(CancellationError())
    }

    /// The task that waits for the kernel.
    private nonisolated func sendQueue() async {
        while let next = await here({ $0.nextEntry() }) {
            do {
                if let peer = next.peer {
                    unsafe try await socket.send(next.bytes.span.bytes, to: peer)
                } else {
                    unsafe try await socket.send(next.bytes.span.bytes)
                }
                await here { $0.sent(nil) }
            } catch {
                await here { $0.sent(error) }
            }
        }
    }

    /// Nil when all has been sent: the task ends.
    private func nextEntry() -> DatagramQueue.Entry? {
        if !isOver && isSending, let next = queue.first { return next }
        isSending = false
        closeIfFlushed()
        return nil
    }

    private func sent(_ error: (any Error)?) {
        if isOver { return }
        if error is CancellationError {
            // The loop ends. The task that receives knows as well, and what to do.
            isSending = false
            return
        }
        if let error { tell(error) }
        queue.removeFirst()
        noteQueue()
    }

    /// Soon, and not from inside a send: an answer to it would be sent, and fail, inside the same.
    private func tell(_ error: any Error) {
        guard let error = error as? IOError else { return end(error) }
        loop.callSoon {
            self.assumeIsolated { transport in
                if !transport.isEnding { transport.call { try $0.heard(error) } }
            }
        }
    }

    /// A datagram is dropped. The protocol is told soon, of this one and all that are dropped until then.
    private nonisolated func overflow(_ size: Int, _ peer: SocketAddress?) {
        let isFirst = visible.withLock { visible in
            let isFirst = visible.overflow == nil
            visible.overflow = visible.overflow ?? Overflow(waiting: size, peer: peer)
            visible.overflow?.count += 1
            return isFirst
        }
        if isFirst { loop.callSoon { self.assumeIsolated { $0.tellOverflow() } } }
    }

    private func tellOverflow() {
        guard let overflow = visible.withLock({ $0.overflow.take() }), !isEnding else { return }
        let error = IOError(
            .noBufferSpace, operation: "send", subject: (overflow.peer ?? peer).map { "\($0)" } ?? description,
            detail: "dropped \(overflow.count == 1 ? "a datagram" : "\(overflow.count) datagrams"): "
                + "\(overflow.waiting) bytes wait already, more than the hard limit of \(flow.limits.hard)")
        call { try $0.heard(error) }
    }

    private func reportLateSend() {
        guard isClosedByProgram, !hasReportedSend else { return }
        hasReportedSend = true
        let failure = IOError(
            .badFileDescriptor, operation: "send", subject: description,
            detail: "closed already; look at isClosing before sending")
        loop.report(failure, context: description)
    }

    private func noteQueue() {
        countQueue()
        guard !isOver else { return }
        switch flow.step(buffered: queue.size) {
        case .pause: call { try $0.paused() }
        case .resume: call { try $0.resumed() }
        case nil: break
        }
    }

    private func countQueue() {
        waiting.add(queue.size - counted)
        counted = queue.size
    }

    // MARK: Ending

    private var isOver: Bool {
        switch ending {
        case .none, .flushing: false
        case .over, .told: true
        }
    }

    private var isEnding: Bool {
        if case .none = ending { return false }
        return true
    }

    private func closeInOrder() {
        guard !isEnding else { return }
        isClosedByProgram = true
        ending = .flushing
        visible.withLock { $0.isClosing = true }
        closeIfFlushed()
    }

    private func breakOff() {
        if !isEnding { isClosedByProgram = true }
        end(nil)
    }

    private func closeIfFlushed() {
        guard case .flushing = ending, queue.isEmpty, !isSending else { return }
        end(nil)
    }

    private func end(_ error: (any Error)?) {
        guard !isOver else { return }
        ending = .over(error)
        visible.withLock { $0.isClosing = true }
        queue.removeAll()
        countQueue()
        socket.close()
    }

    private func tellLost() {
        guard case .over(let error) = ending else { return }
        call { try $0.lost(error) }
        ending = .told
        listener = nil
        visible.withLock { $0.listener = nil }
    }

    /// Calls the protocol. What it throws is reported, and returned.
    @discardableResult
    private func call(_ body: (any DatagramProtocol) throws -> Void) -> (any Error)? {
        guard let listener else { return nil }
        do {
            try body(listener)
            return nil
        } catch {
            loop.report(error, context: description)
            return error
        }
    }
}
