import AsyncIOKernel
import AsyncIOLoop

/// What has happened on a loop last, in memory of a fixed size: the newest events take the place of the oldest.
///
/// Belongs to the loop's thread. Nothing is allocated for an event; a descriptor's address is asked for when the first
/// operation on it is seen.
@safe
final class TraceRing {
    /// How many events there is room for: a power of two.
    let capacity: Int
    /// The trace that it is a part of.
    weak let session: TraceSession?
    @safe @exclusivity(unchecked) private var written = 0
    /// Touched page by page, as events come.
    private let storage: UnsafeMutablePointer<TraceEvent>
    @safe @exclusivity(unchecked) private var operations = NameTable()
    @safe @exclusivity(unchecked) private(set) var descriptors = DescriptorNames()
    /// The names of locks, queues and the like.
    @safe @exclusivity(unchecked) private(set) var places: [String] = []
    @safe @exclusivity(unchecked) private var numbersOfPlaces: [String: Int32] = [:]
    private static let mostPlaces = 4_096
    @safe @exclusivity(unchecked) private var ended = EndedTasks()

    /// Makes a ring for so many events at least, and 16 at least.
    init(capacity: Int, session: TraceSession? = nil) {
        var size = 16
        while size < min(capacity, 1 << 28) { size *= 2 }
        self.capacity = size
        self.session = session
        unsafe storage = .allocate(capacity: size)
        // A task that ends leaves three events at least.
        ended.limit = max(size / 3, 16)
    }

    deinit { unsafe storage.deallocate() }

    /// How many events were written over by others.
    var lost: Int { max(written - capacity, 0) }

    /// How many events there are.
    var count: Int { min(written, capacity) }

    /// The names of operations and of places' kinds, by the numbers that events have for them.
    var names: [String] { operations.names }

    // MARK: Writing

    /// Adds what the loop tells; the task is the one that runs, or the one that queues another.
    func record(_ event: LoopEvent, by task: UInt64, at instant: Instant) {
        let time = instant.nanoseconds
        switch event {
        case .queued(let woken):
            add(TraceEvent(time: time, task: woken.number, other: task, kind: .queued))
        case .jobWillRun(let runs): add(TraceEvent(time: time, task: runs.number, kind: .began))
        case .jobDidRun(let ran): add(TraceEvent(time: time, task: ran.number, kind: .paused))
        case .operation(let name, let descriptor, let state):
            operation(name, descriptor, state, by: task, at: time)
        case .resumed(let operation, let result):
            add(
                TraceEvent(
                    time: time, task: 0, other: operation.number, number: TraceEvent.short(result), kind: .answered))
        case .timerFired: add(TraceEvent(time: time, task: 0, kind: .fired))
        case .inboxTaken(let count):
            add(TraceEvent(time: time, task: 0, number: TraceEvent.short(count), kind: .inbox))
        case .tickBegan(let ready):
            add(TraceEvent(time: time, task: 0, number: TraceEvent.short(ready), kind: .tick))
        case .waitBegan(let until):
            add(TraceEvent(time: time, task: 0, other: TraceEvent.limit(until?.nanoseconds), kind: .asleep))
        case .waitEnded(let completions):
            add(TraceEvent(time: time, task: 0, number: TraceEvent.short(completions), kind: .awake))
        }
    }

    @inline(__always)
    private func operation(
        _ name: String, _ descriptor: Int32, _ state: LoopEvent.OperationState, by task: UInt64, at time: Int64
    ) {
        let number = operations.number(of: name)
        if !descriptors.knows(descriptor) || operations.changesDescriptor(number) {
            descriptors.meet(descriptor, name, at: time)
        }
        var event = TraceEvent(time: time, task: task, number: descriptor, kind: .did, name: number)
        if case .waits(let operation) = state {
            event.kind = .asked
            event.other = operation.number
        }
        add(event)
    }

    /// A task waits for something that is no operation.
    func parks(_ task: UInt64, _ place: PlaceReport, at instant: Instant) {
        add(
            TraceEvent(
                time: instant.nanoseconds, task: task, other: place.holders.first?.number ?? 0,
                number: place.name.isEmpty ? -1 : number(ofPlace: place.name), kind: .parks,
                name: operations.number(of: place.kind)))
    }

    private func number(ofPlace name: String) -> Int32 {
        if let number = numbersOfPlaces[name] { return number }
        guard places.count < Self.mostPlaces else { return -1 }
        let number = Int32(truncatingIfNeeded: places.count)
        places.append(name)
        numbersOfPlaces[name] = number
        return number
    }

    /// A task has ended: what was known of it.
    func ends(_ task: TraceRecording.Task, at instant: Instant) {
        ended.add(task)
        add(TraceEvent(time: instant.nanoseconds, task: task.id, kind: .over))
    }

    @inline(__always)
    private func add(_ event: TraceEvent) {
        unsafe (storage + (written & (capacity - 1))).initialize(to: event)
        written &+= 1
    }

    // MARK: Reading

    /// The events, from the oldest on.
    var events: [TraceEvent] {
        let count = count
        let first = (written - count) & (capacity - 1)
        let untilTheEnd = min(count, capacity - first)
        var events: [TraceEvent] = []
        events.reserveCapacity(count)
        unsafe events.append(contentsOf: UnsafeBufferPointer(start: storage + first, count: untilTheEnd))
        unsafe events.append(contentsOf: UnsafeBufferPointer(start: storage, count: count - untilTheEnd))
        return events
    }

    /// The tasks that have ended meanwhile; of more than ``capacity`` events can tell of, the last ones.
    var endedTasks: [TraceRecording.Task] { ended.tasks }
}

/// The tasks that have ended last.
private struct EndedTasks {
    var limit = 16
    private(set) var tasks: [TraceRecording.Task] = []
    private var next = 0

    mutating func add(_ task: TraceRecording.Task) {
        if tasks.count < limit {
            tasks.append(task)
        } else {
            tasks[next] = task
            next = (next + 1) % limit
        }
    }
}
