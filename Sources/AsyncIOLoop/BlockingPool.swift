import AsyncIOKernel

extension EventLoop {
    /// Runs blocking or heavy work on a thread of the loop's pool, and suspends until it is done.
    ///
    /// At most ``Options/blockingThreads`` at once; the rest queues in order. A task that is cancelled while its work
    /// queues gets `CancellationError`, and the work never begins. Work that has begun cannot be interrupted: its
    /// result is returned, or its error thrown, whatever happened to the task. Throws ``EventLoopError/closed(_:)`` on
    /// a closed loop.
    public func offload<Success: Sendable>(
        name: String = "offload", _ work: @escaping @Sendable () throws -> Success
    ) async throws -> Success {
        let job = BlockingJob(name: name)
        let slot = OffloadSlot<Success>()
        await withTaskCancellationHandler {
            await Waiter.suspend { waiter in
                job.work = { slot.store(Result { try work() }) }
                job.waiter = waiter
                pool.submit(job)
                return true
            }
        } onCancel: {
            pool.cancel(job)
        }
        switch job.ending {
        case .done: return try slot.take().get()
        case .cancelled: throw CancellationError()
        case .refused: throw EventLoopError.closed(self.name)
        }
    }
}

/// A piece of blocking work, and who waits for it.
///
/// Written before it is submitted, then by whoever the pool gives it to, then read by the resumed task.
final class BlockingJob: @unchecked Sendable {
    enum Ending { case done, cancelled, refused }

    let name: String
    var work: () -> Void = {}
    var waiter: Waiter?
    var ending = Ending.done
    /// Under the pool's lock: cancelled before it was submitted.
    var isCancelled = false

    init(name: String) { self.name = name }

    func end(_ ending: Ending) {
        self.ending = ending
        work = {}
        waiter?.wake()
    }
}

/// A bounded set of threads for work that blocks: started when needed, ended when idle for ten seconds.
final class BlockingPool: Sendable {
    private struct State {
        var queue: [BlockingJob] = []
        var head = 0
        var threads = 0
        var idle = 0
        var running: [ObjectIdentifier: String] = [:]
        var isClosed = false
        var started: UInt64 = 0
        var finished: UInt64 = 0
        var cancelled: UInt64 = 0
        var peak = 0

        var waiting: Int { queue.count - head }

        mutating func takeNext() -> BlockingJob? {
            guard head < queue.count else { return nil }
            let job = queue[head]
            head += 1
            if head > 64 && head * 2 > queue.count {
                queue.removeFirst(head)
                head = 0
            }
            return job
        }
    }

    private static let idleTime = Duration.seconds(10)
    private let name: String
    private let limit: Int
    private let state = Condition(State())

    init(name: String, limit: Int) {
        self.name = name
        self.limit = max(limit, 1)
    }

    func submit(_ job: BlockingJob) {
        enum Step { case queued, needsThread, refused, cancelled }
        let step: Step = state.withLock { state in
            if state.isClosed { return .refused }
            if job.isCancelled {
                state.cancelled += 1
                return .cancelled
            }
            state.queue.append(job)
            guard state.idle < state.waiting && state.threads < limit else { return .queued }
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

    /// Takes a job out of the queue, if it has not begun.
    func cancel(_ job: BlockingJob) {
        let isOut = state.withLock { state in
            job.isCancelled = true
            guard let index = state.queue[state.head...].firstIndex(where: { $0 === job }) else { return false }
            state.queue.remove(at: index)
            state.cancelled += 1
            return true
        }
        if isOut { job.end(.cancelled) }
    }

    private func startThread() {
        do {
            try SystemThread.start(name: "\(name)-blocking") { self.work() }.detach()
        } catch {
            // No thread to be had: the others will do the work, or, if there are none, this thread does.
            let isLast = state.withLock { state in
                state.threads -= 1
                return state.threads == 0
            }
            guard isLast else { return }
            while let job = state.withLock({ $0.takeNext() }) { perform(job) }
        }
    }

    private func work() {
        while let job = nextJob() { perform(job) }
        state.broadcast()
    }

    /// Waits for a job; nil when the thread has been idle for too long, or the pool is closed.
    private func nextJob() -> BlockingJob? {
        enum Wake { case job(BlockingJob), closed }
        let deadline = Instant.monotonicNow.advanced(by: Self.idleTime)
        state.withLock { $0.idle += 1 }
        // A thread that has taken a job is no longer idle, in the same breath: else the next job would wait for it.
        let wake: Wake? = state.wait(until: deadline) { state in
            if let job = state.takeNext() {
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
                let job = state.takeNext()
                if job == nil { state.threads -= 1 }
                return job
            }
        }
    }

    private func perform(_ job: BlockingJob) {
        state.withLock { state in
            state.started += 1
            state.running[ObjectIdentifier(job)] = job.name
        }
        job.work()
        state.withLock { state in
            state.finished += 1
            state.running[ObjectIdentifier(job)] = nil
        }
        job.end(.done)
    }

    /// Ends the pool: what queues is refused, what runs may take until the deadline. Returns the names of what is left.
    func close(until deadline: Instant) -> [String] {
        let refused = state.withLock { state in
            state.isClosed = true
            defer {
                state.queue = []
                state.head = 0
            }
            return Array(state.queue[state.head...])
        }
        for job in refused { job.end(.refused) }
        state.broadcast()
        _ = state.wait(until: deadline) { $0.threads == 0 ? true : nil }
        return state.withLock { Array($0.running.values) }
    }

    /// Whether work queues or runs.
    var isBusy: Bool { state.withLock { $0.waiting > 0 || !$0.running.isEmpty } }

    var statistics: BlockingStatistics {
        state.withLock { state in
            BlockingStatistics(
                threads: state.threads, peakThreads: state.peak, limit: limit, queued: state.waiting,
                running: state.running.values.sorted(), finished: state.finished, cancelled: state.cancelled)
        }
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

/// Where offloaded work leaves its result for the task that waits.
private final class OffloadSlot<Success: Sendable>: Sendable {
    private let result = Locked<Result<Success, any Error>?>(nil)
    func store(_ value: Result<Success, any Error>) { result.withLock { $0 = value } }
    func take() -> Result<Success, any Error> { result.withLock { $0 } ?? .failure(CancellationError()) }
}
