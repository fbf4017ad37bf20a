#if NIO
package import NIOCore
import Synchronization

/// A `Channel` without input and output of its own: a pipeline of handlers, and what SwiftNIO promises them.
///
/// Whoever has bytes feeds them, as long as ``wantsRead`` says that the pipeline wants some, and takes what the
/// handlers have flushed: ``nextOutput()``, ``took(_:)``. Two shells do so: one over a ``ByteStream``, driven by a
/// loop, and parsers and encoders that are driven by their caller, on a ``ManualLoop``.
///
/// Events come in SwiftNIO's order. The channel is connected from the start: `bind` and `connect` are refused. What
/// belongs to `Channel` may be called from any thread; all the rest where the channel's loop is.
package final class SansIOChannel: NIOCore.Channel, ChannelCore, @unchecked Sendable {
    package let eventLoop: any NIOCore.EventLoop
    package let localAddress: NIOCore.SocketAddress?
    package let remoteAddress: NIOCore.SocketAddress?
    /// Made with the channel, which handlers find through it: it lets go of the channel at the end.
    package private(set) lazy var pipeline = ChannelPipeline(channel: self)
    package var allocator = ByteBufferAllocator()
    private let closePromise: EventLoopPromise<Void>
    private let isActiveNow = Atomic(false)
    let isWritableNow = Atomic(true)

    // MARK: State, the loop's

    var stage = Stage.fresh
    /// Called when there may be something to do: to read, to take, to close. Not called again while it runs.
    package var needsAttention: (() -> Void)?
    /// Whether the pipeline has asked for bytes that have not come yet.
    var isReadPending = false
    var isInputClosed = false
    var output = Output.open
    var writes = PendingWrites()
    package var readsByItself = true
    package var allowsHalfClosure = false
    /// Whether the channel was closed before all that was flushed had been taken.
    package private(set) var hasDroppedOutput = false
    /// Whether it was closed, and its handlers have been removed.
    package private(set) var hasEnded = false

    enum Stage { case fresh, registered, active, closed }

    /// How far our side of the connection is.
    enum Output {
        case open
        /// When all that is flushed has gone, the stream is to say that nothing more comes.
        case closing([EventLoopPromise<Void>])
        case closed
    }

    package init(
        on eventLoop: any NIOCore.EventLoop, local: NIOCore.SocketAddress? = nil, remote: NIOCore.SocketAddress? = nil
    ) {
        self.eventLoop = eventLoop
        localAddress = local
        remoteAddress = remote
        closePromise = eventLoop.makePromise()
        _ = pipeline
    }

    package var closeFuture: EventLoopFuture<Void> { closePromise.futureResult }
    package var parent: (any NIOCore.Channel)? { nil }
    package var isWritable: Bool { isWritableNow.load(ordering: .relaxed) }
    package var isActive: Bool { isActiveNow.load(ordering: .relaxed) }
    package var _channelCore: any ChannelCore { self }

    // MARK: For whoever drives it

    /// Whether it has not been closed.
    package var isOpen: Bool { stage != .closed }

    /// Whether the pipeline wants bytes: otherwise they wait where they are, and their sender with them.
    package var wantsRead: Bool { stage == .active && isReadPending && !isInputClosed }

    /// Whether the peer is to hear that nothing more comes, all that was flushed having gone. See ``outputHasEnded()``.
    package var wantsOutputEnd: Bool {
        guard isOpen, case .closing = output else { return false }
        return !writes.hasFlushed
    }

    /// Begins: the handlers hear that the channel is registered and active.
    package func activate() {
        guard stage == .fresh else { return }
        register0(promise: nil)
        guard stage == .registered else { return }
        stage = .active
        isActiveNow.store(true, ordering: .relaxed)
        pipeline.syncOperations.fireChannelActive()
        readIfWanted()
        // Writes of no bytes, which nobody will take, may have been flushed before.
        if writes.hasFlushed { notify() } else { keepPromises() }
    }

    /// Brings bytes that have come.
    package func feed(_ bytes: ByteBuffer) {
        guard stage == .active, !isInputClosed else { return }
        isReadPending = false
        pipeline.syncOperations.fireChannelRead(NIOAny(bytes))
        if stage == .active { pipeline.syncOperations.fireChannelReadComplete() }
        readIfWanted()
    }

    /// Brings the end of the peer's bytes.
    package func feedEnd() {
        guard stage == .active, !isInputClosed else { return }
        pipeline.syncOperations.fireChannelReadComplete()
        close0(error: ChannelError.eof, mode: allowsHalfClosure ? .input : .all, promise: nil)
        isReadPending = false
    }

    /// The stream has failed: the handlers hear why, and the channel is closed.
    package func fail(_ error: any Error) {
        guard isOpen else { return }
        if stage == .active { pipeline.syncOperations.fireErrorCaught(error) }
        close0(error: error, mode: .all, promise: nil)
    }

    /// The next bytes to be sent, if there are any: small writes as one, a large one in parts.
    package func nextOutput() -> ByteBuffer? { stage == .active ? writes.next() : nil }

    /// The stream has taken so many of them, from the front.
    package func took(_ count: Int) {
        guard isOpen else { return }
        let isWritableAgain = writes.take(count)
        keepPromises()
        if isWritableAgain { tellWritability() }
    }

    /// The peer has been told that nothing more comes.
    package func outputHasEnded() {
        guard isOpen, case .closing(let promises) = output else { return }
        output = .closed
        for promise in promises { promise.succeed() }
        pipeline.syncOperations.fireUserInboundEventTriggered(ChannelEvent.outputClosed)
        // Nothing can come and nothing can go.
        if isOpen, isInputClosed { closeAll(ChannelError.alreadyClosed, nil) }
    }

    // MARK: Steps

    func notify() { needsAttention?() }

    func readIfWanted() {
        if stage == .active, !isReadPending, readsByItself { pipeline.syncOperations.read() }
    }

    func keepPromises() { while let promise = writes.nextReceipt() { promise.succeed() } }

    /// The handlers hear that the channel has become writable, or is no longer.
    func tellWritability() {
        guard isOpen, isWritableNow.exchange(writes.isWritable, ordering: .relaxed) != writes.isWritable else { return }
        pipeline.syncOperations.fireChannelWritabilityChanged()
    }

    /// The end of everything. The state first, then the calls: handlers may come back from each of them.
    func closeAll(_ error: any Error, _ promise: EventLoopPromise<Void>?) {
        let before = stage
        stage = .closed
        isActiveNow.store(false, ordering: .relaxed)
        isWritableNow.store(false, ordering: .relaxed)
        hasDroppedOutput = writes.hasFlushed
        let dropped = writes.drop(.all)
        var ends: [EventLoopPromise<Void>] = []
        if case .closing(let promises) = output { ends = promises }
        output = .closed
        notify()
        for promise in dropped + ends { promise.fail(error) }
        promise?.succeed()
        if before == .active { pipeline.syncOperations.fireChannelInactive() }
        if before != .fresh { pipeline.syncOperations.fireChannelUnregistered() }
        // Later: handlers may be on the stack.
        eventLoop.execute { [self] in
            removeHandlers(pipeline: pipeline)
            hasEnded = true
            needsAttention = nil
            closePromise.succeed()
        }
    }
}
#endif
