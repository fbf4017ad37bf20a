/// The jobs that wait for a thread: the higher priority first, and of equal ones the older.
///
/// Every eighth job that leaves is the oldest of all: whoever waits, with whatever priority, comes to be that one.
struct JobLanes<Work: PooledWork> {
    private static var turnsOfPriority: Int { 7 }

    private var lanes = [JobQueue<Work>](repeating: JobQueue(), count: 4)
    private var appended: UInt64 = 0
    private var turns = 0

    var count: Int { lanes.reduce(0) { $0 + $1.count } }

    mutating func append(_ job: Work) {
        appended += 1
        job.place.age = appended
        lanes[Self.lane(of: job)].append(job)
    }

    mutating func takeNext() -> Work? {
        var chosen: Int?
        if turns < Self.turnsOfPriority {
            chosen = lanes.firstIndex { $0.count > 0 }
            turns += 1
        } else {
            var oldest = UInt64.max
            for index in lanes.indices {
                guard let job = lanes[index].first, job.place.age < oldest else { continue }
                oldest = job.place.age
                chosen = index
            }
            turns = 0
        }
        guard let chosen else { return nil }
        return lanes[chosen].takeNext()
    }

    /// False if the job does not wait here.
    mutating func remove(_ job: Work) -> Bool { lanes[Self.lane(of: job)].remove(job) }

    mutating func takeAll() -> [Work] { lanes.indices.flatMap { lanes[$0].takeAll() } }

    private static func lane(of job: Work) -> Int {
        switch job.priority {
        case .high...: 0
        case .medium...: 1
        case .utility...: 2
        default: 3
        }
    }
}
