#if NIO
import AsyncIOKernel
public import AsyncIOLoop
public import NIOCore

/// An event loop of ours, as SwiftNIO's handlers, channels and futures see it: `loop.nio`.
///
/// What is executed here runs in a tick of the loop, on its thread, among its tasks; what is scheduled is a timer of
/// the loop, and passes in virtual time where the loop's does. A task on the loop that awaits a future of this loop
/// goes on without changing threads. There is one such object for a loop, as long as it is open.
///
/// The loop is not SwiftNIO's to shut down: asked for that, it answers `EventLoopError.unsupportedOperation`. What is
/// executed after the loop's end runs where the loop's tasks go on, so that no future is left open; what was scheduled
/// fails with `EventLoopError.shutdown`.
public final class NIOLoop: NIOCore.EventLoop, CustomStringConvertible {
    /// The loop that does the work.
    public let loop: AsyncIOLoop.EventLoop

    fileprivate init(_ loop: AsyncIOLoop.EventLoop) { self.loop = loop }

    /// `NIOLoop(main, epoll)`.
    public var description: String { "NIOLoop(\(loop.name), \(loop.driverName))" }

    /// Whether the caller runs on the loop's thread.
    public var inEventLoop: Bool { loop.isHome }

    /// The loop's time.
    public var now: NIODeadline { .uptimeNanoseconds(UInt64(clamping: loop.now.nanoseconds)) }

    /// The executor of actors that live on the loop: a future's task and its actor's code are then jobs as all others.
    public var executor: any SerialExecutor { loop.serialExecutor }

    /// Queues a job of an actor on the loop.
    public func enqueue(_ job: consuming ExecutorJob) { loop.serialExecutor.enqueue(job) }

    // MARK: Calls

    /// Has the loop run something with its next tick, also if the caller runs on the loop.
    public func execute(_ task: @escaping @Sendable () -> Void) { loop.callSoonOrElsewhere(task) }

    /// Has the loop run something at an instant of its clock.
    @discardableResult
    public func scheduleTask<T>(
        deadline: NIODeadline, _ task: @escaping @Sendable () throws -> T
    ) -> Scheduled<T> {
        schedule(at: Instant(nanoseconds: Int64(clamping: deadline.uptimeNanoseconds)), task)
    }

    /// Has the loop run something after a time, by its clock.
    @discardableResult
    public func scheduleTask<T>(
        in time: TimeAmount, _ task: @escaping @Sendable () throws -> T
    ) -> Scheduled<T> {
        schedule(at: loop.now.advanced(by: .nanoseconds(time.nanoseconds)), task)
    }

    /// Has the loop call a handler after a time, by its clock.
    @discardableResult
    public func scheduleCallback(
        in time: TimeAmount, handler: some (NIOScheduledCallbackHandler & Sendable)
    ) -> NIOScheduledCallback {
        let deadline = loop.now.advanced(by: .nanoseconds(time.nanoseconds))
        return _scheduleCallback(
            at: .uptimeNanoseconds(UInt64(clamping: deadline.nanoseconds)), handler: handler)
    }

    private func schedule<T>(at deadline: Instant, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        let promise = makePromise(of: T.self)
        let timer = ScheduledWork(promise, task)
        let call = loop.callAt(deadline) { timer.run() }
        return Scheduled(promise: promise) { call.cancel() }
    }

    // MARK: The group of one

    /// Does nothing, and says so with `EventLoopError.unsupportedOperation`: whoever has started the loop ends it.
    ///
    /// Takes whatever queue SwiftNIO means, so that nothing of Dispatch is needed here; the answer comes on the loop.
    public func shutdownGracefully(queue: some Any, _ callback: @escaping @Sendable ((any Error)?) -> Void) {
        execute { callback(NIOCore.EventLoopError.unsupportedOperation) }
    }
}

/// What a timer does, and what becomes of its promise if the loop ends first: whoever drops the call drops this.
private final class ScheduledWork<Success>: @unchecked Sendable {
    private let promise: EventLoopPromise<Success>
    private let task: @Sendable () throws -> Success
    /// The loop's thread's alone.
    private var hasRun = false

    init(_ promise: EventLoopPromise<Success>, _ task: @escaping @Sendable () throws -> Success) {
        self.promise = promise
        self.task = task
    }

    // A promise that is kept already ignores this.
    deinit { if !hasRun { promise.fail(NIOCore.EventLoopError.shutdown) } }

    func run() {
        hasRun = true
        promise.assumeIsolated().completeWith(Result { try task() })
    }
}

extension AsyncIOLoop.EventLoop {
    /// The loop as SwiftNIO sees it, for its handlers, futures and channels.
    public var nio: NIOLoop {
        let known = guise.withLock { guise in
            // Nothing else is ever put there.
            if let known = guise as? NIOLoop { return known }
            let face = NIOLoop(self)
            // A closed loop would never let go of it.
            if !isClosed { guise = face }
            return face
        }
        return known
    }
}
#endif
