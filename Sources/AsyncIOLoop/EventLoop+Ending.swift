import AsyncIOKernel
import SystemPackage

extension EventLoop {
    /// Ends the loop for good, on its thread: cancels what is left, waits the grace period, names what would not stop,
    /// closes descriptors and threads.
    func end() {
        let deadline = Instant.monotonicNow.advanced(by: options.grace)
        core.isEnding = true
        background.close()
        background.cancelAll()
        core.plainTasks.cancelAll()
        turn(until: deadline) { background.count == 0 && core.plainTasks.isEmpty && !pool.isBusy }
        let stubborn = background.names + core.plainTasks.names + pool.close(until: deadline).map { "offloaded \($0)" }
        if !stubborn.isEmpty {
            report(EventLoopError.ignoredCancellation(stubborn), context: "loop \(name)")
        }
        // Whoever still waits for the outside world hears that it has ended. Each gets its completion, and a few turns
        // to act.
        for token in core.operations.openTokens { core.cancel(token) }
        turn(until: Instant.monotonicNow.advanced(by: .milliseconds(100))) {
            core.operations.count == 0 && core.ready.isEmpty
        }
        core.plainTasks.removeAll()
        discard()
    }

    /// Lets the loop turn until the condition holds or the time is over.
    private func turn(until deadline: Instant, _ isDone: () -> Bool) {
        guard !isDone() else { return }
        let alarm = core.addTimer(at: now.advanced(by: Instant.monotonicNow.duration(to: deadline)), .nothing)
        while !isDone() && Instant.monotonicNow < deadline { core.tick() }
        core.removeTimer(alarm)
    }

    /// Closes the loop without further turns: jobs that are left find another thread.
    func discard() {
        for entry in inbox.close() {
            switch entry {
            case .ready(let word): passOn(word)
            case .start(let remote): refuse(remote)
            case .arm(_, let word, _): if word.kind == .call { passOn(word) } else { Afterlife.run(word) }
            case .cancel, .cancelRemote, .cancelTimer: break
            case .close(let handle): _ = core.start(.close(handle))
            }
        }
        while !core.ready.isEmpty { passOn(core.ready.pop()) }
        while let action = core.timers.popDue(at: .distantFuture) {
            if case .makeReady(let word) = action { passOn(word) }
        }
        core.driver.close()
    }

    /// A callback is dropped and says so; a job runs elsewhere.
    private func passOn(_ word: ReadyWord) {
        if let call = word.takeCall() { call.cancel() } else { Afterlife.run(word) }
    }

    private func refuse(_ remote: RemoteOperation) {
        guard let continuation = unsafe remote.continuation else { return }
        let token = core.operations.open()
        unsafe core.operations.park(continuation, on: token)
        core.complete(Completion(token, Outcome(Errno.loopClosed.negated)))
    }
}
