import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import CAsyncIOInspection
import Synchronization

/// A thread that looks at the loops of the process, four times in every limit, and reports the one that has not gone
/// on since: while it happens, for what blocks for ever would never be told of afterwards.
///
/// It does not compare what the clock says alone: the whole machine may have been stopped, or so busy that nobody ran.
/// Only the time in which it has looked itself, and seen the loop stand still, counts. While all loops rest it sleeps
/// until one of them wakes it.
final class LoopWatchdog: Sendable {
    private struct State {
        var options: Inspection.WatchdogOptions?
        var limit = Duration.zero
        var cells: [WatchCell] = []
        var thread: SystemThread?
        var isStopped = false
    }

    private let state = Locked(State())
    /// 1 while the thread sleeps until a loop wakes.
    private let bell = Atomic<UInt32>(0)
    /// How often the thread has looked: for tests.
    let looks = Atomic<UInt64>(0)

    /// Whether the thread sleeps until a loop wakes: for tests.
    var isAsleep: Bool { bell.load(ordering: .relaxed) == 1 }

    /// Whoever is watched from now on, and is already. The first call counts.
    func start(_ options: Inspection.WatchdogOptions, usually limit: Duration = .milliseconds(100)) {
        state.withLock { state in
            guard options.isOn, state.options == nil else { return }
            state.options = options
            state.limit = max(options.limit ?? limit, .microseconds(100))
        }
        startThreadIfNeeded()
    }

    /// Ends the thread, and waits for it.
    func stop() {
        let thread = state.withLock { state in
            state.isStopped = true
            return state.thread.take()
        }
        loopHasWoken()
        thread?.join()
    }

    /// On the loop's thread.
    func watch(_ cell: WatchCell) {
        let isOn = state.withLock { state in
            state.cells.append(cell)
            return state.options != nil
        }
        if isOn { _ = casyncio_admit_sampling_signal() }
        startThreadIfNeeded()
    }

    func forget(_ cell: WatchCell) {
        state.withLock { state in state.cells.removeAll { $0 === cell } }
    }

    private func startThreadIfNeeded() {
        state.withLock { state in
            guard let options = state.options, !state.cells.isEmpty, state.thread == nil, !state.isStopped else {
                return
            }
            let limit = state.limit
            // A process that may have no more threads does without.
            state.thread = try? InspectionThread.start("asyncio-watchdog") { self.look(limit, options) }
        }
    }

    // MARK: Sleeping

    /// A loop has left the kernel. On its thread; the caller has made that visible before.
    @inline(__always)
    func loopHasWoken() {
        if bell.load(ordering: .relaxed) != 0 { ring() }
    }

    private func ring() {
        guard bell.exchange(0, ordering: .relaxed) != 0 else { return }
        unsafe withBell { unsafe casyncio_futex_wake($0) }
    }

    private func sleep(_ value: UInt32, _ duration: Duration?) {
        unsafe withBell { unsafe casyncio_futex_wait_for($0, value, duration?.saturatedNanoseconds ?? -1) }
    }

    private func withBell(_ body: (UnsafeMutablePointer<UInt32>) -> Void) {
        unsafe withUnsafePointer(to: bell) { pointer in
            unsafe body(UnsafeMutableRawPointer(mutating: pointer).assumingMemoryBound(to: UInt32.self))
        }
    }

    // MARK: The thread

    /// After so many looks at loops that all rest it sleeps until one wakes: five times the limit.
    private static let patience = 20

    private func look(_ limit: Duration, _ options: Inspection.WatchdogOptions) {
        let period = limit / 4
        var sights = LoopSights(limit: limit, period: period, now: .monotonicNow)
        var reporter = BlockReporter(options)
        var quietLooks = 0
        while let isBusy = lookOnce(&sights, &reporter) {
            quietLooks = isBusy ? 0 : quietLooks + 1
            // A loop that rests between two looks rests often. To be woken by it costs both more than to look again.
            guard quietLooks >= Self.patience else {
                sleep(0, period)
                continue
            }
            // All rest: until one of them wakes. Either it sees that the bell is to be rung, or this sees it awake.
            bell.store(1, ordering: .relaxed)
            atomicMemoryFence(ordering: .sequentiallyConsistent)
            if allRest() { sleep(1, nil) }
            bell.store(0, ordering: .relaxed)
            quietLooks = 0
        }
    }

    /// Whether a loop was awake; nil if nobody is to look any more. Holds no loop afterwards: it may end while this
    /// sleeps, which may be for long.
    private func lookOnce(_ sights: inout LoopSights, _ reporter: inout BlockReporter) -> Bool? {
        let (cells, isStopped) = state.withLock { ($0.cells, $0.isStopped) }
        if isStopped { return nil }
        looks.add(1, ordering: .relaxed)
        return sights.look(at: cells, now: .monotonicNow) { reporter.report($0, $1, $2) }
    }

    private func allRest() -> Bool {
        let (cells, isStopped) = state.withLock { ($0.cells, $0.isStopped) }
        return !isStopped && cells.allSatisfy { $0.reading?.phase == .rests }
    }
}
