package import AsyncIOKernel
import CAsyncIO

/// Remembers the tasks that have run on a loop and have not ended, for tests that look for what is left; and passes on
/// what an instrument sees.
///
/// Counts tasks that no other task awaits as its child, whatever executor they prefer: a child that is left shows in
/// its parent. It belongs to the loop's thread. Where the runtime's layout is not the known one, it counts nobody.
@safe
package final class TaskCensus: Instrument {
    private var tasks: Set<UInt> = []
    private let isSupported = casyncio_task_layout_is_known()
    private let outer: (any Instrument)?
    /// Who is told of every event, on the loop's thread. May cancel tasks.
    package var listener: ((LoopEvent) -> Void)?

    private init(outer: (any Instrument)?) { self.outer = outer }

    deinit { for bits in tasks { unsafe casyncio_task_release(Self.pointer(bits)) } }

    package func record(_ event: LoopEvent, at instant: Instant) {
        outer?.record(event, at: instant)
        listener?(event)
    }

    /// The job's task, if it is one to count. To be asked before the job runs.
    func willRun(_ word: ReadyWord) -> UInt? {
        guard isSupported, let pointer = unsafe word.pointer, unsafe casyncio_job_is_unstructured_task(pointer) else {
            return nil
        }
        let bits = UInt(bitPattern: pointer)
        if tasks.insert(bits).inserted { unsafe casyncio_task_retain(pointer) }
        return bits
    }

    /// Forgets the task if it has ended. To be called after its job ran.
    func didRun(_ task: UInt) {
        guard Self.isComplete(task), tasks.remove(task) != nil else { return }
        unsafe casyncio_task_release(Self.pointer(task))
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

    // MARK: On a loop

    /// Begins to count on a loop, on its thread.
    package static func begin(on loop: EventLoop) -> TaskCensus {
        let census = TaskCensus(outer: loop.core.instrument)
        loop.core.census = census
        loop.core.instrument = census
        return census
    }

    /// Stops counting, on the loop's thread. Censuses end in the reverse order of their beginnings.
    package func end(on loop: EventLoop) {
        listener = nil
        loop.core.census = outer as? TaskCensus
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
