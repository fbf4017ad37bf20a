import Synchronization

/// A piece of blocking work: the executor that its task prefers while it runs.
///
/// The task's way to it leads through the pool's queue. Its way back is the runtime's, as soon as the work has
/// returned.
final class BlockingJob: TaskExecutor, @unchecked Sendable {
    enum Ending: UInt8, AtomicRepresentable { case underWay, cancelled, refused }

    let name: String
    let priority: TaskPriority
    private let loop: EventLoop
    /// What continues the task. Written before the job is submitted, then read by whoever the pool gives it to.
    private var continuation: UnownedJob?
    /// Why the work does not begin.
    let ending = Atomic(Ending.underWay)
    /// Under the pool's lock: cancelled before it was submitted.
    var isCancelled = false
    /// Under the pool's lock: how many jobs were queued before it, in its lane; nil before that.
    var position: Int?
    /// Under the pool's lock: how many jobs were queued before it, in all lanes.
    var age: UInt64 = 0

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
    func end(_ ending: Ending) {
        self.ending.store(ending, ordering: .releasing)
        sendHome()
    }

    private func sendHome() {
        if let continuation { loop.enqueue(ReadyWord(continuation, .preferred)) }
    }
}

/// The jobs that wait for a thread, oldest first. A job leaves in constant time, wherever it stands.
struct JobQueue {
    /// Nil where a job has left early.
    private var slots: [BlockingJob?] = []
    private var head = 0
    /// The position of the first slot.
    private var base = 0
    private(set) var count = 0

    mutating func append(_ job: BlockingJob) {
        job.position = base + slots.count
        slots.append(job)
        count += 1
    }

    /// The job that has waited longest.
    var first: BlockingJob? {
        mutating get {
            while head < slots.count {
                if let job = slots[head] { return job }
                head += 1
            }
            return nil
        }
    }

    mutating func takeNext() -> BlockingJob? {
        while head < slots.count {
            let job = slots[head]
            slots[head] = nil
            head += 1
            guard let job else { continue }
            left(job)
            return job
        }
        return nil
    }

    /// False if the job does not wait here.
    mutating func remove(_ job: BlockingJob) -> Bool {
        guard let position = job.position else { return false }
        slots[position - base] = nil
        left(job)
        return true
    }

    mutating func takeAll() -> [BlockingJob] {
        let jobs = slots[head...].compactMap { $0 }
        for job in jobs { _ = remove(job) }
        return jobs
    }

    private mutating func left(_ job: BlockingJob) {
        job.position = nil
        count -= 1
        if count == 0 {
            drop(slots.count)
            head = 0
        } else if head > 64 && head * 2 > slots.count {
            drop(head)
            head = 0
        }
    }

    private mutating func drop(_ number: Int) {
        slots.removeFirst(number)
        base += number
    }
}
