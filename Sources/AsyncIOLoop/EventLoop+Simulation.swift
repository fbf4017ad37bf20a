package import AsyncIOKernel
import CAsyncIO

// What a simulation asks of its loops, all on its own thread.
extension EventLoop {
    /// Makes a loop that a simulation turns: its driver has a ``Driver/simulator``.
    package static func simulated(options: Options, driver: any Driver) throws -> EventLoop {
        try EventLoop(options: options, driver: driver)
    }

    /// Takes one turn. Does not wait: that is the driver's part, and a simulated one returns at once.
    package func turn() {
        visit {
            core.hasBeenBusy()
            core.tick()
        }
    }

    /// The simulation in which the caller runs, if it does.
    @inline(__always)
    package static var simulator: (any LoopSimulator)? {
        guard let pointer = unsafe casyncio_current_loop() else { return nil }
        return unsafe Unmanaged<EventLoop>.fromOpaque(pointer)._withUnsafeGuaranteedRef { $0.core.simulator }
    }

    /// Whether a simulation turns this loop.
    package var isSimulated: Bool { core.simulator != nil }

    /// What a task of this turn has asked for that, by a real clock, has so much left of its sleep: the roundest of the
    /// durations that it can have been.
    func likelySleep(_ left: Duration) -> Duration {
        let least = left.saturatedNanoseconds
        guard least > 0, least < Int64.max / 4 else { return left }
        let most = least + max(core.jobsBegan.duration(to: .monotonicNow).saturatedNanoseconds, 0)
        var quantum: Int64 = 1
        var roundest = least
        while quantum <= most {
            let candidate = (least + quantum - 1) / quantum * quantum
            guard candidate <= most else { break }
            roundest = candidate
            quantum *= 10
        }
        return .nanoseconds(roundest)
    }

    /// Runs a closure as code of this loop: it is the current one, plain tasks come here, and its stand-in answers.
    @inline(__always)
    package func visit<Result>(_ body: () throws -> Result) rethrows -> Result {
        let (loop, defaults) = (unsafe casyncio_current_loop(), unsafe casyncio_default_core())
        let (standIn, share) = (unsafe casyncio_stand_in(), casyncio_share())
        unsafe casyncio_set_current_loop(Unmanaged.passUnretained(self).toOpaque())
        casyncio_set_share(Int64(core.fairness.operationsPerJob))
        if ownsDefaultExecutor { unsafe casyncio_set_default_core(Unmanaged.passUnretained(core).toOpaque()) }
        SystemCall.answerCalls(core.standIn)
        defer {
            unsafe casyncio_set_current_loop(loop)
            casyncio_set_share(share)
            unsafe casyncio_set_default_core(defaults)
            unsafe casyncio_set_stand_in(standIn)
        }
        return try body()
    }

    /// Whether a turn would find nothing to do before ``nextTimer``.
    package var isIdle: Bool {
        core.ready.isEmpty && core.completions.isEmpty && core.yielding.isEmpty && !core.wantsAttention
            && !inbox.hasSomething
    }

    /// When the next timer is due.
    package var nextTimer: Instant? { core.timers.next }

    /// Starts a task on this loop, from whatever thread.
    package func begin(_ name: String?, _ body: sending @escaping @isolated(any) () async -> Void) -> Task<Void, Never>
    {
        makeTask(name: name, body)
    }

    /// Plain tasks that are started by code of this loop run on it, where the process allows it. False where not.
    package func takePlainTasks() -> Bool {
        ownsDefaultExecutor = Takeover.installForSimulations()
        return ownsDefaultExecutor
    }

    /// Cancels everything that runs on the loop, for good; clean-up that is shielded, too, or not yet.
    package func cancelEverything(shielded: Bool = true) {
        background.admit(shielded ? .none : .shielded)
        background.cancelAll(.ordinary)
        guard shielded else { return core.plainTasks.cancelAll() }
        background.cancelAll(.shielded)
        core.plainTasks.cancelAll()
        for token in core.operations.openTokens { core.cancel(token) }
        core.isEnding = true
    }

    /// Cancels the tasks that run on the loop; clean-up may go on.
    package func cancelTasks() {
        background.cancelAll(.ordinary)
        core.plainTasks.cancelAll()
    }

    /// What the tasks of the loop wait for, as far as it knows: a line each.
    package var waits: [String] {
        var lines: [String] = []
        var known: Set<String> = []
        for token in core.operations.openTokens {
            let name = core.nameOfTask(of: token) ?? "a task"
            known.insert(name)
            let what =
                core.operations.timer(of: token) == nil ? core.driver.describe(token) ?? "an operation" : "a timer"
            lines.append("\(name) waits for \(what)")
        }
        for name in background.names + core.plainTasks.names where known.insert(name).inserted {
            lines.append("\(name) waits for another task")
        }
        return lines
    }

    /// Whether nothing runs on the loop, and nothing waits.
    package var isQuiet: Bool {
        isIdle && core.operations.count == 0 && background.count == 0 && core.plainTasks.isEmpty
    }

    /// Closes the loop. Tasks that are left on it are never resumed: nothing of a simulation may go on in the real
    /// world.
    package func closeSimulated() {
        visit {
            core.plainTasks.removeAll()
            discard()
            while !core.ready.isEmpty { _ = core.ready.pop() }
        }
    }

    /// What is left on the loop: operations under way, timers, background tasks and plain tasks by name.
    package var remains: LoopRemains {
        LoopRemains(
            operations: core.operations.count, timers: core.timers.count,
            tasks: background.names + core.plainTasks.names)
    }
}

/// What is left on a loop at some moment.
package struct LoopRemains: Sendable, Equatable {
    package var operations: Int
    package var timers: Int
    package var tasks: [String]
}
