import AsyncIOInspection

/// A value of JSON (RFC 8259), to be written.
indirect enum JSONText: CustomStringConvertible {
    case text(String?)
    case number(String)
    case flag(Bool)
    case list([JSONText])
    case object([(String, JSONText)])

    static func number(_ number: (some BinaryInteger)?) -> JSONText { number.map { .number("\($0)") } ?? .text(nil) }

    /// In seconds, to the nanosecond.
    static func time(_ duration: Duration?) -> JSONText {
        guard let duration else { return .text(nil) }
        let (seconds, rest) = duration.components
        let isNegative = seconds < 0 || rest < 0
        var digits = String(rest.magnitude / 1_000_000_000)
        digits = String(repeating: "0", count: 9 - digits.count) + digits
        while digits.hasSuffix("0") && digits.count > 1 { digits.removeLast() }
        return .number("\(isNegative ? "-" : "")\(seconds.magnitude).\(digits)")
    }

    var description: String {
        var text = ""
        write(to: &text)
        return text
    }

    private func write(to text: inout String) {
        switch self {
        case .text(let value): if let value { Self.write(value, to: &text) } else { text += "null" }
        case .number(let digits): text += digits
        case .flag(let flag): text += flag ? "true" : "false"
        case .list(let values):
            text += "["
            for (index, value) in values.enumerated() {
                if index > 0 { text += "," }
                value.write(to: &text)
            }
            text += "]"
        case .object(let members):
            text += "{"
            for (index, (name, value)) in members.enumerated() {
                if index > 0 { text += "," }
                Self.write(name, to: &text)
                text += ":"
                value.write(to: &text)
            }
            text += "}"
        }
    }

    private static func write(_ value: String, to text: inout String) {
        text += "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            // C1 controls are allowed, but this may be read on a terminal.
            case _ where scalar.value < 0x20 || (0x7f..<0xa0).contains(scalar.value):
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}

extension JSONText {
    /// A task tree, with times in seconds.
    init(_ tree: TaskTree) {
        self = .object([
            ("process", .number(tree.process)), ("program", .text(tree.program)),
            ("loops", .list(tree.loops.map(JSONText.init))), ("tasks", .list(tree.tasks.map(JSONText.init))),
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
        var members: [(String, JSONText)] = [
            ("id", .number(task.id)), ("name", .text(task.name)), ("loop", .number(task.loop)),
            ("parent", .number(task.parent)), ("creator", .number(task.creator)), ("kind", .text(task.kind.rawValue)),
            ("origin", task.origin.map(JSONText.init) ?? .text(nil)), ("state", .text(task.state.rawValue)),
            ("wait", task.wait.map(JSONText.init) ?? .text(nil)), ("since", .time(task.since)),
            ("age", .time(task.age)),
            ("runTime", .time(task.runTime)), ("runs", .number(task.runs)), ("longestRun", .time(task.longestRun)),
            ("isCancelled", .flag(task.isCancelled)),
        ]
        if !task.stack.isEmpty { members.append(("stack", .list(task.stack.map(JSONText.init)))) }
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
