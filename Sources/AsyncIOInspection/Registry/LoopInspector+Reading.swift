import AsyncIOKernel
import AsyncIOLoop

// What a capture asks of a loop's inspector, on the loop's thread or while the loop is away from it.
extension LoopInspector {
    /// The loop, as it is now.
    func view(isAway: Bool) -> LoopView {
        let statistics = loop.statisticsNow
        let now = loop.now
        return LoopView(
            number: number, name: loop.name, driver: loop.driverName, thread: thread, ticks: statistics.ticks,
            jobs: statistics.jobs, operations: statistics.operations, waitingOperations: statistics.waitingOperations,
            pendingTimers: statistics.pendingTimers, ready: statistics.ready, busy: .nanoseconds(busy),
            age: began.duration(to: now), lag: .nanoseconds(lag.value(at: now)), longestRun: .nanoseconds(longestRun),
            isResting: isAway)
    }

    /// A task of the table; nil if there is none, or no more.
    func read(
        _ position: Int, frames: Int, isAway: Bool = false, from pages: borrowing CopiedPages = .ofOneTask
    ) -> RawTask? {
        let entry = table[position]
        guard entry.id != 0 else { return nil }
        let now = loop.now
        // What runs has no stack that could be read. What is ready has: nothing runs it while this does.
        let reading = TaskReader.read(
            entry.task, id: entry.id, frames: entry.phase == .running ? 0 : frames, from: pages)
        if TaskReader.refusal == nil && (reading == nil || reading?.isComplete == true) {
            // It has ended elsewhere. What goes with it goes on the loop's thread.
            if entry.phase == .waiting && !isAway { forget(position) }
            return nil
        }
        let state: TaskView.State
        switch entry.phase {
        case .ready: state = .ready
        case .running: state = .running
        case .waiting: state = reading?.isRunning == true ? .running : .waiting
        }
        let view = TaskView(
            id: entry.id, name: reading?.name, loop: number,
            parent: entry.parent == 0 ? nil : entry.parent, creator: entry.creator == 0 ? nil : entry.creator,
            kind: reading?.kind ?? .unknown, origin: nil, state: state,
            wait: state == .waiting ? wait(of: entry, reading, at: now) : nil,
            since: entry.since.duration(to: now), age: entry.first.duration(to: now),
            runTime: .nanoseconds(entry.runTime), runs: entry.runs, longestRun: .nanoseconds(entry.longestRun),
            isCancelled: reading?.isCancelled ?? false, stack: [])
        return RawTask(view: view, entryPoint: entry.entryPoint, stack: reading?.stack ?? [], seen: entry.since)
    }

    private func wait(of entry: TaskTable.Entry, _ reading: TaskReading?, at now: Instant) -> Wait? {
        // Whom it awaits, as the runtime itself says, is surer than what it said before it did so.
        switch reading?.dependency {
        case .task(let id): return Wait(kind: "task", tasks: [id])
        case .group: return Wait(kind: "group")
        case .continuation, .queued, .none?, nil: break
        }
        if let asked = entry.asked, loop.isUnderWay(asked.operation) {
            if let due = loop.due(asked.operation) { return Wait(kind: asked.name, left: now.duration(to: due)) }
            let descriptor = asked.descriptor < 0 ? nil : Optional(asked.descriptor)
            return Wait(kind: asked.name, target: descriptor.flatMap(peer(of:)), descriptor: descriptor)
        }
        if let place = entry.place {
            let report = place.report(to: entry.visitor)
            return Wait(
                kind: report.kind, target: report.name.isEmpty || report.name == report.kind ? nil : report.name,
                standing: report.standing, tasks: report.holders.map(\.number))
        }
        return Wait(kind: "continuation")
    }

    /// The other end of a socket, or a listener's own address.
    private func peer(of descriptor: Int32) -> String? {
        // A simulated kernel would note the question, as everything else that happens there.
        if SystemCall.isSimulated { return nil }
        let (result, bytes) = SystemCall.peerAddress(descriptor)
        if result >= 0, let address = SocketAddress(sockaddr: bytes) { return "\(address)" }
        let (ownResult, ownBytes) = SystemCall.localAddress(descriptor)
        guard ownResult >= 0, let address = SocketAddress(sockaddr: ownBytes) else { return nil }
        return "\(address)"
    }
}
