import AsyncIOInspection

/// A value of JSON (RFC 8259), to be written.
indirect enum JSONValue: CustomStringConvertible {
    case text(String?)
    case number(String)
    case flag(Bool)
    case list([JSONValue])
    case object([(String, JSONValue)])

    static func number(_ number: (some BinaryInteger)?) -> JSONValue { number.map { .number("\($0)") } ?? .text(nil) }

    /// In seconds, to the nanosecond.
    static func time(_ duration: Duration?) -> JSONValue {
        guard let duration else { return .text(nil) }
        let (seconds, rest) = duration.components
        let isNegative = seconds < 0 || rest < 0
        var digits = String(rest.magnitude / 1_000_000_000)
        digits = String(repeating: "0", count: 9 - digits.count) + digits
        while digits.hasSuffix("0") && digits.count > 1 { digits.removeLast() }
        return .number("\(isNegative ? "-" : "")\(seconds.magnitude).\(digits)")
    }

    var description: String {
        var bytes: [UInt8] = []
        write(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    private func write(to bytes: inout [UInt8]) {
        switch self {
        case .text(let value?): JSONString.write(value, to: &bytes)
        case .text(nil): bytes += "null".utf8
        case .number(let digits): bytes += digits.utf8
        case .flag(let flag): bytes += (flag ? "true" : "false").utf8
        case .list(let values):
            bytes += "[".utf8
            for (index, value) in values.enumerated() {
                if index > 0 { bytes += ",".utf8 }
                value.write(to: &bytes)
            }
            bytes += "]".utf8
        case .object(let members):
            bytes += "{".utf8
            for (index, (name, value)) in members.enumerated() {
                if index > 0 { bytes += ",".utf8 }
                JSONString.write(name, to: &bytes)
                bytes += ":".utf8
                value.write(to: &bytes)
            }
            bytes += "}".utf8
        }
    }
}

extension JSONValue {
    /// A task tree, with times in seconds.
    init(_ tree: TaskTree) {
        self = .object([
            ("process", .number(tree.process)), ("program", .text(tree.program)),
            ("loops", .list(tree.loops.map(JSONValue.init))), ("tasks", .list(tree.tasks.map(JSONValue.init))),
            ("notes", .list(tree.notes.map { .text($0) })),
        ])
    }

    private init(_ loop: LoopView) {
        self = .object([
            ("number", .number(loop.number)), ("name", .text(loop.name)), ("driver", .text(loop.driver)),
            ("thread", .number(loop.thread)), ("ticks", .number(loop.ticks)), ("jobs", .number(loop.jobs)),
            ("operations", .number(loop.operations)), ("waitingOperations", .number(loop.waitingOperations)),
            ("pendingTimers", .number(loop.pendingTimers)), ("ready", .number(loop.ready)), ("busy", .time(loop.busy)),
            ("age", .time(loop.age)), ("lag", .time(loop.lag)), ("longestRun", .time(loop.longestRun)),
        ])
    }

    private init(_ task: TaskView) {
        var members: [(String, JSONValue)] = [
            ("id", .number(task.id)), ("name", .text(task.name)), ("loop", .number(task.loop)),
            ("parent", .number(task.parent)), ("creator", .number(task.creator)), ("kind", .text(task.kind.rawValue)),
            ("origin", task.origin.map(JSONValue.init) ?? .text(nil)), ("state", .text(task.state.rawValue)),
            ("wait", task.wait.map(JSONValue.init) ?? .text(nil)), ("since", .time(task.since)),
            ("age", .time(task.age)),
            ("runTime", .time(task.runTime)), ("runs", .number(task.runs)), ("longestRun", .time(task.longestRun)),
            ("isCancelled", .flag(task.isCancelled)),
        ]
        if !task.stack.isEmpty { members.append(("stack", .list(task.stack.map(JSONValue.init)))) }
        self = .object(members)
    }

    private init(_ wait: Wait) {
        self = .object([
            ("kind", .text(wait.kind)), ("target", .text(wait.target)), ("standing", .text(wait.standing)),
            ("descriptor", .number(wait.descriptor)), ("left", .time(wait.left)),
            ("tasks", .list(wait.tasks.map { .number($0) })),
        ])
    }

    private init(_ frame: Frame) {
        self = .object([
            ("address", .text("0x" + String(frame.address, radix: 16))), ("function", .text(frame.function)),
            ("file", .text(frame.file)), ("line", .number(frame.line)), ("image", .text(frame.image)),
            ("offset", .number(frame.offset)),
        ])
    }
}
