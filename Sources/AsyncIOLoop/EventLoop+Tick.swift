import AsyncIOKernel
import CAsyncIO

extension LoopCore {
    /// One turn of the loop: everything that an event loop does, in six steps.
    ///
    /// Jobs that are queued while step 4 runs wait for the next tick, so no job can keep another from running; and step
    /// 5 comes at the latest after ``Fairness/jobsPerPoll`` jobs, so jobs that are always ready can keep neither timers
    /// nor sockets waiting.
    func tick() {
        counters.ticks &+= 1

        // 1. Take what other threads have put into the inbox.
        inbox.take(into: &incoming)
        if !incoming.isEmpty {
            tell { $0.instrument?.record(.inboxTaken(incoming.count), at: now) }
            for entry in incoming { handle(entry) }
            incoming.removeAll(keepingCapacity: true)
            hasBeenBusy()
        }

        // 2. Fire the timers that are due.
        if sincePoll == 0 && !timers.isEmpty {
            let now = self.now
            while let action = timers.popDue(at: now) {
                fire(action)
                hasBeenBusy()
            }
        }

        // 3. Take the batch that is ready now.
        let batch = min(ready.count, fairness.jobsPerPoll)
        let share = Int64(fairness.operationsPerJob)
        if isRecorded { tellTick() }

        // 4. Run each job.
        if simulator != nil && batch > 0 { jobsBegan = .monotonicNow }
        for done in 0..<batch {
            casyncio_set_share(share)
            if let simulator { ready.exchangeFirst(batch: batch - done, simulator) }
            let queued = isWatched ? ready.firstTime : .distantPast
            run(ready.pop(), queued)
            // A job may fork, and its child comes out here, too.
            process.mustBeThisOne()
        }
        if !yielding.isEmpty { requeueYielding() }
        sincePoll += batch
        if isEnding && batch > 0 { wantsAttention = true }

        // 5. Ask the driver: without waiting if jobs are ready, else until the next timer.
        if !ready.isEmpty && completions.isEmpty && sincePoll < fairness.jobsPerPoll { return }
        sincePoll = 0
        poll()

        // 6. Complete what has ended, which queues the tasks that waited for it.
        completeAll()
    }

    /// Step 6. The list is exchanged first: an executor of somebody else's may run a task inside its `enqueue`, which
    /// may end the process, and so turn the loop once more.
    private func completeAll() {
        guard !completions.isEmpty else { return }
        var finished = spareCompletions.take() ?? CompletionList()
        swap(&completions, &finished)
        isCompleting = isWatched
        let isMuch = finished.count > 16
        finished.drain { complete($0) }
        isCompleting = false
        spareCompletions = consume finished
        if isMuch { hasBeenBusy() }
    }

    /// Step 5. The only place where the loop's thread sleeps.
    private func poll() {
        process.mustBeThisOne()
        counters.polls &+= 1
        // A simulation's driver never waits, and nobody has to wake it.
        let sleeps =
            ready.isEmpty && completions.isEmpty && !wantsAttention
            && (simulator == nil ? inbox.fallAsleep() : !inbox.hasSomething)
        wantsAttention = false
        let deadline = sleeps ? timers.next : .distantPast
        if isWatched { tellWait(until: deadline) }
        driver.wait(until: deadline, into: &completions)
        if sleeps && simulator == nil { inbox.wakeUp() }
        if isWatched { tellAnswer() }
    }

    /// Step 4, at its end: who let the others go first queues again, behind them.
    private func requeueYielding() {
        var batch: [Yielder] = []
        swap(&batch, &yielding)
        for yielder in batch { goesOn(yielder) }
        batch.removeAll(keepingCapacity: true)
        if yielding.isEmpty { swap(&batch, &yielding) }
    }

    /// Step 2.
    private func fire(_ action: TimerAction) {
        counters.timersFired &+= 1
        tell { $0.instrument?.record(.timerFired, at: now) }
        switch action {
        case .makeReady(let word): enqueue(word)
        case .complete(let token): complete(Completion(token, Outcome(0)))
        case .expire(let deadline): deadline.expire()
        case .nothing: break
        }
    }

    /// Step 4. A job that has been run, or handed to somebody else, is never touched again: it may be gone.
    @inline(__always)
    private func run(_ word: ReadyWord, _ queued: Instant) {
        if word.kind == .call {
            counters.calls &+= 1
            if isWatched { return callWatched(word) }
            word.takeCall()?.run()
            return
        }
        counters.jobs &+= 1
        running = word
        let plainTask = plainTasks.willRun(word)
        if isWatched { runWatched(word, queued) } else { runner?.run(word) }
        if let plainTask { plainTasks.didRun(plainTask) }
    }
}
