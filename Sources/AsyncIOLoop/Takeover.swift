// Everything that the package asks of Swift's runtime beyond its stable public interface stands in this file.
//
// Seen on Swift 6.3: `_createExecutors(factory:)` sets two statics, the main executor and the default executor. Called
// before the first task, with no compiler flags, it puts everything on ours: `Task {}`, detached tasks, groups, default
// actors, the main actor, and Task.sleep, which asks the executor for a timer. The executors keep no list of their own:
// they pass each job on to the loop that runs on the main thread; see MainLoop.swift.

// The interface is the standard library's own, and still experimental. This file has been tried with Swift 6.3; built
// with another one, or with ASYNCIO_EXECUTOR=guest in the environment, it does not take over: the loop says so, once,
// and runs as a guest. Everything but plain `Task {}`, the main actor and `Task.sleep`'s timers is the same then.

import AsyncIOKernel
import CAsyncIO
import Glibc

#if compiler(>=6.3) && compiler(<6.4)
@_spi(ExperimentalCustomExecutors) @_spi(ExperimentalScheduling) import _Concurrency
#endif

/// The process's executors, once a loop has taken over.
enum Takeover {
    private enum State { case untried, installed, refused, visiting }
    private static let state = Locked(State.untried)

    /// Makes loops of the main thread Swift's executors, for the rest of the process's life. False, with one line on
    /// standard error, where that cannot be done.
    static func install() -> Bool {
        state.withLock { state in
            if state == .untried || state == .visiting {
                let refusal = refusal()
                // A refusal leaves simulations what they have.
                if refusal == nil { state = .installed } else if state == .untried { state = .refused }
                if let refusal {
                    Notices.say("\(refusal); plain Task {} stays on Swift's own threads")
                }
            }
            return state == .installed
        }
    }

    /// Lets plain tasks that code of a simulated loop starts run on that loop; those of other code stay where they are.
    /// For the rest of the process's life. False where that cannot be done.
    static func installForSimulations() -> Bool {
        #if compiler(>=6.3) && compiler(<6.4)
        state.withLock { state in
            if state == .untried || state == .refused {
                // Exchanged under running tasks, since the new executors pass what is not ours to the old ones.
                _createExecutors(factory: VisitorFactory.self)
                state = .visiting
            }
            return true
        }
        #else
        false
        #endif
    }

    /// Takes over, or says why not.
    private static func refusal() -> String? {
        if unsafe getenv("ASYNCIO_EXECUTOR").map({ unsafe String(cString: $0) }) == "guest" {
            return "the loop runs as a guest, as ASYNCIO_EXECUTOR asks"
        }
        // Executors cannot be exchanged under a task that is running on the old ones.
        if unsafe withUnsafeCurrentTask(body: { unsafe $0 != nil }) {
            return "EventLoop.run was called by a task, so the loop runs as a guest; call it from a synchronous main"
        }
        #if compiler(>=6.3) && compiler(<6.4)
        _createExecutors(factory: Factory.self)
        return nil
        #else
        return "this package has not been tried with this version of Swift, so the loop runs as a guest"
        #endif
    }
}

#if compiler(>=6.3) && compiler(<6.4)

extension Takeover {
    fileprivate struct Factory: ExecutorFactory {
        static var mainExecutor: any MainExecutor { MainRouter.shared }
        static var defaultExecutor: any TaskExecutor { DefaultRouter.shared }
    }

    /// What main actor jobs are run on.
    static var mainSerialExecutor: UnownedSerialExecutor { unsafe MainRouter.shared.asUnownedSerialExecutor() }

    /// What main actor jobs of a simulation are run on.
    static var visitingMainExecutor: UnownedSerialExecutor {
        unsafe isInstalled ? mainSerialExecutor : VisitorMain.shared.asUnownedSerialExecutor()
    }

    private static var isInstalled: Bool { state.withLock { $0 == .installed } }
}

/// Swift's default executor after takeover.
private final class DefaultRouter: TaskExecutor, SchedulingExecutor {
    static let shared = DefaultRouter()

    func enqueue(_ job: UnownedJob) { MainLoop.enqueueDefault(ReadyWord(job, .generic)) }
    func enqueue(_ job: consuming ExecutorJob) { MainLoop.enqueueDefault(ReadyWord(UnownedJob(job), .generic)) }

    func enqueue<C: Clock>(
        _ job: consuming ExecutorJob, after delay: C.Duration, tolerance: C.Duration?, clock: C
    ) {
        let word = ReadyWord(UnownedJob(job), .generic)
        EventLoop.taskWaits(at: Errand.sleep)
        MainLoop.defaultLoop.arm(word, after: duration(delay, of: clock))
    }

    func enqueue<C: Clock>(
        _ job: consuming ExecutorJob, at instant: C.Instant, tolerance: C.Duration?, clock: C
    ) {
        enqueue(job, after: delay(until: instant, of: clock), tolerance: tolerance, clock: clock)
    }
}

/// The executors of a process in which simulations run, and nothing else is taken over.
extension Takeover {
    fileprivate struct VisitorFactory: ExecutorFactory {
        static var mainExecutor: any MainExecutor { VisitorMain.shared }
        static var defaultExecutor: any TaskExecutor { VisitorDefault.shared }
    }
}

/// Passes the jobs of simulated loops' code to those, and all others to the platform's default executor.
private final class VisitorDefault: TaskExecutor, SchedulingExecutor {
    static let shared = VisitorDefault()
    private let platform = PlatformExecutorFactory.defaultExecutor
    private let scheduler = PlatformExecutorFactory.defaultExecutor as? any SchedulingExecutor

    func enqueue(_ job: UnownedJob) {
        if let core = unsafe casyncio_default_core() {
            unsafe Unmanaged<LoopCore>.fromOpaque(core)._withUnsafeGuaranteedRef {
                $0.enqueueAtHome(ReadyWord(job, .generic))
            }
        } else {
            platform.enqueue(ExecutorJob(job))
        }
    }

    func enqueue(_ job: consuming ExecutorJob) { enqueue(UnownedJob(job)) }

    func enqueue<C: Clock>(
        _ job: consuming ExecutorJob, after delay: C.Duration, tolerance: C.Duration?, clock: C
    ) {
        if let loop = EventLoop.current, loop.ownsDefaultExecutor {
            loop.arm(ReadyWord(UnownedJob(job), .generic), after: duration(delay, of: clock))
        } else {
            guard let scheduler else { mistake("Swift's own default executor has no timers on this system") }
            scheduler.enqueue(job, after: delay, tolerance: tolerance, clock: clock)
        }
    }

    func enqueue<C: Clock>(
        _ job: consuming ExecutorJob, at instant: C.Instant, tolerance: C.Duration?, clock: C
    ) {
        enqueue(job, after: delay(until: instant, of: clock), tolerance: tolerance, clock: clock)
    }
}

/// The same for the main actor: in a simulation, it lives on the loop whose task calls it.
private final class VisitorMain: MainExecutor {
    static let shared = VisitorMain()
    private let platform = PlatformExecutorFactory.mainExecutor

    func enqueue(_ job: UnownedJob) {
        if let core = unsafe casyncio_default_core() {
            unsafe Unmanaged<LoopCore>.fromOpaque(core)._withUnsafeGuaranteedRef {
                $0.enqueueAtHome(ReadyWord(job, .visiting))
            }
        } else {
            platform.enqueue(ExecutorJob(job))
        }
    }

    func enqueue(_ job: consuming ExecutorJob) { enqueue(UnownedJob(job)) }

    private var isInSimulation: Bool { unsafe casyncio_default_core() != nil }

    func isIsolatingCurrentContext() -> Bool? {
        isInSimulation ? true : platform.isIsolatingCurrentContext()
    }

    func checkIsolated() { if !isInSimulation { platform.checkIsolated() } }

    func run() throws { try platform.run() }
    func stop() { platform.stop() }
}

/// Swift's main executor after takeover.
private final class MainRouter: MainExecutor {
    static let shared = MainRouter()

    func enqueue(_ job: UnownedJob) {
        // In a simulation, the main actor lives on the loop whose task calls it.
        if let loop = EventLoop.current, loop.isSimulated {
            return loop.core.enqueueAtHome(ReadyWord(job, .visiting))
        }
        MainLoop.enqueueMain(ReadyWord(job, .main))
    }

    func enqueue(_ job: consuming ExecutorJob) { enqueue(UnownedJob(job)) }

    private var isHome: Bool { SystemThread.isMain || EventLoop.simulator != nil }
    func isIsolatingCurrentContext() -> Bool? { isHome }
    func checkIsolated() { precondition(isHome, "this code must run on the main thread") }

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
        enqueue(job, after: delay(until: instant, of: clock), tolerance: tolerance, clock: clock)
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
        enqueue(job, after: delay(until: instant, of: clock), tolerance: tolerance, clock: clock)
    }
}

/// How long it is until an instant. In a simulation, whose clock stands still while the real one goes on, what the
/// task is likely to have asked for.
private func delay<C: Clock>(until instant: C.Instant, of clock: C) -> C.Duration {
    let delay = clock.now.duration(to: instant)
    guard let loop = EventLoop.current, loop.isSimulated, C.Duration.self == Duration.self else { return delay }
    let likely = loop.likelySleep(duration(delay, of: clock))
    return unsafe unsafeBitCast(likely, to: C.Duration.self)
}

/// A clock's duration in the loop's terms. The runtime asks executors for its own two clocks only; other clocks
/// bring a `sleep` of their own.
private func duration<C: Clock>(_ delay: C.Duration, of clock: C) -> Duration {
    precondition(C.Duration.self == Duration.self, "\(C.self) must implement sleep: its durations are not Duration")
    return unsafe unsafeBitCast(delay, to: Duration.self)
}

#else

extension Takeover {
    /// Nothing is queued for it where nothing was taken over.
    static var mainSerialExecutor: UnownedSerialExecutor { unsafe .generic }
    static var visitingMainExecutor: UnownedSerialExecutor { unsafe .generic }
}

#endif
