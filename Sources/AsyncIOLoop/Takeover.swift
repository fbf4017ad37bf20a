// Everything that the package asks of Swift's runtime beyond its stable public interface stands in this file.
//
// Seen on Swift 6.3: `_createExecutors(factory:)` sets two statics, the main executor and the default executor. Called
// before the first task, with no compiler flags, it puts everything on ours: `Task {}`, detached tasks, groups, default
// actors, the main actor, and Task.sleep, which asks the executor for a timer. The default executor keeps no list of
// its own: it passes each job on to the loop that runs on the main thread. While none runs, jobs of the default
// executor go to a thread that is started for them, and jobs of the main actor wait for the next run.

import AsyncIOKernel
import CAsyncIO
import Synchronization
@_spi(ExperimentalCustomExecutors) @_spi(ExperimentalScheduling) import _Concurrency

#if compiler(>=6.4)
    #error("Takeover.swift has been tried with Swift 6.3: check each use of the runtime's interface, then raise this.")
#endif

/// The process's executors, once a loop has taken over.
enum Takeover {
    private static let isInstalled = Mutex(false)

    /// Makes loops of the main thread Swift's executors, for the rest of the process's life.
    static func install() {
        let isFirst = isInstalled.withLock { installed in
            defer { installed = true }
            return !installed
        }
        if isFirst { _createExecutors(factory: Factory.self) }
    }

    private struct Factory: ExecutorFactory {
        static var mainExecutor: any MainExecutor { MainRouter.shared }
        static var defaultExecutor: any TaskExecutor { DefaultRouter.shared }
    }

    /// What main actor jobs are run on.
    static var mainSerialExecutor: UnownedSerialExecutor { unsafe MainRouter.shared.asUnownedSerialExecutor() }

    // MARK: The loop on the main thread

    private struct Main {
        var loop: EventLoop?
        /// Jobs of the main actor that came while no loop ran.
        var waiting: [ReadyWord] = []
    }

    private static let main = Mutex(Main())

    /// The loop takes the jobs from now on.
    static func enter(_ loop: EventLoop) {
        let waiting = main.withLock { main in
            main.loop = loop
            defer { main.waiting = [] }
            return main.waiting
        }
        for word in waiting { loop.enqueue(word) }
    }

    /// The loop takes no more jobs.
    static func leave() {
        main.withLock { $0.loop = nil }
    }

    /// The loop that runs jobs of the default executor now.
    fileprivate static var defaultLoop: EventLoop {
        // The usual case: a task of the main loop asks for its own loop.
        if let loop = EventLoop.current, loop.ownsDefaultExecutor { return loop }
        return main.withLock { $0.loop } ?? Afterlife.loop
    }

    fileprivate static func enqueueMain(_ word: ReadyWord) {
        let loop = main.withLock { main in
            if main.loop == nil { main.waiting.append(word) }
            return main.loop
        }
        loop?.enqueue(word)
    }

    @inline(__always)
    fileprivate static func enqueueDefault(_ word: ReadyWord) {
        // The usual case, without touching a reference count: a task of the main loop queues a task of the main loop.
        if let core = unsafe casyncio_default_core() {
            return unsafe Unmanaged<LoopCore>.fromOpaque(core)._withUnsafeGuaranteedRef { $0.enqueue(word) }
        }
        defaultLoop.enqueue(word)
    }
}

/// Swift's default executor after takeover.
private final class DefaultRouter: TaskExecutor, SchedulingExecutor {
    static let shared = DefaultRouter()

    func enqueue(_ job: UnownedJob) { Takeover.enqueueDefault(ReadyWord(job, .generic)) }
    func enqueue(_ job: consuming ExecutorJob) { Takeover.enqueueDefault(ReadyWord(UnownedJob(job), .generic)) }

    func enqueue<C: Clock>(
        _ job: consuming ExecutorJob, after delay: C.Duration, tolerance: C.Duration?, clock: C
    ) {
        let word = ReadyWord(UnownedJob(job), .generic)
        Takeover.defaultLoop.arm(word, after: duration(delay, of: clock))
    }

    func enqueue<C: Clock>(
        _ job: consuming ExecutorJob, at instant: C.Instant, tolerance: C.Duration?, clock: C
    ) {
        enqueue(job, after: clock.now.duration(to: instant), tolerance: tolerance, clock: clock)
    }
}

/// Swift's main executor after takeover.
private final class MainRouter: MainExecutor {
    static let shared = MainRouter()

    func enqueue(_ job: UnownedJob) { Takeover.enqueueMain(ReadyWord(job, .main)) }
    func enqueue(_ job: consuming ExecutorJob) { Takeover.enqueueMain(ReadyWord(UnownedJob(job), .main)) }

    func isIsolatingCurrentContext() -> Bool? { SystemThread.isMain }
    func checkIsolated() { precondition(SystemThread.isMain, "this code must run on the main thread") }

    /// What an asynchronous `main` ends in: runs until the process exits.
    func run() throws { try MainProgram.run() }
    func stop() {}
}

@_spi(ExperimentalScheduling) extension EventLoop: SchedulingExecutor {
    /// Queues a job later: how `Task.sleep` waits on a loop.
    @_spi(ExperimentalScheduling)
    public func enqueue<C: Clock>(
        _ job: consuming ExecutorJob, after delay: C.Duration, tolerance: C.Duration?, clock: C
    ) {
        arm(ReadyWord(UnownedJob(job), .preferred), after: duration(delay, of: clock))
    }

    /// Queues a job later: how `Task.sleep` waits on a loop.
    @_spi(ExperimentalScheduling)
    public func enqueue<C: Clock>(
        _ job: consuming ExecutorJob, at instant: C.Instant, tolerance: C.Duration?, clock: C
    ) {
        enqueue(job, after: clock.now.duration(to: instant), tolerance: tolerance, clock: clock)
    }
}

extension SerialFacet: SchedulingExecutor {
    func enqueue<C: Clock>(
        _ job: consuming ExecutorJob, after delay: C.Duration, tolerance: C.Duration?, clock: C
    ) {
        unsafe loop?.arm(ReadyWord(UnownedJob(job), .isolated), after: duration(delay, of: clock))
    }

    func enqueue<C: Clock>(
        _ job: consuming ExecutorJob, at instant: C.Instant, tolerance: C.Duration?, clock: C
    ) {
        enqueue(job, after: clock.now.duration(to: instant), tolerance: tolerance, clock: clock)
    }
}

/// A clock's duration in the loop's terms. The runtime asks executors for its own two clocks only; other clocks bring a
/// `sleep` of their own.
private func duration<C: Clock>(_ delay: C.Duration, of clock: C) -> Duration {
    precondition(C.Duration.self == Duration.self, "\(C.self) must implement sleep: its durations are not Duration")
    return unsafe unsafeBitCast(delay, to: Duration.self)
}
