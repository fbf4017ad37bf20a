import AsyncIO
import AsyncIOInspection

/// What `asyncio top` shows, and what keys do to it.
struct TopModel {
    /// What tasks are sorted by.
    enum Order: String, CaseIterable {
        case cpu, wait, age, name
    }

    /// A task, and the share of a processor that it has had since the last look.
    struct Row {
        let task: TaskView
        let name: String
        let share: Double
    }

    /// A loop, and what it has done in a second since the last look.
    struct LoopRow {
        let loop: LoopView
        let ticks: Double
        let jobs: Double
        let busy: Double
    }

    private(set) var tree: TaskTree?
    private(set) var loops: [LoopRow] = []
    /// The tasks that are shown, in their order.
    private(set) var rows: [Row] = []
    private var all: [Row] = []
    private var taken = Instant.distantPast

    var order = Order.cpu { didSet { arrange() } }
    private(set) var isPaused = false
    private(set) var showsStack = false
    private(set) var filter = ""
    /// A filter is being written.
    private(set) var isTyping = false
    /// The task that is selected; the first one, unless somebody has chosen.
    private(set) var selected: UInt64?
    /// How many tasks there is room for: what a page is.
    var page = 10

    // MARK: What comes

    /// Takes what the process has said.
    mutating func take(_ new: TaskTree, at instant: Instant) {
        let time = taken.duration(to: instant)
        var runTimes: [UInt64: Duration] = [:]
        for row in all { runTimes[row.task.id] = row.task.runTime }
        all = new.tasks.map { task in
            let known = runTimes[task.id]
            let span = known == nil ? task.age : time
            let share = span > .zero ? (task.runTime - (known ?? .zero)) / span : 0
            return Row(task: task, name: Texts.name(of: task), share: max(share, 0))
        }
        let former = loops.map(\.loop)
        loops = new.loops.map { loop in
            let last = former.first { $0.number == loop.number && $0.ticks <= loop.ticks }
            let seconds = (last == nil ? loop.age : time) / .seconds(1)
            let rate = { (count: UInt64, before: UInt64?) in
                seconds > 0 ? Double(count - min(before ?? 0, count)) / seconds : 0
            }
            let busy = seconds > 0 ? (loop.busy - (last?.busy ?? .zero)) / .seconds(1) / seconds : 0
            return LoopRow(
                loop: loop, ticks: rate(loop.ticks, last?.ticks), jobs: rate(loop.jobs, last?.jobs),
                busy: min(max(busy, 0), 1))
        }
        tree = new
        taken = instant
        arrange()
    }

    /// Sorts and filters.
    private mutating func arrange() {
        let wanted = filter.lowercased()
        rows = wanted.isEmpty ? all : all.filter { Self.matches($0, wanted) }
        switch order {
        case .cpu: rows.sort { ($0.share, $0.task.runTime, $1.task.id) > ($1.share, $1.task.runTime, $0.task.id) }
        case .wait: rows.sort { (Self.waited($0), $1.task.id) > (Self.waited($1), $0.task.id) }
        case .age: rows.sort { ($0.task.age, $1.task.id) > ($1.task.age, $0.task.id) }
        case .name: rows.sort { ($0.name, $0.task.id) < ($1.name, $1.task.id) }
        }
        if let selected, !rows.contains(where: { $0.task.id == selected }) { self.selected = nil }
    }

    private static func waited(_ row: Row) -> Duration { row.task.state == .waiting ? row.task.since : .zero }

    private static func matches(_ row: Row, _ wanted: String) -> Bool {
        "\(row.name) #\(row.task.id) \(row.task.state.rawValue) \(row.task.wait?.description ?? "")".lowercased()
            .contains(wanted)
    }

    /// Where the selected task stands; 0 without any.
    var selectedRow: Int { selected.flatMap { id in rows.firstIndex { $0.task.id == id } } ?? 0 }

    var selectedTask: TaskView? { rows.isEmpty ? nil : rows[selectedRow].task }

    // MARK: Keys

    /// What a key asks of others.
    enum Wish: Equatable { case nothing, quit, suspend }

    mutating func press(_ key: TopKey) -> Wish {
        if key == .suspend { return .suspend }
        if isTyping {
            type(key)
            return .nothing
        }
        switch key {
        case .letter("q"): return .quit
        case .letter("c"): order = .cpu
        case .letter("w"): order = .wait
        case .letter("a"): order = .age
        case .letter("n"): order = .name
        case .letter(" "): isPaused.toggle()
        case .letter("s"):
            showsStack.toggle()
            // The stack of this task, also when others pass it.
            if showsStack { selected = selectedTask?.id }
        case .letter("/"):
            isTyping = true
            filter = ""
            arrange()
        case .letter("k"), .up: select(selectedRow - 1)
        case .letter("j"), .down: select(selectedRow + 1)
        case .pageUp: select(selectedRow - page)
        case .pageDown: select(selectedRow + page)
        case .home: select(0)
        case .end: select(rows.count - 1)
        case .escape:
            filter = ""
            selected = nil
            showsStack = false
            arrange()
        case .letter, .enter, .backspace, .suspend: break
        }
        return .nothing
    }

    private mutating func type(_ key: TopKey) {
        switch key {
        case .letter(let letter): if filter.count < 64 { filter.append(letter) }
        case .backspace: if !filter.isEmpty { filter.removeLast() }
        case .escape:
            filter = ""
            isTyping = false
        default: isTyping = false
        }
        arrange()
    }

    private mutating func select(_ row: Int) {
        guard !rows.isEmpty else { return }
        selected = rows[min(max(row, 0), rows.count - 1)].task.id
    }
}
