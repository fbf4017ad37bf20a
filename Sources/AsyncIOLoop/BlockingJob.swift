import Synchronization

/// A piece of blocking work: the executor that its task prefers while it runs.
///
/// The task's way to it leads through the pool's queue. Its way back is the runtime's, as soon as the work has
/// returned.
final class BlockingJob: TaskExecutor, PooledWork, @unchecked Sendable {
    let name: String
    let priority: TaskPriority
    private let loop: EventLoop
    /// What continues the task. Written before the job is submitted, then read by whoever the pool gives it to.
    private var continuation: UnownedJob?
    /// Why the work does not begin.
    let ending = Atomic(WorkEnding.underWay)
    /// Under the pool's lock.
    var place = PlaceInPool()

    init(name: String, priority: TaskPriority, loop: EventLoop) {
        self.name = name
        self.priority = priority
        self.loop = loop
    }

    /// The task comes, to do its work. Called by Swift's runtime.
    func enqueue(_ job: consuming ExecutorJob) {
        continuation = UnownedJob(job)
        // A task that was sent home is brought here a second time, by the closure that it runs in.
        if ending.load(ordering: .acquiring) == .underWay { loop.pool.submit(self) } else { sendHome() }
    }

    /// Does the work, on the calling thread.
    func run() {
        guard let continuation else { return }
        unsafe continuation.runSynchronously(on: asUnownedTaskExecutor())
    }

    /// The work does not begin: the task hears of it on its loop.
    func end(_ ending: WorkEnding) {
        self.ending.store(ending, ordering: .releasing)
        sendHome()
    }

    private func sendHome() {
        if let continuation { loop.enqueue(ReadyWord(continuation, .preferred)) }
    }
}
