import ArgumentParser
import AsyncIO
import AsyncIOInspection

/// `asyncio ps`.
struct Ps: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ps",
        abstract: "List the processes that can be inspected, or the tasks of one.",
        discussion: """
            A process can be inspected if it was started with ASYNCIO_INSPECT=1 or, one of
            these commands, with --inspect; by its own user and by root.

            EXAMPLES
              ASYNCIO_INSPECT=1 ./server &
              asyncio ps                  which processes there are
              asyncio ps 1234             the tasks of one, in the order of their creation
              asyncio ps 1234 --json | jq '.tasks[] | select(.state == "waiting")'

            SINCE tells for how long a task has been in its state, CPU how long it has run
            in all, RUNS how often it was resumed. Times in JSON are seconds.
            """)

    @Argument(help: ArgumentHelp("The process whose tasks are listed.", valueName: "pid"))
    var process: Int32?

    @Flag(help: "For programs to read.")
    var json = false

    func run() throws {
        try EventLoop.run(options: EventLoop.Options(name: "ps")) {
            guard let process else { return try await listProcesses() }
            let attachment = try await Attachment.open(process)
            let tree = try await attachment.tree()
            attachment.close()
            if json { return Console.say(JSONValue(tree).description) }
            Console.say(TaskList(tree).text)
        }
    }

    private func listProcesses() async throws {
        let processes = await InspectedProcess.all()
        // At once: one that does not answer keeps the others waiting no longer than itself.
        let rows = try await gatherEach(processes, limit: 64) { await ProcessRow(asking: $0) }
        if json { return Console.say(JSONValue.list(rows.map(\.json)).description) }
        guard !rows.isEmpty else {
            return Console.complain(
                "There is none: start a program with ASYNCIO_INSPECT=1 or a command with --inspect.")
        }
        var table = Table(["PID", "LOOPS", "TASKS", "AGE", "PROGRAM"], right: [true, true, true, true, false])
        for row in rows { table.add(row.cells) }
        Console.say(table.text)
    }
}

/// A process in the list of them.
struct ProcessRow: Sendable {
    let id: Int32
    let line: ProcessLine?
    /// Why it has said nothing.
    let silence: String?

    init(asking process: InspectedProcess) async {
        id = process.id
        do {
            let attachment = try await Attachment.open(process.id)
            line = try await attachment.loops().process
            attachment.close()
            silence = nil
        } catch {
            line = nil
            silence = "\(error)"
        }
    }

    var cells: [String] {
        guard let line else { return ["\(id)", "-", "-", "-", silence ?? ""] }
        let tasks = line.tasks.map { Texts.count($0) } ?? "-"
        return ["\(id)", "\(line.loops)", tasks, line.age.inWords, Texts.clean(line.program)]
    }

    var json: JSONValue {
        .object([
            ("pid", .number(id)), ("program", .text(line?.program)), ("loops", .number(line?.loops)),
            ("tasks", .number(line?.tasks)), ("age", .time(line?.age)), ("error", .text(silence)),
        ])
    }
}

/// The tasks of a process as a table.
struct TaskList {
    let text: String

    init(_ tree: TaskTree) {
        let several = tree.loops.count > 1
        var titles = ["ID", "STATE", "WAITS FOR", "SINCE", "CPU", "RUNS", "NAME"]
        var right = [true, false, false, true, true, true, false]
        if several {
            titles.insert("LOOP", at: 1)
            right.insert(true, at: 1)
        }
        var table = Table(titles, right: right)
        for task in tree.tasks {
            let state = task.state.rawValue + (task.isCancelled ? ", cancelled" : "")
            var cells = [
                "\(task.id)", state, task.wait?.description ?? "", task.since.inWords, task.runTime.inWords,
                Texts.count(task.runs), Texts.name(of: task),
            ]
            if several { cells.insert("\(task.loop)", at: 1) }
            table.add(cells)
        }
        text = (tree.notes.map { "note: \(Texts.clean($0))" } + [table.text]).joined(separator: "\n")
    }
}

/// Lines in columns, each as wide as it needs to be.
struct Table {
    private var rows: [[String]]
    private let right: [Bool]

    init(_ titles: [String], right: [Bool]) {
        rows = [titles]
        self.right = right
    }

    mutating func add(_ cells: [String]) { rows.append(cells) }

    var text: String {
        let widths = right.indices.map { column in rows.map { Columns.width(of: $0[column]) }.max() ?? 0 }
        return rows.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                if column > 0 { line += "  " }
                // Nothing is filled up at a line's end.
                let isLast = column == row.count - 1 && !right[column]
                line += isLast ? cell : Columns.fit(cell, widths[column], right: right[column])
            }
            return line
        }.joined(separator: "\n")
    }
}
