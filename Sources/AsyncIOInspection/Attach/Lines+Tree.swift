import AsyncIOKernel

// A task tree as lines, and back.
//
// A task's line is followed by those of its places in code: `origin`, then a `frame` for each function of its stack.

extension LineWriter {
    mutating func add(_ process: ProcessLine) {
        begin("process")
        add("pid", process.pid)
        add("program", process.program)
        add("protocol", process.version)
        add("loops", process.loops)
        add("tasks", process.tasks)
        add("age", process.age)
        end()
    }

    mutating func add(_ loop: LoopView) {
        begin("loop")
        add("number", loop.number)
        add("name", loop.name)
        add("driver", loop.driver)
        add("thread", loop.thread)
        add("ticks", loop.ticks)
        add("jobs", loop.jobs)
        add("operations", loop.operations)
        add("waiting", loop.waitingOperations)
        add("timers", loop.pendingTimers)
        add("ready", loop.ready)
        add("busy", loop.busy)
        add("age", loop.age)
        add("lag", loop.lag)
        add("longest", loop.longestRun)
        add("resting", loop.isResting)
        end()
    }

    mutating func add(_ task: TaskView) {
        begin("task")
        add("id", task.id)
        add("name", task.name)
        add("loop", task.loop)
        add("parent", task.parent)
        add("creator", task.creator)
        add("kind", task.kind.rawValue)
        add("state", task.state.rawValue)
        if let wait = task.wait {
            add("wait", wait.kind)
            add("target", wait.target)
            add("standing", wait.standing)
            add("fd", wait.descriptor)
            add("left", wait.left)
            add("by", wait.tasks)
        }
        add("since", task.since)
        add("age", task.age)
        add("cpu", task.runTime)
        add("runs", task.runs)
        add("longest", task.longestRun)
        add("cancelled", task.isCancelled)
        end()
        if let origin = task.origin { addCopy(of: origin) { $0.add(origin, as: "origin") } }
        for frame in task.stack { add(frame, as: "frame") }
    }

    private mutating func add(_ frame: Frame, as kind: String) {
        begin(kind)
        add("address", frame.address)
        add("function", frame.function)
        add("file", frame.file)
        add("line", frame.line)
        add("image", frame.image)
        add("offset", frame.offset)
        end()
    }

    mutating func add(note: String) {
        begin("note")
        add("text", note)
        end()
    }

    /// A tree without its process's line, which comes first.
    mutating func addContents(of tree: TaskTree) {
        for loop in tree.loops { add(loop) }
        for task in tree.tasks { add(task) }
        for note in tree.notes { add(note: note) }
    }
}

/// What a process says of itself first.
package struct ProcessLine: Equatable, Sendable {
    package var pid: Int32
    package var program: String
    /// The number of the protocol: who asks understands it, or says that it does not.
    package var version = Self.currentVersion
    package var loops: Int
    /// How many tasks there are, where they were counted.
    package var tasks: Int?
    /// Since when it has been inspected.
    package var age: Duration

    package static let currentVersion = 1

    init(pid: Int32, program: String, loops: Int, tasks: Int? = nil, age: Duration) {
        self.pid = pid
        self.program = program
        self.loops = loops
        self.tasks = tasks
        self.age = age
    }

    init(_ record: Record) throws(LineError) {
        pid = try record.required("pid", record.number("pid"))
        program = try record.required("program", record.text("program"))
        version = try record.required("protocol", record.number("protocol"))
        loops = try record.required("loops", record.number("loops"))
        tasks = try record.number("tasks")
        age = try record.required("age", record.duration("age"))
    }
}

/// Puts the records of an answer together.
package struct TreeReader {
    package private(set) var process: ProcessLine?
    package private(set) var tree: TaskTree?
    /// Most tasks of a program begin in the same few places.
    private var lastOrigin: (record: Record, frame: Frame)?

    package init() {}

    /// Takes the next record. A kind that it does not know is passed over: it may come from a newer process.
    package mutating func take(_ record: Record) throws(LineError) {
        switch record.kind {
        case "process":
            let process = try ProcessLine(record)
            guard process.version <= ProcessLine.currentVersion else {
                throw LineError(line: record.line, reason: "protocol \(process.version) is newer than this program")
            }
            self.process = process
            tree = TaskTree(process: process.pid, program: process.program, loops: [], tasks: [], notes: [])
        case "loop":
            let loop = try LoopView(record)
            tree?.loops.append(loop)
        case "task":
            let task = try TaskView(record)
            tree?.tasks.append(task)
        case "origin":
            let frame = try origin(record)
            if let last = tree?.tasks.indices.last { tree?.tasks[last].origin = frame }
        case "frame":
            let frame = try Frame(record)
            if let last = tree?.tasks.indices.last { tree?.tasks[last].stack.append(frame) }
        case "note":
            let note = try record.required("text", record.text("text"))
            tree?.notes.append(note)
        default: break
        }
        if tree == nil { throw LineError(line: record.line, reason: "\(record.kind) before process") }
    }
}

extension TreeReader {
    fileprivate mutating func origin(_ record: Record) throws(LineError) -> Frame {
        if let lastOrigin, lastOrigin.record.says(theSameAs: record) { return lastOrigin.frame }
        let frame = try Frame(record)
        lastOrigin = (record, frame)
        return frame
    }
}

extension LoopView {
    fileprivate init(_ record: Record) throws(LineError) {
        self.init(
            number: try record.required("number", record.number("number")),
            name: try record.required("name", record.text("name")), driver: try record.text("driver") ?? "?",
            thread: try record.number("thread") ?? 0, ticks: try record.number("ticks") ?? 0,
            jobs: try record.number("jobs") ?? 0, operations: try record.number("operations") ?? 0,
            waitingOperations: try record.number("waiting") ?? 0, pendingTimers: try record.number("timers") ?? 0,
            ready: try record.number("ready") ?? 0, busy: try record.duration("busy") ?? .zero,
            age: try record.duration("age") ?? .zero, lag: try record.duration("lag") ?? .zero,
            longestRun: try record.duration("longest") ?? .zero, isResting: try record.flag("resting"))
    }
}

extension TaskView {
    fileprivate init(_ record: Record) throws(LineError) {
        var wait: Wait?
        if let kind = try record.text("wait") {
            wait = Wait(
                kind: kind, target: try record.text("target"), standing: try record.text("standing"),
                descriptor: try record.number("fd"), left: try record.duration("left"), tasks: try record.ids("by"))
        }
        self.init(
            id: try record.required("id", record.number("id")), name: try record.text("name"),
            loop: try record.number("loop") ?? 0, parent: try record.number("parent"),
            creator: try record.number("creator"), kind: try record.word("kind") ?? .unknown, origin: nil,
            state: try record.required("state", record.word("state")), wait: wait,
            since: try record.duration("since") ?? .zero, age: try record.duration("age") ?? .zero,
            runTime: try record.duration("cpu") ?? .zero, runs: try record.number("runs") ?? 0,
            longestRun: try record.duration("longest") ?? .zero, isCancelled: try record.flag("cancelled"), stack: [])
    }
}

extension Frame {
    fileprivate init(_ record: Record) throws(LineError) {
        self.init(
            address: try record.required("address", record.number("address")), function: try record.text("function"),
            file: try record.text("file"), line: try record.number("line"), image: try record.text("image"),
            offset: try record.number("offset"))
    }
}
