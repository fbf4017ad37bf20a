import AsyncIOKernel
import CAsyncIO

/// The loop on the main thread, to which Swift's executors lead after a takeover.
///
/// While none runs, jobs of the main actor wait for the next run, and jobs of the default executor go to ``Afterlife``:
/// a task that outlives its loop hangs nobody. A program that took over at load, because it links `AsyncIOMain`, queues
/// the task of its `main` before the runtime asks for the loop; so there the jobs wait for that. If nobody asks within
/// a quarter of a second, then this is no such program but, say, a test runner whose main thread blocks elsewhere, and
/// they go to ``Afterlife`` as well.
enum MainLoop {
    private struct State {
        var loop: EventLoop?
        /// Jobs of the main actor that came while no loop ran.
        var mainJobs: [ReadyWord] = []
        /// Jobs of the default executor that came before `main`.
        var earlyJobs: [ReadyWord] = []
        var phase = Phase.usual
    }

    private enum Phase { case usual, beforeMain, beforeMainWatched }

    private static let state = Condition(State())
    private static let patience = Duration.milliseconds(250)

    /// The program has taken over at load: a loop will be asked for.
    static func expectMain() {
        state.withLock { $0.phase = .beforeMain }
    }

    /// The loop takes the jobs from now on.
    static func enter(_ loop: EventLoop) {
        let waiting = state.withLock { state in
            state.loop = loop
            state.phase = .usual
            defer {
                state.mainJobs = []
                state.earlyJobs = []
            }
            return state.earlyJobs + state.mainJobs
        }
        state.broadcast()
        for word in waiting { loop.enqueue(word) }
    }

    /// The loop takes no more jobs.
    static func leave(_ loop: EventLoop) {
        state.withLock { state in
            if state.loop === loop { state.loop = nil }
        }
    }

    /// The loop that runs jobs of the default executor now.
    static var defaultLoop: EventLoop {
        // The usual case: a task of the main loop asks for its own loop.
        if let loop = EventLoop.current, loop.ownsDefaultExecutor { return loop }
        return state.withLock { $0.loop } ?? Afterlife.loop
    }

    static func enqueueMain(_ word: ReadyWord) {
        let loop = state.withLock { state in
            if state.loop == nil { state.mainJobs.append(word) }
            return state.loop
        }
        loop?.enqueue(word)
    }

    /// The loop that still takes jobs.
    static var openLoop: EventLoop? { state.withLock { $0.loop }.flatMap { $0.isClosed ? nil : $0 } }

    /// Takes back a job of the main actor from a loop that has closed.
    static func postpone(_ word: ReadyWord) {
        let loop: EventLoop? = state.withLock { state in
            if let loop = state.loop, !loop.isClosed { return loop }
            state.mainJobs.append(word)
            return nil
        }
        loop?.enqueue(word)
    }

    @inline(__always)
    static func enqueueDefault(_ word: ReadyWord) {
        // The usual case, without touching a reference count: a task of the main loop queues a task of the main loop.
        if let core = unsafe casyncio_default_core() {
            return unsafe Unmanaged<LoopCore>.fromOpaque(core)._withUnsafeGuaranteedRef { $0.enqueueAtHome(word) }
        }
        enqueueFromElsewhere(word)
    }

    private static func enqueueFromElsewhere(_ word: ReadyWord) {
        enum Step { case run(EventLoop), runAnywhere, waits, waitsUnwatched }
        let step: Step = state.withLock { state in
            if let loop = state.loop { return .run(loop) }
            guard state.phase != .usual else { return .runAnywhere }
            state.earlyJobs.append(word)
            defer { state.phase = .beforeMainWatched }
            return state.phase == .beforeMain ? .waitsUnwatched : .waits
        }
        switch step {
        case .run(let loop): loop.enqueue(word)
        case .runAnywhere: Afterlife.run(word)
        case .waits: break
        case .waitsUnwatched: watch()
        }
    }

    /// Lets early jobs run elsewhere if no loop comes.
    private static func watch() {
        do {
            try SystemThread.start(name: "asyncio-early") {
                let deadline = Instant.monotonicNow.advanced(by: patience)
                _ = state.wait(until: deadline) { $0.phase == .usual ? true : nil }
                let orphans = state.withLock { state in
                    state.phase = .usual
                    defer { state.earlyJobs = [] }
                    return state.earlyJobs
                }
                for word in orphans { Afterlife.run(word) }
            }.detach()
        } catch {
            // No thread to watch with: the jobs go on waiting for the loop, which nearly always comes.
        }
    }
}

extension EventLoop {
    /// The loop that runs here; else the main loop; else the one of last resort, whose clock always goes.
    package static var ambient: EventLoop { current ?? MainLoop.defaultLoop }
}
