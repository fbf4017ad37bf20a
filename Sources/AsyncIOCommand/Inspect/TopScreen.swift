import AsyncIOInspection

/// What `asyncio top` draws: a screen of lines.
struct TopScreen {
    /// A line, and how it is drawn.
    struct Line: Equatable {
        enum Style { case plain, bold, reverse }

        let text: String
        var style = Style.plain
    }

    private let model: TopModel
    private let columns: Int
    /// As many as the screen has rows.
    private(set) var lines: [Line] = []
    /// How many tasks there is room for.
    private(set) var page = 0

    /// Draws a model on a screen of some size; `message` stands in place of the keys.
    init(_ model: TopModel, columns: Int, rows: Int, message: String? = nil) {
        self.model = model
        self.columns = max(columns, 20)
        let rows = max(rows, 6)
        drawTitle()
        drawLoops(atMost: max(min(rows / 4, 8), 1))
        add("")
        let stack = stackLines(atMost: rows / 3)
        page = max(rows - lines.count - 2 - stack.count, 1)
        drawTasks()
        while lines.count < rows - 1 - stack.count { add("") }
        lines += stack
        lines = Array(lines.prefix(rows - 1))
        add(message ?? keys, .reverse)
    }

    private mutating func add(_ text: String, _ style: Line.Style = .plain) {
        // One that is reversed goes to the edge.
        let fitted = style == .reverse ? Columns.fit(text, columns) : Columns.cut(text, columns)
        lines.append(Line(text: fitted, style: style))
    }

    private mutating func drawTitle() {
        guard let tree = model.tree else { return add("asyncio top", .bold) }
        let program = tree.program.split(separator: "/").last.map(String.init) ?? "?"
        let counts = [TaskView.State.running, .ready, .waiting].map { state in
            "\(Texts.count(tree.tasks.count { $0.state == state })) \(state.rawValue)"
        }
        let paused = model.isPaused ? " - PAUSED" : ""
        let title = "asyncio top - \(Texts.clean(program)) (\(tree.process)): "
        add(title + "\(Texts.count(tree.tasks.count, "task")), \(counts.joined(separator: ", "))\(paused)", .bold)
        if let note = tree.notes.first {
            let more = tree.notes.count > 1 ? " (and \(Texts.count(tree.notes.count - 1, "other note")))" : ""
            add("note: \(Texts.clean(note))\(more)")
        }
    }

    private mutating func drawLoops(atMost limit: Int) {
        let name = max(min(columns - 70, 24), 10)
        let titles = ["TICKS/s", "JOBS/s", "BUSY", "LAG", "LONGEST", "READY", "OPS", "TIMERS"]
        let widths = [8, 8, 6, 7, 8, 6, 6, 6]
        add(Columns.fit("LOOP", name) + row(titles, widths), .bold)
        for row in model.loops.prefix(model.loops.count > limit ? limit - 1 : limit) {
            let loop = row.loop
            let cells = [
                Texts.count(Int(row.ticks.rounded())), Texts.count(Int(row.jobs.rounded())),
                loop.isResting ? "rests" : "\(Int((row.busy * 100).rounded())) %", loop.lag.inWords,
                loop.longestRun.inWords,
                Texts.count(loop.ready), Texts.count(loop.waitingOperations), Texts.count(loop.pendingTimers),
            ]
            add(Columns.fit("\(loop.number) \(Texts.clean(loop.name))", name) + self.row(cells, widths))
        }
        if model.loops.count > limit { add("and \(Texts.count(model.loops.count - limit + 1, "other loop"))") }
    }

    private func row(_ cells: [String], _ widths: [Int]) -> String {
        zip(cells, widths).map { " " + Columns.fit($0, $1, right: true) }.joined()
    }

    // MARK: Tasks

    private mutating func drawTasks() {
        let widths = [6, 5, 6, 6, 7]
        let left = max(columns - widths.reduce(0) { $0 + $1 + 1 } - 7, 10)
        let name = max(left * 2 / 5, 8)
        let wait = max(left - name - 1, 4)
        let titles = row(["ID", "CPU%", "CPU", "SINCE", "RUNS"], widths)
        add("\(titles) \(Columns.fit("STATE", 6)) \(Columns.fit("NAME", name)) WAITS FOR", .bold)
        if model.rows.isEmpty { add(model.filter.isEmpty ? "no tasks" : "no task matches") }
        let first = min(max(model.selectedRow - page / 2, 0), max(model.rows.count - page, 0))
        for (index, shown) in model.rows.dropFirst(first).prefix(page).enumerated() {
            let task = shown.task
            let share = (shown.share * 1000).rounded() / 10
            let cells = row(
                [
                    "\(task.id)", "\(share)", task.runTime.inWords, task.since.inWords, Texts.count(task.runs),
                ], widths)
            let state = Columns.fit(Self.state(of: task), 6)
            let waits = Columns.cut(task.wait?.description ?? "", wait)
            add(
                "\(cells) \(state) \(Columns.fit(shown.name, name)) \(waits)",
                first + index == model.selectedRow ? .reverse : .plain)
        }
    }

    /// A cancelled one has a star.
    private static func state(of task: TaskView) -> String {
        let word =
            switch task.state {
            case .ready: "ready"
            case .running: "runs"
            case .waiting: "waits"
            }
        return task.isCancelled ? "\(word)*" : word
    }

    /// Where the selected task is suspended, at the screen's lower end.
    private func stackLines(atMost limit: Int) -> [Line] {
        guard model.showsStack, let task = model.selectedTask else { return [] }
        let title = Columns.fit("STACK of \(Texts.name(of: task)) #\(task.id)", columns)
        var frames = task.stack.map { "  \($0)" }
        if frames.isEmpty { frames = [task.state == .running ? "  it runs" : "  not known (yet)"] }
        if frames.count > limit - 1 { frames = frames.prefix(limit - 2) + ["  and \(frames.count - limit + 2) more"] }
        return [Line(text: title, style: .bold)] + frames.map { Line(text: Columns.cut($0, columns)) }
    }

    private var keys: String {
        if model.isTyping { return "/\(model.filter)_   Enter: done   Esc: all tasks" }
        let filter = model.filter.isEmpty ? "/ filter" : "/\(Texts.clean(model.filter))"
        let sorts = TopModel.Order.allCases.map { $0 == model.order ? "[\($0.rawValue)]" : $0.rawValue }
        return "sort: \(sorts.joined(separator: " "))  \(filter)  s stack  space pause  arrows  q quit"
    }

    // MARK: On a terminal

    /// The bytes that draw it. Every line is placed by itself: nothing scrolls.
    var escapes: String {
        var text = "\u{1b}[?2026h"
        for (index, line) in lines.enumerated() {
            text += "\u{1b}[\(index + 1);1H\u{1b}[2K"
            switch line.style {
            case .plain: text += line.text
            case .bold: text += "\u{1b}[1m\(line.text)\u{1b}[0m"
            case .reverse: text += "\u{1b}[7m\(line.text)\u{1b}[0m"
            }
        }
        return text + "\u{1b}[?2026l"
    }
}
