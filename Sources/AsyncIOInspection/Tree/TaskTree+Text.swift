import AsyncIOKernel

// The tree as people read it.

extension TaskTree: CustomStringConvertible {
    /// As ``text(stacks:)``, with the stacks that were asked for.
    public var description: String { text() }

    /// The tree as text: the loops, then the tasks, children below the task that awaits their end, then the circles of
    /// tasks that wait for each other, and what could not be found out.
    ///
    /// ```text
    /// loop 1 main (epoll): 3 tasks, 120 ticks, busy 2%, lag 0.1 ms
    /// ├─ main #1 waits 2.1 s for group
    /// │  ├─ client #7 waits 1.0 s for read 127.0.0.1:5000
    /// │  └─ client #8 ready
    /// └─ keeper #3 waits 2.1 s for sleep, 7.9 s left
    /// ```
    public func text() -> String {
        let family = Family(tasks)
        var lines: [String] = []
        for loop in loops {
            let roots = family.roots.filter { $0.loop == loop.number }
            let count = tasks.count { $0.loop == loop.number }
            lines.append(Self.line(of: loop, tasks: count))
            for (index, root) in roots.enumerated() {
                family.write(root, indent: "", isLast: index == roots.count - 1, into: &lines)
            }
        }
        for circle in circles { lines.append("deadlock: \(circle.text)") }
        for note in notes { lines.append("note: \(note)") }
        return lines.joined(separator: "\n")
    }

    private static func line(of loop: LoopView, tasks: Int) -> String {
        let share = loop.busy.saturatedNanoseconds * 100 / max(loop.age.saturatedNanoseconds, 1)
        let rests = loop.isResting ? " rests" : ""
        return "loop \(loop.number) \(loop.name) (\(loop.driver))\(rests): \(tasks) task\(tasks == 1 ? "" : "s"), "
            + "\(loop.ticks) ticks, busy \(share)%, lag \(loop.lag.inWords)"
    }
}

extension TaskView {
    /// What the task is called: its name, else the function where it begins.
    public var label: String {
        let title = name ?? origin?.function.map { "(\($0))" } ?? "task"
        return "\(printable(title)) #\(id)"
    }

    /// What the task is at, in a few words: `waits 2.1 s for read 127.0.0.1:5000`.
    public var status: String {
        let cancelled = isCancelled ? ", cancelled" : ""
        switch state {
        case .ready: return "ready for \(since.inWords)\(cancelled)"
        case .running: return "runs for \(since.inWords)\(cancelled)"
        case .waiting:
            let what = wait.map { " for \($0)" } ?? ""
            return "waits \(since.inWords)\(what)\(cancelled)"
        }
    }
}

extension Wait: CustomStringConvertible {
    /// In a few words: `read 127.0.0.1:5000`, `lock "accounts" held by #12`.
    public var description: String {
        var text = printable(kind)
        if let target { text += descriptor == nil ? " \"\(printable(target))\"" : " \(printable(target))" }
        if let descriptor, target == nil { text += " on descriptor \(descriptor)" }
        if let standing { text += " (\(printable(standing)))" }
        if let left { text += left > .zero ? ", \(left.inWords) left" : ", due" }
        if !tasks.isEmpty {
            let list = tasks.prefix(5).map { "#\($0)" }.joined(separator: ", ")
            let more = tasks.count > 5 ? " and \(tasks.count - 5) more" : ""
            text += kind == "task" ? " \(list)\(more)" : " held by \(list)\(more)"
        }
        return text
    }
}

extension Frame: CustomStringConvertible {
    /// `Room.say(_:) at Room.swift:12`, or as much of it as is known.
    public var description: String {
        var text = function ?? "0x\(String(address, radix: 16))"
        if let file, let line {
            text += " at \(file.split(separator: "/").last.map(String.init) ?? file):\(line)"
        } else if function == nil, let image, let offset {
            text = "\(image)+0x\(String(offset, radix: 16))"
        }
        return printable(text)
    }
}

/// Who is whose child.
private struct Family {
    private var children: [UInt64: [TaskView]] = [:]
    private(set) var roots: [TaskView] = []

    init(_ tasks: [TaskView]) {
        let known = Set(tasks.map(\.id))
        for task in tasks {
            if let parent = task.parent, known.contains(parent), parent != task.id {
                children[parent, default: []].append(task)
            } else {
                roots.append(task)
            }
        }
    }

    /// Writes a task and its children. Without recursion: the depth is the program's.
    func write(_ root: TaskView, indent: String, isLast: Bool, into lines: inout [String]) {
        var stack = [(task: root, indent: indent, isLast: isLast)]
        while let (task, indent, isLast) = stack.popLast() {
            lines.append("\(indent)\(isLast ? "└─ " : "├─ ")\(task.label) \(task.status)\(Self.origin(of: task))")
            let inner = indent + (isLast ? "   " : "│  ")
            let below = children[task.id] ?? []
            let bar = below.isEmpty ? "   " : "│  "
            for frame in task.stack { lines.append("\(inner)\(bar)  at \(frame)") }
            for (index, child) in below.enumerated().reversed() {
                stack.append((child, inner, index == below.count - 1))
            }
        }
    }

    /// Who made a task that is nobody's child.
    private static func origin(of task: TaskView) -> String {
        guard task.parent == nil, let creator = task.creator else { return "" }
        return ", made by #\(creator)"
    }
}

/// A text from outside, such that it can do nothing to a terminal: control characters become visible.
func printable(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: { $0.value < 32 || (127...159).contains($0.value) }) else { return text }
    var result = ""
    for scalar in text.unicodeScalars {
        if scalar.value < 32 || (127...159).contains(scalar.value) {
            result += "\\u{\(String(scalar.value, radix: 16))}"
        } else {
            result.unicodeScalars.append(scalar)
        }
    }
    return result
}
