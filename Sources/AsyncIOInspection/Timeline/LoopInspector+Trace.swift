import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO

/// What a ``TraceRing`` needs of the register.
extension LoopInspector {
    /// Reads the name of a task that is about to run, unless that has been done. The walk through its records is made
    /// once for each task, and only while somebody records.
    @inline(__always)
    func learnName(at position: Int) {
        if !table[position].nameIsKnown { readName(at: position) }
    }

    @inline(never)
    private func readName(at position: Int) {
        table[position].nameIsKnown = true
        let task = unsafe UnsafeRawPointer(bitPattern: table[position].task)
        guard let task = unsafe task, let name = unsafe casyncio_task_name(task) else { return }
        table[position].name = unsafe String(cString: name)
    }

    /// Keeps what is known of a task that has ended.
    func traceEnd(of position: Int, at instant: Instant) {
        guard let ring else { return }
        var task = TraceRecording.Task(table[position])
        task.isOver = true
        task.since = instant
        ring.ends(task, at: instant)
    }

    /// Records at which place a task waits that has just suspended.
    func tracePlace(at position: Int, at instant: Instant) {
        guard let place = table[position].place else { return }
        ring?.parks(table[position].id, place.report(to: table[position].visitor), at: instant)
    }

    /// The tasks that have not ended, for a recording.
    var livingTasks: [TraceRecording.Task] {
        var tasks: [TraceRecording.Task] = []
        lookWhoIsReady()
        for position in 0..<table.capacity where table[position].id != 0 {
            // It may have ended elsewhere, or run there now: its memory is read from outside.
            let entry = table[position]
            if entry.name == nil && !entry.nameIsKnown {
                table[position].name = TaskReader.read(entry.task, id: entry.id, frames: 0)?.name
            }
            tasks.append(TraceRecording.Task(table[position]))
        }
        return tasks
    }
}

extension TraceRecording.Task {
    init(_ entry: TaskTable.Entry) {
        self.init(
            id: entry.id, name: entry.name, parent: entry.parent, creator: entry.creator, entryPoint: entry.entryPoint,
            first: entry.first, phase: entry.phase, since: entry.since)
        if entry.phase == .waiting, let asked = entry.asked {
            operation = asked.name
            descriptor = asked.descriptor
        } else if entry.phase == .waiting, let place = entry.place?.report(to: entry.visitor) {
            operation = place.kind
            self.place = place.name
        }
    }
}
