import AsyncIOKernel
import CAsyncIO

extension EventLoop {
    /// Runs an asynchronous body on a new loop on the calling thread, and returns its value or throws its error.
    ///
    /// ```swift
    /// @main struct Program {
    ///     static func main() throws {
    ///         try EventLoop.run {
    ///             print("hello")
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// Blocks the thread until the body has ended. Then everything that is left is ended in good order: background
    /// tasks and plain tasks are cancelled and may take ``Options/grace``; who is still running after that is named to
    /// the error handler; descriptors and threads are closed. The first Ctrl-C cancels the body, a second one ends the
    /// process at once.
    ///
    /// On the main thread with ``Mode/takeover`` (the default), plain `Task {}`, actors and `@MainActor` code run on
    /// the loop as well. Throws ``EventLoopError/alreadyRunning`` where a loop runs already,
    /// ``EventLoopError/interrupted(signal:)`` if a signal cancelled the body, and ``IOError`` if the system refuses a
    /// descriptor.
    public static func run<Success: Sendable>(
        options: Options = Options(), _ body: sending @escaping () async throws -> Success
    ) throws -> Success {
        let runner = try Runner(options: options)
        defer { runner.close() }
        do {
            return try runner.run(body)
        } catch EventLoopError.interrupted(let signal) where options.interruptEnding == .process && SystemThread.isMain
        {
            runner.close()
            InterruptWatch.endProcess(signal)
        }
    }

    /// A loop that runs several bodies one after the other, all on the thread that made it.
    ///
    /// What a body leaves behind (background tasks, timers, connections) goes on in the next ``run(_:)``.
    public final class Runner {
        /// The loop, for ``EventLoop/submit(name:file:line:_:)`` from other threads.
        public let loop: EventLoop
        private var isClosed = false

        /// Makes a loop. Throws ``IOError`` if the system refuses a descriptor.
        public convenience init(options: Options = Options()) throws {
            try self.init(options: options, driver: nil)
        }

        /// Makes a loop on a driver that is no choice of the options: a simulated one.
        package init(options: Options, driver: (any Driver)?) throws {
            MainProgram.giveWay()
            guard !EventLoop.runsHere else { throw EventLoopError.alreadyRunning }
            loop = try EventLoop(options: options, driver: driver)
        }

        deinit { close() }

        /// Runs a body until it ends. See ``EventLoop/run(options:_:)``; nothing is cancelled at the end.
        public func run<Success: Sendable>(_ body: sending @escaping () async throws -> Success) throws -> Success {
            guard !isClosed else { throw EventLoopError.closed(loop.name) }
            guard !EventLoop.runsHere else { throw EventLoopError.alreadyRunning }
            return try loop.runBody(body)
        }

        /// Cancels what is left, waits the grace period, closes descriptors and threads. Calling it again does nothing.
        public func close() {
            guard !isClosed else { return }
            isClosed = true
            // Letting go of a runner while another loop runs here must not make that one forget its thread.
            let outer = EventLoop.runsHere ? EventLoop.current : nil
            loop.enter()
            loop.end()
            loop.leave()
            loop.retire()
            outer?.enter()
        }
    }

    private func runBody<Success: Sendable>(_ body: sending @escaping () async throws -> Success) throws -> Success {
        enter()
        defer { leave() }
        // Before the body's task, which would run otherwise without anybody to await it.
        let signals = try InterruptWatch(options.interrupts, on: core)
        defer { signals.close(on: core) }
        let outcome = BodyOutcome<Success>()
        let work = Work(body)
        let task = makeTask(name: name) { @Sendable in
            do { outcome.result = .success(try await work.run()) } catch { outcome.result = .failure(error) }
            self.bodyHasEnded()
        }
        let received = turnUntilBodyEnds(signals) { task.cancel() }
        guard let result = outcome.result else { throw EventLoopError.closed(name) }
        if let received, case .failure(let error) = result, error is CancellationError {
            throw EventLoopError.interrupted(signal: received)
        }
        return try result.get()
    }

    /// The body's last words, from whatever thread they come.
    private func bodyHasEnded() {
        guard isCurrent else {
            callSoon { self.bodyHasEnded() }
            return
        }
        core.bodyHasEnded = true
        core.wantsAttention = true
    }

    /// One turn, of this loop or of whatever one its simulation turns next.
    func turnOrLetTurn() {
        if let simulator = core.simulator { simulator.step() } else { core.tick() }
    }

    /// The life of a loop. Returns the signal that interrupted it, if one did.
    private func turnUntilBodyEnds(_ signals: InterruptWatch, interrupt: () -> Void) -> CInt? {
        var received: CInt?
        core.bodyHasEnded = false
        while !core.bodyHasEnded {
            turnOrLetTurn()
            if received == nil, let signal = signals.received {
                received = signal
                interrupt()
                core.hasBeenBusy()
            }
        }
        return received
    }

    /// Whether a loop runs on the calling thread.
    private static var runsHere: Bool { unsafe casyncio_current_loop() != nil }

    /// Starts a task on this loop: as the process's default executor's where that is this loop, which is the fastest
    /// way, else by preference.
    func makeTask(name: String?, _ body: sending @escaping @isolated(any) () async -> Void) -> Task<Void, Never> {
        if isDefaultExecutor {
            Task.detached(name: name, operation: body)
        } else {
            Task.detached(name: name, executorPreference: self, operation: body)
        }
    }

    /// Whether plain `Task {}` runs on this loop.
    ///
    /// Of simulated loops several are: what has to stay on one of them prefers it.
    package var isDefaultExecutor: Bool { ownsDefaultExecutor && core.simulator == nil }

    /// Starts a task on this loop that inherits the caller's priority and task locals.
    package func startTask(
        named name: String, _ body: sending @escaping @isolated(any) () async -> Void
    ) -> Task<Void, Never> {
        isDefaultExecutor
            ? Task(name: name, operation: body) : Task(name: name, executorPreference: self, operation: body)
    }

    /// Tells the error handler of an error that nobody awaits.
    package func report(_ error: any Error, context: String, place: String = "") {
        options.errorHandler.handle(UnhandledError(error, context: context, place: place))
    }

    /// The thread belongs to the loop from here on.
    func enter() {
        unsafe casyncio_set_current_loop(Unmanaged.passUnretained(self).toOpaque())
        casyncio_set_share(Int64(core.fairness.operationsPerJob))
        core.hasBeenBusy()
        Self.observer?.loopRuns(self)
        guard options.mode == .takeover, SystemThread.isMain, Takeover.install() else { return }
        ownsDefaultExecutor = true
        unsafe casyncio_set_default_core(Unmanaged.passUnretained(core).toOpaque())
        MainLoop.enter(self)
    }

    /// The thread is free again. What the default executor gets meanwhile waits for the next run.
    func leave() {
        casyncio_set_default_core(nil)
        casyncio_set_current_loop(nil)
        casyncio_set_share(.max)
        Self.observer?.loopRests(self)
    }

    /// The loop is closed: the default executor leads elsewhere.
    func retire() {
        guard ownsDefaultExecutor else { return }
        MainLoop.leave(self)
        ownsDefaultExecutor = false
    }

    /// Runs the loop on this thread until the condition holds, then ends it: the life of a ``LoopThread``. Returns who
    /// would not stop.
    func serve(until isDone: () -> Bool, started: () -> Void, grace: () -> Duration?) -> EventLoopError? {
        enter()
        started()
        while !isDone() { core.tick() }
        let failure = end(grace: grace())
        leave()
        retire()
        return failure
    }
}

/// Carries a body that may capture anything into the one task that runs it.
final class Work<Success: Sendable>: @unchecked Sendable {
    private let body: () async throws -> Success
    init(_ body: sending @escaping () async throws -> Success) { self.body = body }
    func run() async throws -> Success { try await body() }
}

/// Where a body's result waits for the thread that runs the loop. Written and read on that thread.
private final class BodyOutcome<Success: Sendable>: @unchecked Sendable {
    var result: Result<Success, any Error>?
}
