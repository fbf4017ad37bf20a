import AsyncIOKernel

/// What the loops of a process did in a stretch of time: a value that can be kept, sent on, and written as a page for
/// people or as a file for other tools.
public struct TraceRecording: Sendable {
    /// The process's id.
    public var process: Int32
    /// What was run: the last part of its path.
    public var program: String
    var start: Instant
    var end: Instant
    var loops: [Loop]
    /// What could not be recorded, and why: a line each.
    public var notes: [String] = []

    /// How long the recording went on.
    public var duration: Duration { start.duration(to: end) }
    /// How many events it has.
    public var eventCount: Int { loops.reduce(0) { $0 + $1.events.count } }
    /// How many events were forgotten because newer ones needed their places.
    public var lostEventCount: Int { loops.reduce(0) { $0 + $1.lost } }
    /// How many tasks it knows.
    public var taskCount: Int { loops.reduce(0) { $0 + $1.tasks.count } }
    /// The names of the loops, in the order of their beginnings.
    public var loopNames: [String] { loops.map(\.name) }

    /// What one loop did.
    struct Loop: Sendable {
        var number: Int
        var name: String
        var driver: String
        var thread: Int32
        var events: [TraceEvent]
        /// The names of the operations, by ``TraceEvent/name``.
        var names: [String]
        /// The names of locks, queues and the like, by ``TraceEvent/number``.
        var places: [String] = []
        var descriptors: [DescriptorNames.Name] = []
        var tasks: [Task]
        var lost = 0

        func name(of event: TraceEvent) -> String {
            names.indices.contains(Int(event.name)) ? names[Int(event.name)] : "operation"
        }
    }

    /// What is known of a task, whatever the events tell.
    struct Task: Sendable, Equatable {
        var id: UInt64
        var name: String?
        /// The task that it is a child of, or 0.
        var parent: UInt64 = 0
        /// Who created it, or 0.
        var creator: UInt64 = 0
        /// Where its code begins: an address, and the function's name if somebody has found it out.
        var entryPoint: UInt = 0
        var origin: String?
        /// When it was first seen.
        var first: Instant
        var isOver = false
        /// What it does at the end of the recording, and since when.
        var phase = TaskTable.Phase.waiting
        var since: Instant
        /// What it waits for: an operation's name, or a place's kind.
        var operation: String?
        var descriptor: Int32 = -1
        /// The name of the place.
        var place: String?
    }
}

extension TraceRecording {
    /// Finds the functions in which the tasks began. Reads files: not on a loop's thread.
    mutating func nameOrigins() {
        var names: [UInt: String?] = [0: nil]
        for loop in loops.indices {
            for task in loops[loop].tasks.indices {
                let address = loops[loop].tasks[task].entryPoint
                if names[address] == nil { names[address] = Symbols.origin(of: [address])?.function }
                loops[loop].tasks[task].origin = names[address] ?? nil
            }
        }
    }
}

extension TraceRecording.Loop {
    /// The name of a descriptor at an instant.
    func name(of descriptor: Int32, at time: Int64, in index: [Int32: [Int]]) -> String? {
        guard descriptor >= 0, let places = index[descriptor] else { return nil }
        // A descriptor has few names, and is asked for at the end of a wait as well as at its beginning.
        let place = places.last { descriptors[$0].since <= time } ?? places.first
        return place.map { descriptors[$0].text }
    }

    /// Where the names of each descriptor stand.
    var namesOfDescriptors: [Int32: [Int]] {
        var index: [Int32: [Int]] = [:]
        for (place, name) in descriptors.enumerated() { index[name.descriptor, default: []].append(place) }
        return index
    }
}
