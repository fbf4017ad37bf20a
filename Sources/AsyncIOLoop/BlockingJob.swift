import Synchronization

/// A piece of blocking work, and who waits for it.
///
/// Written before it is submitted, then by whoever the pool gives it to, then read by the resumed task.
final class BlockingJob: @unchecked Sendable {
    enum Ending: UInt8, AtomicRepresentable { case underWay, done, cancelled, refused }

    let name: String
    var work: () -> Void = {}
    var waiter: Waiter?
    /// What hands the job over to the resumed task: the runtime would, too, but where no sanitizer can see it.
    let ending = Atomic(Ending.underWay)
    /// Under the pool's lock: cancelled before it was submitted.
    var isCancelled = false
    /// Under the pool's lock: how many jobs were queued before it; nil before that.
    var position: Int?

    init(name: String) { self.name = name }

    func end(_ ending: Ending) {
        work = {}
        let waiter = waiter
        self.ending.store(ending, ordering: .releasing)
        waiter?.wake()
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
