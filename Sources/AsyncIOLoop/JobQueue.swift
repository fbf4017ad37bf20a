/// The jobs that wait for a thread, oldest first. A job leaves in constant time, wherever it stands.
struct JobQueue<Work: PooledWork> {
    /// Nil where a job has left early.
    private var slots: [Work?] = []
    private var head = 0
    /// The position of the first slot.
    private var base = 0
    private(set) var count = 0

    mutating func append(_ job: Work) {
        job.place.position = base + slots.count
        slots.append(job)
        count += 1
    }

    /// The job that has waited longest.
    var first: Work? {
        mutating get {
            while head < slots.count {
                if let job = slots[head] { return job }
                head += 1
            }
            return nil
        }
    }

    mutating func takeNext() -> Work? {
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
    mutating func remove(_ job: Work) -> Bool {
        guard let position = job.place.position else { return false }
        slots[position - base] = nil
        left(job)
        return true
    }

    mutating func takeAll() -> [Work] {
        let jobs = slots[head...].compactMap { $0 }
        for job in jobs { _ = remove(job) }
        return jobs
    }

    private mutating func left(_ job: Work) {
        job.place.position = nil
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
