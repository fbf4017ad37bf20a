import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import CAsyncIOInspection
import Synchronization

/// What a loop is at just now: written by its thread, read by the watchdog's.
///
/// Neither waits for the other. The sequence number is odd while the rest is being written, and goes on with every
/// step: a reader that finds the same even number before and after has read one moment, and one that finds the same as
/// long ago knows that the loop has not gone on since. A step costs a few plain stores, and no look at a clock.
final class WatchCell: Sendable {
    enum Phase: UInt64, AtomicRepresentable {
        /// In the kernel, or not on its thread: it may stay there as long as it likes.
        case rests
        /// Between two jobs: timers, completions, the inbox.
        case turns
        /// In a callback.
        case calls
        /// In a job of a task.
        case runs
    }

    /// A moment.
    struct Reading {
        var sequence: UInt64
        var phase: Phase
        /// Since when.
        var since: Instant
        /// The task that runs: its id and its address; 0 where it is none, or not known.
        var task: UInt64
        var address: UInt
    }

    let loop: EventLoop
    let number: Int
    let thread: Int32
    /// The bounds of the thread's stack; 0 if they are not known.
    let stack: Range<UInt64>
    /// How long jobs wait in the ready queue before they run.
    let readyToRun = Histogram()
    /// How long jobs run.
    let running = Histogram()

    private let sequence = Atomic<UInt64>(0)
    private let phase = Atomic(Phase.rests)
    private let since = Atomic<Int64>(0)
    private let task = Atomic<UInt64>(0)
    private let address = Atomic<UInt>(0)
    /// The writer's own.
    @safe @exclusivity(unchecked) private nonisolated(unsafe) var step: UInt64 = 0
    @safe @exclusivity(unchecked) private nonisolated(unsafe) var isResting = true
    /// Whether the loop's clock is the one that the watchdog has: a test's is not.
    private let hasCommonClock: Bool

    private let watchdog: LoopWatchdog

    /// On the loop's thread.
    init(_ loop: EventLoop, number: Int, thread: Int32, watchdog: LoopWatchdog) {
        self.loop = loop
        self.watchdog = watchdog
        self.number = number
        self.thread = thread
        var (low, high): (UInt64, UInt64) = (0, 0)
        stack = unsafe casyncio_stack_bounds(&low, &high) && low <= high ? low..<high : 0..<0
        hasCommonClock = !loop.hasOwnTime
    }

    // MARK: The loop's thread

    @inline(__always)
    private func write(_ phase: Phase, _ task: UInt64, _ address: UInt, at instant: Instant) {
        sequence.store(step &+ 1, ordering: .relaxed)
        self.phase.store(phase, ordering: .releasing)
        since.store(instant.nanoseconds, ordering: .releasing)
        self.task.store(task, ordering: .releasing)
        self.address.store(address, ordering: .releasing)
        step &+= 2
        sequence.store(step, ordering: .releasing)
    }

    /// The loop does something at this instant.
    @inline(__always)
    private func works(_ phase: Phase, _ task: UInt64, _ address: UInt, at instant: Instant) {
        write(phase, task, address, at: instant)
        if isResting { hasWoken() }
    }

    @inline(never)
    private func hasWoken() {
        guard hasCommonClock else { return }
        isResting = false
        // Either the watchdog, which looks once more before it sleeps, sees that the loop has woken, or this sees that
        // it sleeps.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        watchdog.loopHasWoken()
    }

    func jobRuns(_ task: UInt64, _ address: UInt, at instant: Instant) { works(.runs, task, address, at: instant) }

    /// A task runs that was ready for so many nanoseconds.
    func taskRuns(_ task: UInt64, _ address: UInt, after waited: Int64, at instant: Instant) {
        readyToRun.add(waited)
        works(.runs, task, address, at: instant)
    }

    /// A task has run for so many nanoseconds.
    func taskPauses(after time: Int64, at instant: Instant) {
        running.add(time)
        works(.turns, 0, 0, at: instant)
    }

    func callbackRuns(at instant: Instant) { works(.calls, 0, 0, at: instant) }

    /// The job or the callback is over, or the loop has come back from its driver.
    func loopGoesOn(at instant: Instant) { works(.turns, 0, 0, at: instant) }

    /// The loop asks its driver. A wait whose end has passed only asks.
    func asksDriver(until deadline: Instant?, at instant: Instant) {
        if deadline == .distantPast { loopGoesOn(at: instant) } else { rests(at: instant) }
    }

    /// The loop has left its thread.
    func rests() { rests(at: Instant(nanoseconds: 0)) }

    private func rests(at instant: Instant) {
        isResting = true
        write(.rests, 0, 0, at: instant)
    }

    // MARK: The watchdog's thread

    /// Nil if the loop goes on just now.
    var reading: Reading? {
        let before = sequence.load(ordering: .acquiring)
        let phase = phase.load(ordering: .acquiring)
        let since = since.load(ordering: .acquiring)
        let task = task.load(ordering: .acquiring)
        let address = address.load(ordering: .acquiring)
        guard before & 1 == 0, sequence.load(ordering: .relaxed) == before else { return nil }
        return Reading(
            sequence: before, phase: hasCommonClock ? phase : .rests, since: Instant(nanoseconds: since), task: task,
            address: address)
    }

    /// Whether the loop is still where it was read.
    func isStill(at reading: Reading) -> Bool { sequence.load(ordering: .acquiring) == reading.sequence }
}
