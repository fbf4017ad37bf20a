import AsyncIOKernel
import CAsyncIO

/// The process that a part of a loop was made in.
///
/// A child of fork(2) has a copy of everything but the threads, and shares the descriptors: what it did with the loop
/// would happen to its parent, and it would wait for locks that threads hold which are not there. A loop of its own it
/// may have.
struct HomeProcess: Sendable {
    private let forks = casyncio_forks()

    @inline(__always)
    func mustBeThisOne() {
        callerMust(
            casyncio_forks() == forks,
            "this process was forked by one that runs an event loop, and must not touch it: "
                + "fork before the first loop, or let the child exec a program at once, as Process.spawn does")
    }
}
