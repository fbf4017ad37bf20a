import CAsyncIO

/// The tasks on a loop that nobody awaits as a child: `Task {}` and `Task.detached {}`.
///
/// Swift forgets them; a program that ends while one runs never hears of it. The loop that has taken over keeps a
/// reference from a task's first run to its end, so that the end of a run can cancel them, wait, and name those that
/// would not stop. Child tasks, the many, cost one look at their flags. Where the runtime's layout is not the known
/// one, the list stays empty.
@safe
struct PlainTasks: ~Copyable {
    private var tasks: Set<UInt> = []
    private let isSupported = casyncio_task_layout_is_known()
    private var isEnding = false
    /// How long the list may grow before those that have ended on other threads are let go.
    private var limit = 1024

    /// The list of a simulation, for all its loops.
    private(set) var homes: PlainTaskHomes?
    // The core whose field this is.
    private var core: Unmanaged<LoopCore>?

    deinit { for bits in tasks { letGo(bits) } }

    /// Tells a simulation's list of the tasks.
    mutating func list(in homes: PlainTaskHomes, of core: LoopCore) {
        self.homes = homes
        unsafe self.core = Unmanaged.passUnretained(core)
    }

    private func letGo(_ bits: UInt) {
        homes?.remove(bits)
        Self.release(bits)
    }

    /// The job's task, if it is one to follow. To be asked before the job runs.
    @inline(__always)
    mutating func willRun(_ word: ReadyWord) -> UInt? {
        // Jobs of other kinds may be visits of tasks whose home is another loop.
        guard isSupported, word.kind == .generic || word.kind == .main || word.kind == .visiting,
            let pointer = unsafe word.pointer,
            unsafe casyncio_job_is_plain_task(pointer)
        else { return nil }
        let bits = UInt(bitPattern: pointer)
        // The first task of a process is that of an asynchronous `main`: the program ends with it, not before.
        guard unsafe swift_task_getJobTaskId(pointer) != 1 else { return nil }
        if tasks.insert(bits).inserted {
            unsafe casyncio_task_retain(pointer)
            if let homes, let core = unsafe core { unsafe homes.add(bits, at: core) }
            if isEnding { unsafe casyncio_task_cancel(pointer) }
            if tasks.count > limit { sweep() }
        }
        return bits
    }

    /// Lets go of the task if it has ended. To be called after its job ran.
    @inline(__always)
    mutating func didRun(_ task: UInt) {
        if Self.isComplete(task), tasks.remove(task) != nil { letGo(task) }
    }

    private mutating func sweep() {
        for bits in sorted(tasks.filter(Self.isComplete)) {
            tasks.remove(bits)
            letGo(bits)
        }
        limit = max(1024, tasks.count * 2)
    }

    /// Cancels all, and those that appear from now on.
    mutating func cancelAll() {
        isEnding = true
        for bits in sorted(tasks) {
            unsafe casyncio_task_cancel(UnsafeMutableRawPointer(bitPattern: bits))
        }
    }

    /// Whether none is left. Looks at each: one may have ended on another thread.
    var isEmpty: Bool { tasks.allSatisfy(Self.isComplete) }

    /// The names of those that are left.
    var names: [String] {
        tasks.filter { !Self.isComplete($0) }.map { bits in
            let pointer = unsafe UnsafeMutableRawPointer(bitPattern: bits)
            guard let name = unsafe casyncio_task_name(pointer) else {
                return unsafe "a plain task without a name (id \(swift_task_getJobTaskId(pointer)))"
            }
            return unsafe String(cString: name)
        }.sorted()
    }

    mutating func removeAll() {
        for bits in sorted(tasks) { letGo(bits) }
        tasks = []
    }

    /// Oldest first, wherever they lie in memory.
    private func sorted(_ tasks: Set<UInt>) -> [UInt] {
        tasks.sorted { Self.number($0) < Self.number($1) }
    }

    private static func number(_ bits: UInt) -> UInt64 {
        guard let pointer = unsafe UnsafeMutableRawPointer(bitPattern: bits) else { return 0 }
        return unsafe swift_task_getJobTaskId(pointer)
    }

    private static func isComplete(_ bits: UInt) -> Bool {
        unsafe casyncio_task_is_complete(UnsafeRawPointer(bitPattern: bits))
    }

    private static func release(_ bits: UInt) {
        unsafe casyncio_task_release(UnsafeMutableRawPointer(bitPattern: bits))
    }
}
