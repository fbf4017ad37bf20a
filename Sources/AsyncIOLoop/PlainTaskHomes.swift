import CAsyncIO

/// Where the plain tasks of a simulation are at home: each on the loop whose code has started it, whoever wakes it.
///
/// Simulated loops share a thread, so the loop that runs is not always the one that a woken task belongs to. Known are
/// the tasks that a loop's ``PlainTasks`` follow, from their first run to their end, and with them their children. The
/// simulation's thread alone uses it.
@safe
package final class PlainTaskHomes {
    private var homes: [UInt: Unmanaged<LoopCore>] = unsafe [:]

    package init() {}

    /// How many tasks are known.
    package var count: Int { unsafe homes.count }

    /// The loop keeps the task until it is taken away here, so that nobody else has its address.
    func add(_ task: UInt, at home: Unmanaged<LoopCore>) { unsafe homes[task] = home }

    func remove(_ task: UInt) { unsafe homes[task] = nil }

    /// The loop on which a job's task is at home; nil if it has not run yet, or is no plain task's.
    func home(of word: ReadyWord) -> Unmanaged<LoopCore>? {
        guard unsafe !homes.isEmpty, let root = unsafe casyncio_root_task(word.pointer) else { return nil }
        return unsafe homes[UInt(bitPattern: root)]
    }
}

extension LoopCore {
    /// Queues a job of Swift's default executor, or of the main actor, that code of this loop has made ready: here, or
    /// where its task is at home.
    @inline(__always)
    func enqueueAtHome(_ word: ReadyWord) {
        guard let homes = plainTasks.homes else { return enqueue(word) }
        // A core takes its tasks off the list before it goes.
        guard let home = unsafe homes.home(of: word) else { return enqueue(word) }
        unsafe home._withUnsafeGuaranteedRef { $0.enqueue(word) }
    }
}
