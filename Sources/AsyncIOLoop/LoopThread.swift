import AsyncIOKernel
import CAsyncIO

/// A loop on a thread of its own.
///
/// Ends with ``shutdown()`` from a task or ``close()`` from synchronous code: cancels what runs on it, waits the grace
/// period, closes descriptors and joins the thread. A `LoopThread` that is let go without either closes itself.
public final class LoopThread: Sendable {
    /// The loop.
    public let loop: EventLoop
    private let state: Condition<State>
    private let thread: SystemThread

    private struct State {
        var hasStarted = false
        var isStopping = false
        var hasEnded = false
        var isJoined = false
        var isReleased = false
        var grace: Duration?
        var failure: EventLoopError?
        /// Tasks that wait for the end.
        var waiters: [Waiter] = []
    }

    /// Starts a thread and its loop, and returns when the loop runs.
    ///
    /// Throws ``IOError`` if the system refuses a descriptor or a thread.
    public convenience init(options: EventLoop.Options = EventLoop.Options(name: "loop", interrupts: [])) throws {
        try self.init(options: options, driver: nil)
    }

    /// Starts a loop on a driver that is no choice of the options: a simulated one.
    package init(options: EventLoop.Options, driver: (any Driver)?) throws {
        let loop = try EventLoop(options: options, driver: driver)
        let state = Condition(State())
        self.loop = loop
        self.state = state
        do {
            thread = try SystemThread.start(name: options.name) {
                let failure = loop.serve(
                    until: { state.withLock { $0.isStopping } },
                    started: {
                        state.withLock { $0.hasStarted = true }
                        state.broadcast()
                    },
                    grace: { state.withLock { $0.grace } })
                let waiters = state.withLock { state in
                    state.hasEnded = true
                    state.failure = failure
                    defer { state.waiters = [] }
                    return state.waiters
                }
                state.broadcast()
                for waiter in waiters { waiter.wake() }
            }
        } catch {
            loop.discard()
            throw error
        }
        _ = state.wait { $0.hasStarted ? true : nil }
    }

    deinit {
        if state.withLock({ !$0.isReleased && !$0.isJoined }) { close() }
    }

    /// Gives the loop away: it runs as long as the process.
    func release() -> EventLoop {
        state.withLock { $0.isReleased = true }
        thread.detach()
        return loop
    }

    /// Ends the loop and joins its thread; blocks the caller meanwhile. Calling it again does nothing.
    ///
    /// On the loop's own thread it only asks for the end: the loop ends after the current job.
    public func close() {
        askForEnd()
        guard !thread.isCurrent else {
            if claimJoin() { thread.detach() }
            return
        }
        _ = state.wait { $0.hasEnded ? true : nil }
        if claimJoin() { thread.join() }
    }

    private func askForEnd(grace: Duration? = nil) {
        let isFirst = state.withLock { state in
            defer { state.isStopping = true }
            if !state.isStopping { state.grace = grace }
            return !state.isStopping
        }
        if isFirst { loop.callSoon { [loop] in loop.core.wantsAttention = true } }
    }

    /// Who ignored his cancellation, once the loop has ended.
    package var failure: EventLoopError? { state.withLock { $0.failure } }

    /// True for the one caller who has to join or detach the thread.
    private func claimJoin() -> Bool {
        state.withLock { state in
            defer { state.isJoined = true }
            return !state.isJoined
        }
    }

    /// Ends the loop and joins its thread, without blocking the caller's.
    ///
    /// Cancelled tasks may take the grace period given here, or else that of the loop's options. Suspends until the
    /// end; not cancellable, since it is itself the clean-up. A task on the loop itself is part of what ends: there it
    /// only asks for the end, as ``close()``, and the task is cancelled soon.
    public func shutdown(grace: Duration? = nil) async {
        askForEnd(grace: grace)
        guard !loop.isCurrent else { return close() }
        await Waiter.suspend(for: Errand("loop's end")) { waiter in
            state.withLock { state in
                if !state.hasEnded { state.waiters.append(waiter) }
                return !state.hasEnded
            }
        }
        close()
    }
}
