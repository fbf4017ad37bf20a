import AsyncIOKernel

/// A recording in the format of Chrome's tracing, which ui.perfetto.dev and chrome://tracing open.
///
/// Each loop is a process, with a thread for the loop itself and one for each task. Runs, waits and time in the ready
/// queue are complete events; operations that were done at once are instants; arrows lead from who woke a task to its
/// next run.
struct ChromeTrace {
    private let recording: TraceRecording
    private var text: JSONText
    private var flows = 0
    private var isFirst = true

    /// Writes a recording in pieces.
    static func write(_ recording: TraceRecording, to sink: @escaping ([UInt8]) throws -> Void) throws {
        var trace = ChromeTrace(recording, to: sink)
        try trace.write()
    }

    private init(_ recording: TraceRecording, to sink: @escaping ([UInt8]) throws -> Void) {
        self.recording = recording
        text = JSONText(to: sink)
    }

    private mutating func write() throws {
        text.raw("{\"displayTimeUnit\":\"ms\",\"otherData\":{\"program\":")
        text.string(recording.program)
        text.raw(",\"process\":\"\(recording.process)\",\"lost\":\"\(recording.lostEventCount)\"")
        if !recording.notes.isEmpty {
            text.raw(",\"notes\":")
            text.string(recording.notes.joined(separator: " "))
        }
        text.raw("},\"traceEvents\":[")
        for loop in recording.loops {
            let lanes = Lanes.of(loop, from: recording.start.nanoseconds, to: recording.end.nanoseconds)
            let names = Dictionary(loop.tasks.map { ($0.id, $0) }) { first, _ in first }
            begin("M", "process_name", loop, 0)
            text.raw(",\"args\":{\"name\":")
            text.string("loop \(loop.name) (\(loop.driver), thread \(loop.thread)) of \(recording.program)")
            text.raw("}}")
            let runs = Set(lanes.map(\.task))
            for lane in lanes {
                name(lane, names[lane.task], loop)
                for span in lane.spans { try write(span, of: lane, loop, runs) }
                for mark in lane.marks { try write(mark, of: lane, loop) }
            }
        }
        text.raw("]}\n")
        try text.flush(isLast: true)
    }

    private mutating func begin(_ phase: StaticString, _ name: String, _ loop: TraceRecording.Loop, _ task: UInt64) {
        text.raw(isFirst ? "\n{\"ph\":\"" : ",\n{\"ph\":\"")
        isFirst = false
        text.raw(phase)
        text.raw("\",\"pid\":")
        text.number(loop.number)
        text.raw(",\"tid\":")
        text.number(task)
        text.raw(",\"name\":")
        text.string(name)
    }

    private mutating func at(_ time: Int64, key: StaticString = ",\"ts\":") {
        text.raw(key)
        text.microseconds(time - recording.start.nanoseconds)
    }

    private mutating func name(_ lane: Lane, _ task: TraceRecording.Task?, _ loop: TraceRecording.Loop) {
        begin("M", "thread_name", loop, lane.task)
        text.raw(",\"args\":{\"name\":")
        text.string(lane.task == 0 ? "the loop" : (task?.name ?? task?.origin).map { "\($0) #\(lane.task)" } ?? "task")
        text.raw("}}")
        begin("M", "thread_sort_index", loop, lane.task)
        text.raw(",\"args\":{\"sort_index\":")
        text.number(lane.task)
        text.raw("}}")
    }

    private mutating func write(
        _ span: Lane.Span, of lane: Lane, _ loop: TraceRecording.Loop, _ known: Set<UInt64>
    ) throws {
        begin("X", span.title, loop, lane.task)
        text.raw(",\"cat\":")
        text.string(span.category)
        at(span.start)
        text.raw(",\"dur\":")
        text.microseconds(span.end - span.start)
        text.raw(",\"args\":{")
        var separator: StaticString = ""
        if let target = span.target {
            text.raw("\"target\":")
            text.string(target)
            separator = ","
        }
        if let result = span.result {
            text.raw(separator)
            text.raw("\"result\":")
            text.number(result)
        }
        if span.state == .ready {
            text.raw(separator)
            text.raw("\"woken by\":")
            text.string(span.waker.text)
        }
        text.raw("}}")
        if span.state == .ready { arrow(span, to: lane, loop, known) }
        try text.flush()
    }

    /// From whoever queued the task to the end of its time in the queue, where its run begins.
    private mutating func arrow(
        _ span: Lane.Span, to lane: Lane, _ loop: TraceRecording.Loop, _ known: Set<UInt64>
    ) {
        var source: UInt64 = 0
        if case .task(let task) = span.waker { source = task }
        // A task of another loop has its lane there.
        guard known.contains(source), source != lane.task else { return }
        flows += 1
        for (phase, task, time) in [("s", source, span.start), ("f", lane.task, span.end)] as [(_, UInt64, Int64)] {
            begin(phase == "s" ? "s" : "f", "wake-up", loop, task)
            text.raw(",\"cat\":\"wake-up\",\"id\":")
            text.number(flows)
            at(time)
            text.raw(phase == "s" ? "}" : ",\"bp\":\"e\"}")
        }
    }

    private mutating func write(_ mark: Lane.Mark, of lane: Lane, _ loop: TraceRecording.Loop) throws {
        begin("i", mark.title, loop, lane.task)
        text.raw(",\"cat\":\"mark\",\"s\":\"t\"")
        at(mark.time)
        text.raw(",\"args\":{")
        if let target = mark.target {
            text.raw("\"target\":")
            text.string(target)
        } else {
            text.raw("\"number\":")
            text.number(mark.number)
        }
        text.raw("}}")
        try text.flush()
    }
}

extension Lane.Span {
    fileprivate var title: String {
        switch state {
        case .running: "run"
        case .ready: "ready"
        case .parked: operation ?? "parked"
        case .unknown: "unknown"
        case .working: "work"
        case .asleep: "asleep"
        case .reading, .writing, .sleeping, .otherOperation: operation ?? "sleep"
        }
    }

    fileprivate var category: String {
        switch state {
        case .running: "run"
        case .ready: "ready"
        case .working, .asleep: "loop"
        default: "wait"
        }
    }
}

extension Lane.Waker {
    fileprivate var text: String {
        switch self {
        case .unknown: "unknown"
        case .operation: "its operation"
        case .timer: "a timer"
        case .outside: "another thread"
        case .task(let id): "task #\(id)"
        }
    }
}

extension Lane.Mark {
    fileprivate var title: String {
        switch kind {
        case .did: operation ?? "operation"
        case .tick: "tick"
        case .fired: "timer"
        case .inbox: "inbox"
        case .awake: "awake"
        }
    }
}
