import AsyncIOKernel
import SystemPackage

extension EventLoop {
    /// Ends the loop for good, on its thread: cancels what is left, waits the grace period, names what would not stop,
    /// closes descriptors and threads. Returns who would not stop, if somebody would not; the error handler knows it.
    @discardableResult
    func end(_ sleepers: Sleepers = .areOver, grace: Duration? = nil) -> EventLoopError? {
        let deadline = now.advanced(by: grace ?? options.grace)
        core.isEnding = true
        // Clean-up that begins now may still shield a part of its work.
        background.admit(.shielded)
        background.cancelAll(.ordinary)
        core.plainTasks.cancelAll()
        turn(until: deadline) { background.count == 0 && core.plainTasks.isEmpty && !pool.isBusy }
        background.admit(.none)
        let left = now.duration(to: deadline)
        let working = pool.close(until: Instant.monotonicNow.advanced(by: max(left, .zero))).map {
            "offloaded work \"\($0)\""
        }
        let stubborn = background.names + plainNames + working
        let failure = stubborn.isEmpty ? nil : EventLoopError.ignoredCancellation(stubborn)
        if let failure { report(failure, context: "loop \(name)") }
        background.cancelAll(.shielded)
        // Whoever still waits for the outside world hears that it has ended. Each gets its completion, and a few turns
        // to act.
        for token in core.operations.openTokens { core.cancel(token) }
        turn(until: now.advanced(by: .milliseconds(100))) {
            core.operations.count == 0 && core.ready.isEmpty
        }
        core.plainTasks.removeAll()
        if stubborn.isEmpty && ownsDefaultExecutor && sleepers == .areOver { runLeftoverWakeUps() }
        discard()
        return failure
    }

    /// Whether what is left on the loop has been cancelled. Asked on the loop's thread.
    package var isEnding: Bool { core.isEnding }

    /// The names of plain tasks that are left. Background tasks are such tasks, too, on a loop that has taken over.
    private var plainNames: [String] {
        var names = core.plainTasks.names
        for name in background.names {
            if let index = names.firstIndex(of: name) { names.remove(at: index) }
        }
        return names
    }

    /// Whether a task may be asleep that nobody has cancelled: the one of an asynchronous `main`.
    enum Sleepers { case areOver, mayGoOn }

    /// `Task.sleep` cannot take its timer back when it is cancelled. No task is left that one of them could wake.
    private func runLeftoverWakeUps() {
        var others: [(Instant, TimerAction)] = []
        while let deadline = core.timers.next, let action = core.timers.popDue(at: .distantFuture) {
            if case .makeReady(let word) = action, word.kind == .generic {
                core.enqueue(word)
            } else {
                others.append((deadline, action))
            }
        }
        for (deadline, action) in others { _ = core.timers.insert(at: deadline, action) }
        turn(until: now.advanced(by: .milliseconds(100))) { core.ready.isEmpty }
    }

    /// Lets the loop turn until the condition holds or the time is over.
    private func turn(until deadline: Instant, _ isDone: () -> Bool) {
        // In slices: what is waited for may end on a thread that does not wake the loop.
        while !isDone() {
            let slice = core.addTimer(at: now.advanced(by: .milliseconds(20)), .nothing)
            core.hasBeenBusy()
            turnOrLetTurn()
            core.removeTimer(slice)
            if now >= deadline { return }
        }
    }

    /// Closes the loop without further turns: jobs that are left find another thread.
    func discard() {
        Self.observer?.loopEnds(self)
        let entries = inbox.close()
        // Now nobody puts another there. Let go outside of the lock.
        let guise = guise.withLock { $0.take() }
        defer { withExtendedLifetime(guise) {} }
        for entry in entries {
            switch entry {
            case .ready(let word): passOn(word)
            case .start(let remote): refuse(remote)
            case .arm(let deadline, let word, _):
                sleepOn(word, until: deadline)
            case .letGo, .cancel, .cancelInScope, .cancelRemote, .cancelTimer: break
            case .wait, .close: core.handle(entry)
            }
        }
        // Before anybody is resumed: the kernel may still hold memory that a task has lent to it.
        core.driver.close()
        // An operation that somebody has started meanwhile still gets its one completion.
        for token in core.operations.openTokens { core.complete(Completion(token, Outcome(Errno.loopClosed.negated))) }
        core.takeBackWhatNobodyGets()
        while !core.ready.isEmpty { passOn(core.ready.pop()) }
        while let deadline = core.timers.next, let action = core.timers.popDue(at: .distantFuture) {
            switch action {
            case .makeReady(let word): sleepOn(word, until: deadline)
            case .expire(let limit): if core.simulator == nil { limit.moveToAfterlife() }
            case .complete, .nothing: break
            }
        }
    }

    /// A callback is dropped and says so, unless it is an alarm; a job runs elsewhere.
    private func passOn(_ word: ReadyWord) {
        guard core.simulator == nil else { return drop(word) }
        if let call = word.takeCall() { call.loopHasClosed(timeLeft: .zero) } else { Afterlife.run(word) }
    }

    /// A task that sleeps must not wake early, wherever it wakes; nor must an alarm ring.
    private func sleepOn(_ word: ReadyWord, until deadline: Instant) {
        guard core.simulator == nil else { return drop(word) }
        let timeLeft = now.duration(to: deadline)
        if let call = word.takeCall() {
            call.loopHasClosed(timeLeft: timeLeft)
        } else {
            Afterlife.loop.arm(word, after: timeLeft)
        }
    }

    /// What is left of a simulation ends where it stands: its tasks are never resumed.
    private func drop(_ word: ReadyWord) { word.takeCall()?.cancel() }

    private func refuse(_ remote: RemoteOperation) {
        guard let continuation = unsafe remote.continuation else { return }
        let token = core.operations.open()
        _ = unsafe core.operations.park(continuation, on: token, task: remote.task)
        core.complete(Completion(token, Outcome(Errno.loopClosed.negated)))
    }
}
