package import AsyncIOKernel
import CAsyncIO

/// Remembers the tasks that have run on a loop and have not ended, for tests that look for what is left; and passes on
/// what an instrument sees.
///
/// Counts tasks that no other task awaits as its child, whatever executor they prefer: a child that is left shows in
/// its parent. It belongs to the loop's thread. Where the runtime's layout is not the known one, it counts nobody.
@safe
package final class TaskCensus: Instrument, JobWatcher {
    private var tasks: Set<UInt> = []
    private let isSupported = casyncio_task_layout_is_known()
    private let outer: (any Instrument)?
    private let outerWatcher: (any JobWatcher)?
    /// The task that runs, if it is one to count.
    private var running: UInt?
    /// Who is told of every event, on the loop's thread. May cancel tasks.
    package var listener: ((LoopEvent) -> Void)?

    private init(outer: (any Instrument)?, watcher: (any JobWatcher)?) {
        self.outer = outer
        outerWatcher = watcher
    }

    deinit { for bits in tasks { unsafe casyncio_task_release(Self.pointer(bits)) } }

    package func record(_ event: LoopEvent, at instant: Instant) {
        outer?.record(event, at: instant)
        listener?(event)
    }

    package func queued(_ job: UnsafeMutableRawPointer, _ task: TaskID, at instant: Instant) {
        unsafe outerWatcher?.queued(job, task, at: instant)
    }

    package func willRun(_ job: UnsafeMutableRawPointer, _ task: TaskID, queued: Instant, at instant: Instant) {
        unsafe outerWatcher?.willRun(job, task, queued: queued, at: instant)
        running = nil
        guard isSupported, unsafe casyncio_job_is_unstructured_task(job) else { return }
        let bits = UInt(bitPattern: job)
        if tasks.insert(bits).inserted { unsafe casyncio_task_retain(job) }
        running = bits
    }

    package func waits(for operation: OperationID, _ name: String, _ descriptor: CInt) {
        outerWatcher?.waits(for: operation, name, descriptor)
    }

    package func waits(at place: (any WaitingPlace)?, as visitor: Int) { outerWatcher?.waits(at: place, as: visitor) }

    package func didRun(at instant: Instant) {
        if let running, Self.isComplete(running), tasks.remove(running) != nil {
            unsafe casyncio_task_release(Self.pointer(running))
        }
        running = nil
        outerWatcher?.didRun(at: instant)
    }

    /// The tasks that have not ended.
    package var living: [(id: TaskID, name: String)] {
        tasks.filter { !Self.isComplete($0) }.map { bits in
            let pointer = unsafe Self.pointer(bits)
            let id = unsafe TaskID(swift_task_getJobTaskId(pointer))
            guard let name = unsafe casyncio_task_name(pointer) else { return (id, "a task without a name (id \(id))") }
            return unsafe (id, String(cString: name))
        }.sorted { $0.id.number < $1.id.number }
    }

    private static func pointer(_ bits: UInt) -> UnsafeMutableRawPointer? {
        unsafe UnsafeMutableRawPointer(bitPattern: bits)
    }

    private static func isComplete(_ bits: UInt) -> Bool {
        unsafe casyncio_task_is_complete(UnsafeRawPointer(bitPattern: bits))
    }

    package func willCall(at instant: Instant) { outerWatcher?.willCall(at: instant) }
    package func didCall(at instant: Instant) { outerWatcher?.didCall(at: instant) }
    package func turns(at instant: Instant) { outerWatcher?.turns(at: instant) }
    package func asksDriver(until deadline: Instant?, at instant: Instant) {
        outerWatcher?.asksDriver(until: deadline, at: instant)
    }

    // MARK: On a loop

    /// Begins to count on a loop, on its thread.
    package static func begin(on loop: EventLoop) -> TaskCensus {
        let census = TaskCensus(outer: loop.core.instrument, watcher: loop.core.watcher)
        loop.core.watcher = census
        loop.core.instrument = census
        return census
    }

    /// Stops counting, on the loop's thread. Censuses end in the reverse order of their beginnings.
    package func end(on loop: EventLoop) {
        listener = nil
        loop.core.watcher = outerWatcher
        loop.core.instrument = outer
    }
}

extension EventLoop {
    /// How many jobs of tasks have run here: equal before and after a call that has not suspended. On the loop's
    /// thread.
    package var jobsRun: UInt64 { core.counters.jobs }

    /// Whether offloaded work of the loop has still to come home. From any thread.
    package var awaitsOffloadedWork: Bool { pool.isExpectedToAnswer }

    /// What the loop has in hand, without a visit. On the loop's thread.
    package var statisticsNow: LoopStatistics { snapshot() }

    /// The names of the background tasks that have not ended, oldest first.
    package var backgroundNames: [String] { background.names }

    /// The loop's contact with the outside world. On the loop's thread.
    package var driver: any Driver { core.driver }
}
