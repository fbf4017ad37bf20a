import AsyncIOKernel
import AsyncIOLoop

extension Inspection {
    /// Records what all loops of the process do for a while.
    ///
    /// Switches the register of tasks on if the inspection is off; a loop that ran before that takes part only if this
    /// is called on it.
    /// Where a trace is being recorded already, this one takes its part of that. Suspends for the duration; if the task
    /// is cancelled, the recording ends early. Each loop is given `capacity` events of 32 bytes.
    public static func trace(for duration: Duration, capacity: Int = 262_144) async -> TraceRecording {
        let isMine = startTrace(capacity: capacity)
        let began = Instant.monotonicNow
        try? await Task.sleep(for: duration)
        if isMine { return await stopTrace() }
        guard var recording = await read(ends: false) else { return .empty }
        recording.cut(from: began)
        return recording
    }

    /// Begins to record what all loops of the process do. False if that is done already.
    ///
    /// Where the inspection is off, its register of tasks is switched on, and stays on; watchdog and signal are not.
    /// Does not suspend; other loops than the calling one begin with their next ticks. Each loop has room for the given
    /// number of events, 32 bytes each, and forgets the oldest when there are more.
    @discardableResult
    public static func startTrace(capacity: Int = 262_144) -> Bool {
        if !isOn { start(Options(printsTreeAtQuit: false, watchdog: WatchdogOptions(isOn: false))) }
        return TraceSession.begin(capacity: capacity) != nil
    }

    /// Ends the trace, and returns what it has recorded: nothing, if none was begun.
    ///
    /// Suspends until every loop has handed over its part. A loop that does not answer within two seconds is left out,
    /// which ``TraceRecording/notes`` say. Cancellation does not end the wait.
    public static func stopTrace() async -> TraceRecording { await read(ends: true) ?? .empty }

    /// The same for threads that are no loop's: blocks the calling one.
    package static func stopTraceBlocking(timeout: Duration = .seconds(2)) -> TraceRecording {
        TraceSession.current?.gather(timeout: timeout, isOver: true) ?? .empty
    }

    private static func read(ends isOver: Bool) async -> TraceRecording? {
        guard let session = TraceSession.current else { return nil }
        // There nobody may be woken by another thread.
        if EventLoop.current?.hasOwnTime == true { return session.gather(timeout: .seconds(2), isOver: isOver) }
        let result = Locked<TraceRecording?>(nil)
        await Waiter.suspend(for: Errand("trace")) { waiter in
            // Loops may stall, and a task that waits for one with a limit needs a loop that does not.
            let thread = try? InspectionThread.start("trace") {
                let recording = session.gather(timeout: .seconds(2), isOver: isOver)
                result.withLock { $0 = recording }
                waiter.wake()
            }
            thread?.detach()
            return thread != nil
        }
        return result.withLock { $0 }
    }
}

extension TraceRecording {
    static var empty: TraceRecording {
        let now = Instant.monotonicNow
        return TraceRecording(process: 0, program: "", start: now, end: now, loops: [])
    }

    /// Leaves out what happened before.
    mutating func cut(from instant: Instant) {
        start = max(start, instant)
        for place in loops.indices {
            loops[place].events.removeAll { $0.time < instant.nanoseconds }
            let ids = Set(loops[place].events.map(\.task))
            loops[place].tasks.removeAll { $0.isOver && !ids.contains($0.id) }
        }
    }
}
