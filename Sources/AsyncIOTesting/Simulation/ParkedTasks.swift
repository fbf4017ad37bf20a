import AsyncIOKernel
import AsyncIOLoop

/// The tasks of a world that wait at a lock, a queue or the like.
struct ParkedTasks {
    private struct Wait {
        let name: String?
        let place: Any.Type
        let host: String
        let start: Instant

        /// `server: worker waits at a semaphore`.
        var line: String {
            let place = "\(place)".replacing("Parking<", with: "").replacing("Machine", with: "").prefix {
                $0.isLetter
            }
            return "\(host): \(name ?? "a task") waits at a \(place.lowercased())"
        }
    }

    private var waits: [TaskID: Wait] = [:]
    /// The waits in the order in which they began, also those that are over; kept if somebody asks for the longest.
    private var beginnings = Queue<(task: TaskID, start: Instant)>()
    private let knowsLongest: Bool

    init(knowsLongest: Bool) { self.knowsLongest = knowsLongest }

    /// The current task begins to wait.
    mutating func add(_ task: TaskID, at place: Any.Type, on host: String, now: Instant) {
        waits[task] = Wait(name: Task.name, place: place, host: host, start: now)
        if knowsLongest { beginnings.append((task, now)) }
    }

    /// The task goes on.
    mutating func remove(_ task: TaskID) { waits[task] = nil }

    /// When the wait began that has lasted longest.
    var longest: Instant? {
        mutating get {
            while let first = beginnings.first {
                if waits[first.task]?.start == first.start { return first.start }
                beginnings.removeFirst()
            }
            return nil
        }
    }

    /// What each waits for, a line each, the oldest task first; only those who have waited since then.
    func lines(since: Instant = .distantFuture) -> [String] {
        waits.filter { $0.value.start <= since }.sorted { $0.key.number < $1.key.number }.map(\.value.line)
    }
}
