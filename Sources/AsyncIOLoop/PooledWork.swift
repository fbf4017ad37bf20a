package import AsyncIOKernel
import Synchronization

/// A piece of work that waits in a ``BlockingPool`` for one of its threads.
package protocol PooledWork: AnyObject, Sendable {
    /// What it is called in statistics.
    var name: String { get }
    /// How urgent it is.
    var priority: TaskPriority { get }
    /// Where it stands in the pool: the pool's own, under its lock.
    var place: PlaceInPool { get set }
    /// Does the work on the calling thread. Tells the pool when it is done: ``BlockingPool/hasFinished(_:)``.
    func run()
    /// The work does not begin.
    func end(_ ending: WorkEnding)
    /// No thread works, and the system gives none. True if the work has ended for that reason; false if it is to be
    /// done on the thread that brought it.
    func end(for error: IOError) -> Bool
}

extension PooledWork {
    package func end(for error: IOError) -> Bool { false }
}

/// What has become of a piece of work before it began.
package enum WorkEnding: UInt8, AtomicRepresentable { case underWay, cancelled, refused }

/// Where a piece of work stands in the queue of its pool.
package struct PlaceInPool {
    /// Cancelled before it was submitted.
    var isCancelled = false
    /// How many were queued before it, in its lane; nil if it does not queue.
    var position: Int?
    /// How many were queued before it, in all lanes.
    var age: UInt64 = 0

    package init() {}
}
