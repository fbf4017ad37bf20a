import AsyncIOKernel

/// Makes lanes of a loop's events.
struct Lanes {
    private let loop: TraceRecording.Loop
    private let descriptors: [Int32: [Int]]
    private let start: Int64
    private let end: Int64
    private var works = Lane(task: 0)
    private var sleeps = false
    private var loopSince: Int64
    private var tasks: [Progress] = []
    private var places: [UInt64: Int] = [:]
    /// The tasks that wait for operations, by the operations' numbers.
    private var waiting: [UInt64: Int] = [:]
    private var cause = Lane.Waker.unknown

    /// A task's lane, and the span that has not ended.
    fileprivate struct Progress {
        var lane: Lane
        var fact: TraceRecording.Task?
        var current: Lane.Span?
        /// It was queued while it ran: by whom.
        var again: Lane.Waker?
        /// What it has asked for since it began to run.
        var asked: TraceEvent?
    }

    /// The lanes of a loop: its own first, then those of its tasks in the order of their creation.
    static func of(_ loop: TraceRecording.Loop, from start: Int64, to end: Int64) -> [Lane] {
        var lanes = Lanes(loop, start, end)
        for event in loop.events { lanes.take(event) }
        return lanes.finish()
    }

    private init(_ loop: TraceRecording.Loop, _ start: Int64, _ end: Int64) {
        self.loop = loop
        descriptors = loop.namesOfDescriptors
        let first = loop.events.first?.time ?? start
        // What was written over is not known.
        self.start = loop.lost > 0 ? max(start, first) : start
        self.end = max(end, loop.events.last?.time ?? end)
        loopSince = max(self.start, first)
        for fact in loop.tasks.sorted(by: { $0.id < $1.id }) {
            guard places[fact.id] == nil else { continue }
            places[fact.id] = tasks.count
            var progress = Progress(lane: Lane(task: fact.id), fact: fact)
            if fact.first.nanoseconds <= self.start {
                progress.current = Lane.Span(start: self.start, end: self.start, state: .unknown)
            }
            tasks.append(progress)
        }
    }

    private mutating func place(of task: UInt64) -> Int {
        if let place = places[task] { return place }
        places[task] = tasks.count
        tasks.append(Progress(lane: Lane(task: task)))
        return tasks.count - 1
    }

    // MARK: One event after the other

    private mutating func take(_ event: TraceEvent) {
        switch event.kind {
        case .queued: queued(place(of: event.task), by: event.other, at: event.time)
        case .began:
            let place = place(of: event.task)
            tasks[place].asked = nil
            tasks[place].enter(Lane.Span(start: event.time, end: event.time, state: .running))
        case .paused: paused(place(of: event.task), at: event.time)
        case .over:
            let place = place(of: event.task)
            // What it seemed to wait for since its last run, was nothing.
            if tasks[place].current?.start == event.time { tasks[place].current = nil }
            tasks[place].close(at: event.time)
            tasks[place].lane.isOver = true
        case .parks: parks(event)
        case .did: did(event)
        case .asked: asked(event)
        case .answered: answered(event)
        case .fired: mark(event, .fired, cause: .timer)
        case .inbox: mark(event, .inbox, cause: .outside)
        case .tick: mark(event, .tick, cause: .unknown)
        case .asleep:
            guard event.other != 0 else { return }
            turn(to: .working, endedAt: event.time)
            sleeps = true
        case .awake:
            cause = .unknown
            guard sleeps else { return }
            turn(to: .asleep, endedAt: event.time)
            sleeps = false
            mark(event, .awake, cause: .unknown)
        }
    }

    private mutating func queued(_ place: Int, by task: UInt64, at time: Int64) {
        let waker = task == 0 ? cause : Lane.Waker.task(task)
        if tasks[place].current?.state == .running {
            tasks[place].again = waker
        } else {
            tasks[place].wake(waker, at: time)
        }
    }

    private mutating func paused(_ place: Int, at time: Int64) {
        let again = tasks[place].again
        tasks[place].again = nil
        // It ran already when the recording began.
        if tasks[place].current?.state == .unknown { tasks[place].current?.state = .running }
        if let again {
            tasks[place].enter(Lane.Span(start: time, end: time, state: .ready, waker: again))
        } else if let asked = tasks[place].asked {
            let name = loop.name(of: asked)
            tasks[place].enter(
                Lane.Span(
                    start: time, end: time, state: Lane.State(waitingFor: name), operation: name,
                    target: target(asked)))
        } else {
            tasks[place].enter(Lane.Span(start: time, end: time, state: .parked))
        }
    }

    private mutating func parks(_ event: TraceEvent) {
        let place = place(of: event.task)
        guard tasks[place].current?.state == .parked else { return }
        let kind = loop.name(of: event)
        tasks[place].current?.state = Lane.State(waitingAt: kind)
        tasks[place].current?.operation = kind
        tasks[place].current?.holder = event.other
        let number = Int(event.number)
        if loop.places.indices.contains(number) { tasks[place].current?.target = loop.places[number] }
    }

    private mutating func did(_ event: TraceEvent) {
        let mark = Lane.Mark(
            time: event.time, kind: .did, operation: loop.name(of: event), target: target(event), number: event.number)
        if event.task == 0 {
            works.marks.append(mark)
        } else {
            tasks[place(of: event.task)].lane.marks.append(mark)
        }
    }

    private mutating func asked(_ event: TraceEvent) {
        guard event.task != 0 else { return }
        let place = place(of: event.task)
        tasks[place].asked = event
        waiting[event.other] = place
    }

    private mutating func answered(_ event: TraceEvent) {
        cause = .operation
        guard let place = waiting.removeValue(forKey: event.other) else { return }
        if tasks[place].asked?.other == event.other {
            tasks[place].asked = nil
            if tasks[place].current?.operation != nil { tasks[place].current?.result = event.number }
        }
    }

    private mutating func mark(_ event: TraceEvent, _ kind: Lane.Mark.Kind, cause: Lane.Waker) {
        self.cause = cause
        works.marks.append(Lane.Mark(time: event.time, kind: kind, number: event.number))
    }

    private mutating func turn(to state: Lane.State, endedAt time: Int64) {
        works.spans.append(Lane.Span(start: loopSince, end: time, state: state))
        loopSince = time
    }

    private func target(_ event: TraceEvent) -> String? {
        guard event.number >= 0 else { return nil }
        let name = loop.name(of: event.number, at: event.time, in: descriptors)
        return name ?? "descriptor \(event.number)"
    }

    // MARK: The end

    private mutating func finish() -> [Lane] {
        works.spans.append(Lane.Span(start: loopSince, end: end, state: sleeps ? .asleep : .working))
        for place in tasks.indices {
            describeWait(of: place)
            tasks[place].close(at: end)
        }
        return [works] + tasks.map(\.lane).filter { !$0.spans.isEmpty || !$0.marks.isEmpty }
    }

    /// A task without an event: what the register knows of it.
    private mutating func describeWait(of place: Int) {
        guard let fact = tasks[place].fact, !fact.isOver, tasks[place].current?.state == .unknown,
            let operation = fact.operation
        else { return }
        if let name = fact.place {
            tasks[place].current?.state = Lane.State(waitingAt: operation)
            tasks[place].current?.target = name.isEmpty ? nil : name
        } else {
            tasks[place].current?.state = Lane.State(waitingFor: operation)
        }
        tasks[place].current?.operation = operation
        guard fact.descriptor >= 0 else { return }
        tasks[place].current?.target =
            loop.name(of: fact.descriptor, at: .max, in: descriptors) ?? "descriptor \(fact.descriptor)"
    }
}

extension Lanes.Progress {
    fileprivate mutating func close(at time: Int64) {
        guard var span = current else { return }
        span.end = max(time, span.start)
        current = nil
        lane.spans.append(span)
    }

    fileprivate mutating func enter(_ span: Lane.Span) {
        close(at: span.start)
        current = span
    }

    /// The wait is over; who has ended it may tell what it was for.
    fileprivate mutating func wake(_ waker: Lane.Waker, at time: Int64) {
        if current?.state == .ready { return }
        if current?.state == .parked, waker == .timer { current?.state = .sleeping }
        enter(Lane.Span(start: time, end: time, state: .ready, waker: waker))
    }
}

extension Lane.State {
    /// The wait at a place.
    init(waitingAt kind: String) {
        switch kind {
        case "sleep": self = .sleeping
        case "offloaded work": self = .otherOperation
        default: self = .parked
        }
    }

    /// The wait for an operation.
    init(waitingFor operation: String) {
        switch operation {
        case "read", "accept", "wait readable": self = .reading
        case "write", "connect", "send file", "close writing", "wait writable": self = .writing
        case "sleep": self = .sleeping
        default: self = .otherOperation
        }
    }
}
