/// What an inspector may ask, a line each.
package enum InspectionRequest: Equatable, Sendable, CustomStringConvertible {
    /// Who are you?
    case hello
    /// All loops and tasks.
    case tree(stacks: Bool)
    /// The loops alone.
    case loops
    /// What happens from now on, for so long.
    case trace(Duration, TraceForm)
    /// What has happened since the trace began that the program or its environment has asked for, which ends by this.
    case endTrace(TraceForm)
    /// Ends the connection.
    case quit

    /// The longest request, in bytes.
    package static let limit = 1024
    /// The longest trace that may be asked for.
    package static let longestTrace = Duration.seconds(3600)

    /// Nil for what is no request.
    package init?(_ line: String) {
        let words = line.split(separator: " ").map(String.init)
        switch words {
        case ["hello"]: self = .hello
        case ["tree"]: self = .tree(stacks: false)
        case ["tree", "stacks"]: self = .tree(stacks: true)
        case ["loops"]: self = .loops
        case ["quit"]: self = .quit
        default:
            guard words.count == 3, words[0] == "trace", let form = TraceForm(rawValue: words[2]) else { return nil }
            if words[1] == "end" {
                self = .endTrace(form)
            } else {
                guard let time = Self.time(words[1]) else { return nil }
                self = .trace(time, form)
            }
        }
    }

    /// Whether loops have to be visited for the answer.
    var captures: Bool {
        switch self {
        case .tree, .loops: true
        case .hello, .trace, .endTrace, .quit: false
        }
    }

    /// The line.
    package var description: String {
        switch self {
        case .hello: "hello"
        case .tree(let stacks): stacks ? "tree stacks" : "tree"
        case .loops: "loops"
        case .trace(let time, let form):
            "trace \(max(time / .milliseconds(1), 1).rounded(.up).whole)ms \(form.rawValue)"
        case .endTrace(let form): "trace end \(form.rawValue)"
        case .quit: "quit"
        }
    }

    /// `5s`, `1.5s`, `200ms`, `2m`.
    private static func time(_ text: String) -> Duration? {
        let number = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let units: [String: Double] = ["ms": 0.001, "s": 1, "m": 60]
        guard let count = Double(number), let unit = units[String(text.dropFirst(number.count))] else { return nil }
        let seconds = count * unit
        guard seconds > 0, seconds <= longestTrace / .seconds(1) else { return nil }
        return .seconds(seconds)
    }
}

/// How a trace is handed over.
package enum TraceForm: String, Sendable, CaseIterable {
    /// A page for browsers.
    case html
    /// Chrome's and Perfetto's trace events.
    case json
}

extension Double {
    fileprivate var whole: Int { Int(exactly: self) ?? .max }
}

/// What an inspector is answered with: the process's own, or a test's.
struct InspectionAnswers: Sendable {
    /// Who we are. Asks no loop.
    var process: @Sendable () -> ProcessLine
    /// What the loops and tasks are at; waits for the loops, for a while.
    var tree: @Sendable (_ stacks: Bool) -> TaskTree
    /// Begins a trace; why not, if it does not.
    var beginTrace: @Sendable () -> String?
    /// Ends the trace. Nil if nobody wants it any more.
    var endTrace: @Sendable (TraceForm?) -> [UInt8]
}
