import AsyncIO
import Synchronization

/// What a loop did in a stretch of time, as its own instrument saw it.
struct Recording: Sendable {
    /// One thing that happened.
    enum Moment: Equatable, Sendable {
        /// The task was put into the ready queue.
        case queued(TaskID)
        /// The task runs from here on.
        case began(TaskID)
        /// The task that ran has suspended or ended.
        case paused(TaskID)
        /// The running task has asked for an operation; the number is the operation's if the task has to wait for it.
        case asked(TaskID, operation: String, descriptor: Int32, waits: Int?)
        /// An operation that was waited for has ended.
        case answered(Int, result: Int)
        /// The loop asks the system, and may sleep.
        case sleeps
        /// The system has answered.
        case woke(completions: Int)
    }

    struct Entry: Equatable, Sendable {
        let instant: Instant
        let moment: Moment
    }

    /// A task that has said who it is.
    struct Actor: Equatable, Sendable {
        let task: TaskID
        let name: String
        /// When the timer that it waits for is due.
        var due: Instant?
    }

    /// A word at an instant.
    struct Mark: Equatable, Sendable {
        let instant: Instant
        let text: String
    }

    var start: Instant
    var end: Instant
    var entries: [Entry] = []
    /// In the order of their first words.
    var actors: [Actor] = []
    /// What is written below the lanes.
    var marks: [Mark] = []

    func actor(_ name: String) -> Actor? { actors.first { $0.name == name } }

    var duration: Duration { start.duration(to: end) }
}

/// The instrument that writes a ``Recording``. The loop calls it at each of its steps.
final class Recorder: Instrument, Sendable {
    fileprivate struct State {
        var recording: Recording?
        var running: TaskID?
        var numbers: [OperationID: Int] = [:]
    }

    private let state = Mutex(State())

    func record(_ event: LoopEvent, at instant: Instant) {
        state.withLock { state in
            guard let moment = state.moment(event) else { return }
            state.recording?.entries.append(Recording.Entry(instant: instant, moment: moment))
        }
    }

    /// Records what happens while the body runs.
    func record(on loop: EventLoop, _ body: () async throws -> Void) async throws -> Recording {
        let start = loop.now
        state.withLock { $0.recording = Recording(start: start, end: start) }
        try await body()
        return state.withLock { state in
            var recording = state.recording ?? Recording(start: start, end: start)
            recording.end = loop.now
            state.recording = nil
            return recording
        }
    }

    /// To be called by a task: gives it a lane in the timeline, under its name.
    func introduce(due: Instant? = nil) {
        let name = Task.name ?? "?"
        state.withLock { state in
            guard let running = state.running else { return }
            state.recording?.actors.append(Recording.Actor(task: running, name: name, due: due))
        }
    }

    /// Writes a word below the lanes.
    func mark(_ text: String, at instant: Instant) {
        state.withLock { $0.recording?.marks.append(Recording.Mark(instant: instant, text: text)) }
    }
}

extension Recorder.State {
    fileprivate mutating func moment(_ event: LoopEvent) -> Recording.Moment? {
        switch event {
        case .queued(let task):
            return .queued(task)
        case .jobWillRun(let task):
            running = task
            return .began(task)
        case .jobDidRun(let task):
            running = nil
            return .paused(task)
        case .operation(let name, let descriptor, let state):
            guard let running else { return nil }
            return .asked(running, operation: name, descriptor: descriptor, waits: number(of: state))
        case .resumed(let operation, let result):
            guard let number = numbers.removeValue(forKey: operation) else { return nil }
            return .answered(number, result: result)
        case .waitBegan: return .sleeps
        case .waitEnded(let completions): return .woke(completions: completions)
        default: return nil
        }
    }

    private mutating func number(of state: LoopEvent.OperationState) -> Int? {
        guard case .waits(let operation) = state else { return nil }
        let number = (recording?.entries.count ?? 0) + 1
        numbers[operation] = number
        return number
    }
}
