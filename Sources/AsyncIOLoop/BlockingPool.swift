package import AsyncIOKernel
import Synchronization

extension EventLoop {
    /// Runs blocking or heavy work on a thread of the loop's pool, and suspends until it is done.
    ///
    /// The calling task itself goes to the thread and comes back: the work sees its task locals,
    /// `Task.currentPriority`, and, if it asks, `Task.isCancelled`.
    ///
    /// At most ``Options/blockingThreads`` pieces run at once. The rest queues, higher priorities first, equal ones in
    /// order; every eighth piece to begin is the one that has waited longest, so that none waits for ever. Threads have
    /// no priority. A task that is cancelled while its work queues gets `CancellationError`, and the work never begins.
    /// Work that has begun cannot be interrupted: its result is returned, or its error thrown, whatever happened to the
    /// task; it may look at `Task.isCancelled` and give up by itself. Throws ``EventLoopError/closed(_:)`` on a closed
    /// loop.
    public func offload<Success: Sendable>(
        name: String = "offload", _ work: @escaping @Sendable () throws -> Success
    ) async throws -> Success {
        guard let simulator = core.simulator else { return try await offloadToThread(name, work) }
        guard simulator.offloadsToThreads else { return try await doSimulated(name, simulator, work) }
        // A plain task would not find the way from the thread back into the simulation.
        return try await withTaskExecutorPreference(self) { try await offloadToThread(name, work) }
    }

    /// As ``offload(name:_:)``, for work that is calls to the system, which simulations answer on their own thread.
    package func offloadCalls<Success: Sendable>(
        name: String, _ work: @escaping @Sendable () throws -> Success
    ) async throws -> Success {
        if let simulator = core.simulator { return try await doSimulated(name, simulator, work) }
        return try await offloadToThread(name, work)
    }

    private func offloadToThread<Success: Sendable>(
        _ name: String, _ work: @escaping @Sendable () throws -> Success
    ) async throws -> Success {
        let job = BlockingJob(name: name, priority: Task.currentPriority, loop: self)
        return try await withTaskCancellationHandler {
            try await withTaskExecutorPreference(job) {
                switch job.ending.load(ordering: .acquiring) {
                case .underWay:
                    let result = Result { try work() }
                    pool.hasFinished(job)
                    return try result.get()
                case .cancelled: throw CancellationError()
                case .refused: throw EventLoopError.closed(self.name)
                }
            }
        } onCancel: {
            pool.cancel(job)
        }
    }
}

extension EventLoop {
    /// Does blocking work on the loop's own thread, and lets it take its time by the simulation's clock.
    private func doSimulated<Success: Sendable>(
        _ name: String, _ simulator: any LoopSimulator, _ work: @Sendable () throws -> Success
    ) async throws -> Success {
        try Task.checkCancellation()
        guard !isClosed else { throw EventLoopError.closed(self.name) }
        // Its end waits for nothing: what has begun cannot be interrupted.
        let end = now.advanced(by: simulator.timeForBlockingWork(name))
        let result = Result { try work() }
        await Waiter.suspend(for: Errand.offload) { waiter in
            _ = alarm(at: end) { waiter.wake() }
            return true
        }
        return try result.get()
    }
}

/// A bounded set of threads for work that blocks: started when needed, ended when idle for ten seconds.
///
/// Each loop has one for what is offloaded; the resolver has another, so that names which nobody answers for keep
/// neither files nor other work waiting.
package final class BlockingPool<Work: PooledWork>: Sendable {
    private struct State {
        var queue = JobLanes<Work>()
        var threads = 0
        var idle = 0
        var running: [ObjectIdentifier: String] = [:]
        /// Pieces that are on their way: from the queue until their task has been sent home.
        var underWay = 0
        var isClosed = false
        var started: UInt64 = 0
        var finished: UInt64 = 0
        var cancelled: UInt64 = 0
        var peak = 0
    }

    private enum Admission { case queued, needsThread, refused, cancelled }
    private enum Wake { case job(Work), closed }

    private static var idleTime: Duration { .seconds(10) }
    /// What its threads are called.
    private let name: String
    private let limit: Int
    private let source: ThreadSource
    private let process = HomeProcess()
    private let state = Condition(State())

    package init(name: String, limit: Int, source: ThreadSource = .system) {
        self.name = name
        self.limit = max(limit, 1)
        self.source = source
    }

    package func submit(_ job: Work) {
        process.mustBeThisOne()
        let step: Admission = state.withLock { state in
            if state.isClosed { return .refused }
            if job.place.isCancelled {
                state.cancelled += 1
                return .cancelled
            }
            state.queue.append(job)
            state.underWay += 1
            guard state.idle < state.queue.count && state.threads < limit else { return .queued }
            state.threads += 1
            state.peak = max(state.peak, state.threads)
            return .needsThread
        }
        switch step {
        case .queued: state.signal()
        case .refused: job.end(.refused)
        case .cancelled: job.end(.cancelled)
        case .needsThread: startThread()
        }
    }

    /// Takes a job out of the queue. False if it has begun, or was never there.
    @discardableResult
    package func cancel(_ job: Work) -> Bool {
        let isOut = state.withLock { state in
            job.place.isCancelled = true
            guard state.queue.remove(job) else { return false }
            state.cancelled += 1
            return true
        }
        if isOut { end(job, .cancelled) }
        return isOut
    }

    private func startThread() {
        do {
            try source.start(name) { self.work() }
        } catch {
            // No thread to be had: the others will do the work, or, if there are none, this thread does, or nobody.
            let isLast = state.withLock { state in
                state.threads -= 1
                return state.threads == 0
            }
            guard isLast else { return }
            while let job = state.withLock({ $0.queue.takeNext() }) {
                if job.end(for: error) { isHome(job) } else { perform(job) }
            }
        }
    }

    private func work() {
        while let job = nextJob() { perform(job) }
        state.broadcast()
    }

    /// Waits for a job; nil when the thread has been idle for too long, or the pool is closed.
    private func nextJob() -> Work? {
        let deadline = Instant.monotonicNow.advanced(by: Self.idleTime)
        state.withLock { $0.idle += 1 }
        // A thread that has taken a job is no longer idle, in the same breath: else the next job would wait for it.
        let wake: Wake? = state.wait(until: deadline) { state in
            if let job = state.queue.takeNext() {
                state.idle -= 1
                return .job(job)
            }
            guard state.isClosed else { return nil }
            state.idle -= 1
            state.threads -= 1
            return .closed
        }
        switch wake {
        case .job(let job): return job
        case .closed: return nil
        case nil:
            return state.withLock { state in
                state.idle -= 1
                let job = state.queue.takeNext()
                if job == nil { state.threads -= 1 }
                return job
            }
        }
    }

    private func perform(_ job: Work) {
        state.withLock { state in
            state.started += 1
            state.running[ObjectIdentifier(job)] = job.name
        }
        job.run()
        isHome(job)
    }

    /// A job that has queued does not begin.
    private func end(_ job: Work, _ ending: WorkEnding) {
        job.end(ending)
        isHome(job)
    }

    /// The task of a job has been sent to where it came from.
    private func isHome(_ job: Work) { state.withLock { $0.underWay -= 1 } }

    /// The work of a job is done. Said before its task leaves the thread, so that the task finds it in the statistics.
    package func hasFinished(_ job: Work) {
        state.withLock { state in
            state.finished += 1
            state.running[ObjectIdentifier(job)] = nil
        }
    }

    /// Ends the pool: what queues is refused, what runs may take until the deadline. Returns the names of what is left.
    package func close(until deadline: Instant) -> [String] {
        let refused = state.withLock { state in
            state.isClosed = true
            return state.queue.takeAll()
        }
        for job in refused { end(job, .refused) }
        state.broadcast()
        _ = state.wait(until: deadline) { $0.threads == 0 ? true : nil }
        return state.withLock { Array($0.running.values) }
    }

    /// Whether work queues or runs.
    var isBusy: Bool { state.withLock { $0.queue.count > 0 || !$0.running.isEmpty } }

    /// Whether the task of a piece of work has still to come home. Until then a clock that jumps has to stand still.
    package var isExpectedToAnswer: Bool { state.withLock { $0.underWay > 0 } }

    package var statistics: BlockingStatistics {
        state.withLock { state in
            BlockingStatistics(
                threads: state.threads, peakThreads: state.peak, limit: limit, queued: state.queue.count,
                running: state.running.values.sorted(), finished: state.finished, cancelled: state.cancelled)
        }
    }
}

/// Where threads come from: the system, or a test whose threads run out.
package struct ThreadSource: Sendable {
    let start: @Sendable (String, @escaping @Sendable () -> Void) throws(IOError) -> Void

    package init(
        _ start: @escaping @Sendable (String, @escaping @Sendable () -> Void) throws(IOError) -> Void
    ) {
        self.start = start
    }

    package static let system = ThreadSource { (name, body) throws(IOError) in
        try SystemThread.start(name: name, body).detach()
    }
}

/// What the blocking pool of a loop is doing.
public struct BlockingStatistics: Sendable {
    /// Threads now.
    public let threads: Int
    /// The most threads there ever were.
    public let peakThreads: Int
    /// The most threads there may be.
    public let limit: Int
    /// Pieces of work that wait for a thread.
    public let queued: Int
    /// The names of the work that runs now.
    public let running: [String]
    /// Pieces of work that have ended.
    public let finished: UInt64
    /// Pieces of work that were cancelled before they began.
    public let cancelled: UInt64
}
