import AsyncIO

/// A recording drawn in text: one lane for each task, time from left to right.
struct Timeline {
    /// What a cell shows, the most important first.
    enum Cell: Character, CaseIterable {
        case blocking = "!"
        case running = "#"
        case late = "~"
        case ready = ":"
        case waiting = "."
        case nothing = " "

        var meaning: String {
            switch self {
            case .blocking: "blocks the loop"
            case .running: "runs"
            case .late: "due, unnoticed"
            case .ready: "in the queue"
            case .waiting: "waits"
            case .nothing: ""
            }
        }
    }

    /// Who runs longer than this keeps the others waiting.
    static let blocks = Duration.milliseconds(30)

    let recording: Recording
    let lanes: [Lane]
    let width: Int
    private let paint: Paint
    private static let labelWidth = 9

    init(_ recording: Recording, width: Int = 56, paint: Paint) {
        self.recording = recording
        self.width = width
        self.paint = paint
        lanes = recording.actors.map { Lane.task($0, in: recording) } + [Lane.loop(in: recording)]
    }

    /// The lanes, the axis and the legend of what occurs.
    func lines(legend: Bool = true) -> [String] {
        let drawn = lanes.map { ($0, cells(of: $0)) }
        var lines = drawn.map { lane, cells in
            let tail = lane.end.map { " " + Self.milliseconds(recording.start.duration(to: $0)) } ?? ""
            return label(lane.name) + paint.cells(cells) + (lane.name == "the loop" ? "" : tail)
        }
        if !recording.marks.isEmpty { lines.append(label("") + marks) }
        lines.append(label("") + paint.dim(axis))
        guard legend else { return lines }
        let used = Cell.allCases.filter { cell in cell != .nothing && drawn.contains { $0.1.contains(cell) } }
        let entries = used.map { "\(paint.cells([$0])) \($0.meaning)" }
        return lines + [label("") + entries.joined(separator: "  ")]
    }

    // MARK: Steps

    /// One cell for each slice of time.
    func cells(of lane: Lane) -> [Cell] {
        (0..<width).map { column in
            let from = instant(column), to = instant(column + 1)
            var cell = Cell.nothing
            var most = Duration.zero
            for stretch in lane.stretches where stretch.touches(from, to) {
                let share = max(stretch.from, from).duration(to: min(stretch.to, to))
                if stretch.state == .running {
                    return stretch.from.duration(to: stretch.to) >= Self.blocks ? .blocking : .running
                }
                guard share > most else { continue }
                most = share
                let isLate = lane.due.map { from >= $0 } == true
                cell = stretch.state == .ready ? .ready : isLate ? .late : .waiting
            }
            return cell
        }
    }

    private func instant(_ column: Int) -> Instant {
        // What happens at the very end belongs to the last cell.
        if column == width { return recording.end.advanced(by: .nanoseconds(1)) }
        return recording.start.advanced(by: recording.duration * column / width)
    }

    /// `|0 ms      |100      |200`, at round times.
    private var axis: String {
        let total = max(recording.duration / .milliseconds(1), 1)
        let step = [10, 20, 50, 100, 200, 500].first { Double($0) * 7 > total } ?? 1000
        var text = ""
        var mark = 0
        while Double(mark) < total {
            let column = Int((Double(mark) / total * Double(width)).rounded())
            let word = mark == 0 ? "|0 ms" : "|\(mark)"
            if column + word.count > width { break }
            text += String(repeating: " ", count: max(column - text.count, 0)) + word
            mark += step
        }
        return text
    }

    /// Words at their instants, one after the other where they would overlap.
    private var marks: String {
        var text = ""
        for mark in recording.marks {
            let share = recording.start.duration(to: mark.instant) / max(recording.duration, .nanoseconds(1))
            let column = Int(share * Double(width))
            text += String(repeating: " ", count: max(column - text.count, text.isEmpty ? 0 : 1)) + mark.text
        }
        return String(text.prefix(width))
    }

    private func label(_ text: String) -> String {
        let text = text.prefix(Self.labelWidth - 1)
        return String(repeating: " ", count: Self.labelWidth - 1 - text.count) + text + " "
    }

    /// `400 ms`.
    static func milliseconds(_ duration: Duration) -> String {
        "\(Int((duration / .milliseconds(1)).rounded())) ms"
    }
}

extension Lane.Stretch {
    /// Whether a part of the stretch, which may have no length at all, lies in a slice of time.
    fileprivate func touches(_ from: Instant, _ to: Instant) -> Bool {
        self.from < to && (self.to > from || self.from == from)
    }
}

/// Colours, where they are welcome.
struct Paint: Sendable {
    let isOn: Bool

    func bold(_ text: String) -> String { paint(text, "1") }
    func dim(_ text: String) -> String { paint(text, "2") }
    func code(_ text: String) -> String { paint(text, "36") }

    /// Runs of equal cells share one colour.
    func cells(_ cells: [Timeline.Cell]) -> String {
        var text = ""
        for run in cells.runs {
            text += paint(String(run.map(\.rawValue)), run.first.map(Self.colour) ?? "")
        }
        return text
    }

    private static func colour(_ cell: Timeline.Cell) -> String {
        switch cell {
        case .blocking: "1;31"
        case .running: "1;32"
        case .late: "35"
        case .ready: "33"
        case .waiting, .nothing: "2"
        }
    }

    private func paint(_ text: String, _ colour: String) -> String {
        isOn ? "\u{1b}[\(colour)m\(text)\u{1b}[0m" : text
    }
}

extension Array where Element: Equatable {
    fileprivate var runs: [ArraySlice<Element>] {
        var runs: [ArraySlice<Element>] = []
        var start = startIndex
        for index in indices.dropFirst() where self[index] != self[index - 1] {
            runs.append(self[start..<index])
            start = index
        }
        return isEmpty ? [] : runs + [self[start...]]
    }
}
