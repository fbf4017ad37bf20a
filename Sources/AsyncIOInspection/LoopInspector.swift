import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO

/// Who inspects one loop: keeps the register of its tasks, and passes on what happens to the trace and the watchdog.
///
/// Belongs to the loop's thread, but for what it says itself.
@safe
final class LoopInspector: Instrument, JobWatcher {
    let loop: EventLoop
    /// Its number in the process, from 1.
    let number: Int
    /// The number of the loop's thread.
    let thread: Int32
    let began: Instant
    /// What the watchdog reads of the loop, and the loop's times.
    let cell: WatchCell
    /// Whether the loop is on its thread.
    let presence = Presence()
    @safe @exclusivity(unchecked) var table = TaskTable()
    /// Where a trace is recorded.
    @safe @exclusivity(unchecked) private(set) var ring: TraceRing? {
        didSet { unsafe borrowedRing = ring.map { unsafe Unmanaged.passUnretained($0) } }
    }
    @safe @exclusivity(unchecked) private var borrowedRing: Unmanaged<TraceRing>?
    /// The position of the task that runs, or -1.
    @safe @exclusivity(unchecked) private var running = -1
    @safe @exclusivity(unchecked) private(set) var busy: Int64 = 0
    @safe @exclusivity(unchecked) private(set) var longestRun: Int64 = 0
    @safe @exclusivity(unchecked) var lag = RecentMaximum()
    private let readsTasks = casyncio_task_layout_is_known()
    private let watchdog: LoopWatchdog
    /// What debug mode keeps of the loop's tasks.
    let debug: DebugRounds?
    /// Whether the loop has ended: tasks that it wakes at the very end are nobody's any more.
    @safe @exclusivity(unchecked) private var hasEnded = false
    /// How many tasks there may be before those are looked for that have ended elsewhere.
    @safe @exclusivity(unchecked) private var sweepLimit = 1024
    /// Whether a callback runs.
    @safe @exclusivity(unchecked) private var isCalling = false
    /// Who records what happens besides the ring.
    @safe @exclusivity(unchecked) private var outer: (any Instrument)?
    @safe @exclusivity(unchecked) private var isInstrument = false
    private let outerWatcher: (any JobWatcher)?

    /// Begins to inspect a loop, on its thread.
    init(_ loop: EventLoop, number: Int, watchdog: LoopWatchdog, debug desk: DebugDesk? = nil) {
        self.loop = loop
        self.number = number
        thread = casyncio_thread_id()
        began = loop.now
        cell = WatchCell(loop, number: number, thread: thread, watchdog: watchdog)
        self.watchdog = watchdog
        debug = desk.map(DebugRounds.init(desk:))
        outerWatcher = loop.watcher
        loop.watcher = self
        watchdog.watch(cell)
        debug?.begin(self)
    }

    /// The loop has ended, or is inspected no more: lets go of its tasks. On the loop's thread.
    func end() {
        ring?.session?.leave(self)
        watchdog.forget(cell)
        debug?.end(self)
        hasEnded = true
        endTrace()
        if loop.watcher === self { loop.watcher = outerWatcher }
        for position in 0..<table.capacity where table[position].id != 0 { forget(position) }
    }

    // MARK: Instrument

    /// Records from here on what happens. Without a ring, the inspector is no instrument: the loop spares itself the
    /// looks at the clock that a trace needs.
    func beginTrace(_ ring: TraceRing) {
        self.ring = ring
        guard !isInstrument else { return }
        isInstrument = true
        outer = loop.instrument
        loop.instrument = self
    }

    /// Records no more.
    func endTrace() {
        ring = nil
        // One that came later passes on what it is told.
        guard isInstrument, loop.instrument === self else { return }
        isInstrument = false
        loop.instrument = outer
        outer = nil
    }

    func record(_ event: LoopEvent, at instant: Instant) {
        // Without counting a reference to it: nobody takes it away meanwhile.
        if let ring = borrowedRing {
            unsafe ring._withUnsafeGuaranteedRef {
                if case .queued = event {
                    $0.record(event, by: Self.waker, at: instant)
                } else {
                    $0.record(event, by: running < 0 ? 0 : table[running].id, at: instant)
                }
            }
        }
        outer?.record(event, at: instant)
    }

    /// Who queues a job, while it is being queued; 0 is no task.
    private static var waker: UInt64 { TaskID.current?.number ?? 0 }

    // MARK: JobWatcher

    func queued(_ job: UnsafeMutableRawPointer, _ task: TaskID, at instant: Instant) {
        let id = task.number
        if let position = unsafe position(of: job, id) ?? meet(job, id, creator: Self.waker, at: instant) {
            table[position].phase = .ready
            table[position].since = instant
        }
        unsafe outerWatcher?.queued(job, task, at: instant)
    }

    func willRun(_ job: UnsafeMutableRawPointer, _ task: TaskID, queued: Instant, at instant: Instant) {
        unsafe outerWatcher?.willRun(job, task, queued: queued, at: instant)
        let id = task.number
        guard let position = unsafe position(of: job, id) ?? meet(job, id, at: instant) else {
            cell.jobRuns(0, 0, at: instant)
            return running = -1
        }
        let waited = table[position].begins(at: instant, queued: queued)
        lag.add(waited, at: instant)
        cell.taskRuns(id, UInt(bitPattern: job), after: waited, at: instant)
        running = position
        if table[position].place != nil { setPlace(nil, as: 0, at: position) }
        if ring != nil { learnName(at: position) }
    }

    func waits(for operation: OperationID, _ name: String, _ descriptor: CInt) {
        if let position = positionOfCurrent {
            if table[position].place != nil { setPlace(nil, as: 0, at: position) }
            table[position].asks(name, descriptor, operation)
            waitBegins(at: position)
        }
        outerWatcher?.waits(for: operation, name, descriptor)
    }

    func waits(at place: (any WaitingPlace)?, as visitor: Int) {
        if let position = positionOfCurrent {
            setPlace(place, as: visitor, at: position)
            table[position].isAsking = false
            waitBegins(at: position)
        }
        outerWatcher?.waits(at: place, as: visitor)
    }

    /// Where a job's task stands. Jobs that are no tasks have numbers that say nothing.
    @inline(__always)
    private func position(of job: UnsafeMutableRawPointer, _ id: UInt64) -> Int? {
        guard let position = table.position(of: id), table[position].task == UInt(bitPattern: job) else { return nil }
        return position
    }

    /// Where the task stands whose code runs here: nearly always the one whose job does. In an actor's own job it is
    /// another one, which the loop has not seen begin.
    private var positionOfCurrent: Int? {
        guard let task = unsafe swift_task_getCurrent() else { return nil }
        if running >= 0 && table[running].task == UInt(bitPattern: task) { return running }
        return unsafe table.position(of: swift_task_getJobTaskId(task))
    }

    private func setPlace(_ place: (any WaitingPlace)?, as visitor: Int, at position: Int) {
        // The former one may be let go of here for good, and what it does then must not find the table under way.
        let former = table[position].place
        table[position].place = place
        table[position].visitor = visitor
        withExtendedLifetime(former) {}
    }

    /// One whose run the loop has not seen begin waits from here on; the others, from the end of their run.
    @inline(__always)
    private func waitBegins(at position: Int) {
        if position != running { table[position].since = loop.now }
    }

    func didRun(at instant: Instant) {
        if running >= 0 { taskPauses(running, at: instant) } else { cell.loopGoesOn(at: instant) }
        outerWatcher?.didRun(at: instant)
    }

    @inline(__always)
    private func taskPauses(_ position: Int, at instant: Instant) {
        running = -1
        let time = table[position].pauses(at: instant)
        busy &+= time
        longestRun = max(longestRun, time)
        cell.taskPauses(after: time, at: instant)
        // It may have been queued again while it ran.
        guard table[position].phase == .running else { return }
        table[position].phase = .waiting
        table[position].since = instant
        if isOver(position) {
            traceEnd(of: position, at: instant)
            forget(position)
        } else if ring != nil {
            tracePlace(at: position, at: instant)
        }
    }

    func willCall(at instant: Instant) {
        outerWatcher?.willCall(at: instant)
        cell.callbackRuns(at: instant)
        isCalling = true
    }

    func didCall(at instant: Instant) {
        isCalling = false
        cell.loopGoesOn(at: instant)
        outerWatcher?.didCall(at: instant)
    }

    func turns(at instant: Instant) {
        cell.loopGoesOn(at: instant)
        outerWatcher?.turns(at: instant)
    }

    func asksDriver(until deadline: Instant?, at instant: Instant) {
        cell.asksDriver(until: deadline, at: instant)
        outerWatcher?.asksDriver(until: deadline, at: instant)
    }

    /// Finds out who has become ready without its being told. Before the table is read.
    func lookWhoIsReady() {
        for entry in loop.queuedJobs {
            let (id, seen) = (entry.task.number, max(entry.queued, began))
            guard let position = unsafe position(of: entry.job, id) ?? meet(entry.job, id, at: seen, sweeps: false),
                table[position].phase == .waiting
            else { continue }
            table[position].phase = .ready
            table[position].since = max(table[position].since, seen)
        }
    }

    // MARK: Tasks that come and go

    /// Adds a task that is not in the table. Nil if the job is none, or if nothing can be known of it.
    @inline(never)
    private func meet(
        _ job: UnsafeMutableRawPointer, _ id: UInt64, creator: @autoclosure () -> UInt64 = 0, at instant: Instant,
        sweeps: Bool = true
    ) -> Int? {
        guard unsafe readsTasks && !hasEnded && casyncio_job_is_task(job) else { return nil }
        let creator = creator()
        // What goes with those that have ended goes on the loop's thread.
        if sweeps && table.count >= sweepLimit { sweep() }
        var entry = TaskTable.Entry()
        entry.id = id
        entry.task = UInt(bitPattern: job)
        entry.since = instant
        entry.first = instant
        unsafe entry.entryPoint = casyncio_job_entry_point(job)
        if let parent = unsafe casyncio_parent_task(job) {
            unsafe entry.parent = swift_task_getJobTaskId(UnsafeMutableRawPointer(mutating: parent))
        }
        entry.creator = entry.parent == 0 ? creator : entry.parent
        // A task that is an `async let` lies in the memory of its parent.
        entry.isRetained = unsafe !casyncio_job_is_async_let(job)
        if entry.isRetained { unsafe casyncio_task_retain(job) }
        // One from another thread comes here without whoever has created it.
        if let debug, creator != 0 || isCalling { debug.created(id) }
        return table.add(entry)
    }

    /// Whether nothing more is to be known of a task that does not run: it has ended, or may have.
    private func isOver(_ position: Int) -> Bool {
        let address = table[position].task
        // Its parent may have run on another thread meanwhile, and have given the memory back.
        guard table[position].isRetained else { return isGone(address, table[position].id) }
        return unsafe casyncio_task_is_complete(UnsafeRawPointer(bitPattern: address))
    }

    /// Whether a task's memory tells that it has ended, or is another's.
    private func isGone(_ address: UInt, _ id: UInt64) -> Bool {
        TaskReader.read(address, id: id, frames: 0)?.isComplete ?? true
    }

    /// Forgets the tasks that have ended where the loop does not see it: on another thread, or in an actor's own job.
    private func sweep() {
        for position in 0..<table.capacity {
            guard table[position].id != 0, table[position].phase == .waiting, position != running else { continue }
            if isOver(position) { forget(position) }
        }
        sweepLimit = max(1024, 2 * table.count)
    }

    func forget(_ position: Int) {
        let entry = table.remove(at: position)
        debug?.forget(entry.id)
        if entry.isRetained { unsafe casyncio_task_release(UnsafeMutableRawPointer(bitPattern: entry.task)) }
    }
}

/// What a task asked of its loop last.
struct Asked {
    let name: String
    let descriptor: Int32
    let operation: OperationID
}

/// The largest of the numbers of the last two seconds at most, and the last one at least.
struct RecentMaximum {
    private var current: Int64 = 0
    private var former: Int64 = 0
    private var began = Instant.distantPast

    mutating func add(_ number: Int64, at instant: Instant) {
        turn(at: instant)
        current = max(current, number)
    }

    mutating func value(at instant: Instant) -> Int64 {
        turn(at: instant)
        return max(current, former)
    }

    private mutating func turn(at instant: Instant) {
        let age = instant.nanoseconds.subtractingReportingOverflow(began.nanoseconds)
        guard age.overflow || age.partialValue >= 1_000_000_000 else { return }
        former = age.overflow || age.partialValue >= 2_000_000_000 ? 0 : current
        current = 0
        began = instant
    }
}
