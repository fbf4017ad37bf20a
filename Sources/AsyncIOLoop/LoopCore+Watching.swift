import AsyncIOKernel
import CAsyncIO

/// What those are told who watch a loop, while somebody does.
extension LoopCore {
    // MARK: Operations

    func tellPending(_ token: Token, _ name: String, _ descriptor: CInt) {
        tell { audience in
            let id = OperationID(token: token)
            audience.watcher?.waits(for: id, name, descriptor)
            audience.instrument?.record(.operation(name, descriptor, .waits(id)), at: now)
        }
    }

    @inline(never)
    func tellImmediate(_ name: String, _ descriptor: CInt) {
        tell { $0.instrument?.record(.operation(name, descriptor, .completed), at: look()) }
    }

    @inline(never)
    func tellResumed(_ completion: Completion) {
        tell {
            let event = LoopEvent.resumed(OperationID(token: completion.token), completion.outcome.result)
            $0.instrument?.record(event, at: isCompleting ? lately : look())
        }
    }

    // MARK: The ready queue

    /// Those who watch the tasks find in the ready queue who has been woken. They are told only when it runs: a server
    /// would tell them of little else.
    func wakeWatched(_ word: ReadyWord) {
        let now = isCompleting ? lately : now
        if isRecorded { tell { $0.instrument?.record(.queued(word.taskID), at: now) } }
        ready.push(word, at: now)
    }

    func queueWatched(_ word: ReadyWord) {
        guard word.kind != .call, let job = unsafe word.pointer else { return ready.push(word, at: .distantPast) }
        let now = isCompleting ? lately : now
        defer { ready.push(word, at: now) }
        let task = word.taskID
        tell { audience in
            unsafe audience.watcher?.queued(job, task, at: now)
            audience.instrument?.record(.queued(task), at: now)
        }
    }

    // MARK: The tick

    /// Step 3.
    func tellTick() {
        tell { $0.instrument?.record(.tickBegan(ready: ready.count), at: look()) }
    }

    /// Step 5, before it.
    func tellWait(until deadline: Instant?) {
        // Jobs have just ended, or nothing has happened.
        tell { audience in
            audience.watcher?.asksDriver(until: deadline, at: lately)
            audience.instrument?.record(.waitBegan(until: deadline), at: look())
        }
    }

    /// Step 5, after it.
    func tellAnswer() {
        let now = look()
        tell { audience in
            audience.watcher?.turns(at: now)
            audience.instrument?.record(.waitEnded(completions: completions.count), at: now)
        }
    }

    /// Step 4: a callback.
    func callWatched(_ word: ReadyWord) {
        tell { $0.watcher?.willCall(at: lately) }
        word.takeCall()?.run()
        let ended = look()
        tell { $0.watcher?.didCall(at: ended) }
    }

    /// Step 4. A job begins when the one before it has ended.
    func runWatched(_ word: ReadyWord, _ queued: Instant) {
        guard let job = unsafe word.pointer else { return }
        // Afterwards, the job may be gone.
        let task = word.taskID
        let began = lately
        tell { audience in
            unsafe audience.watcher?.willRun(job, task, queued: queued, at: began)
            audience.instrument?.record(.jobWillRun(task), at: began)
        }
        runner?.run(word)
        let ended = look()
        tell { audience in
            audience.instrument?.record(.jobDidRun(task), at: ended)
            audience.watcher?.didRun(at: ended)
        }
    }
}
