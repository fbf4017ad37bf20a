package import AsyncIOKernel

/// Who sees the tasks themselves, where an ``Instrument`` sees their numbers. On the loop's thread, with its rules.
///
/// The loop tells it several times for each job, and holds it without counting references. It passes what it is told on
/// to whoever watched before.
package protocol JobWatcher: AnyObject {
    /// A job was put into the ready queue by Swift's runtime; the task that runs here, if one does, is who woke or
    /// created it. Not told of tasks that were suspended without a continuation and are woken on the loop's thread: see
    /// ``EventLoop/queuedJobs``.
    func queued(_ job: UnsafeMutableRawPointer, _ task: TaskID, at instant: Instant)
    /// The job runs from here on. When it was queued is the distant past if nobody watched then.
    func willRun(_ job: UnsafeMutableRawPointer, _ task: TaskID, queued: Instant, at instant: Instant)
    /// The task that runs waits for an operation on a descriptor.
    func waits(for operation: OperationID, _ name: String, _ descriptor: CInt)
    /// The task that runs is about to wait somewhere, for something that is no operation of the loop's; nil takes that
    /// back.
    func waits(at place: (any WaitingPlace)?, as visitor: Int)
    /// The job has suspended or ended, or goes on elsewhere. Its memory may be gone, unless somebody has retained it.
    func didRun(at instant: Instant)
    /// A callback runs from here on.
    func willCall(at instant: Instant)
    /// The callback has returned.
    func didCall(at instant: Instant)
    /// The loop has come back from its driver.
    func turns(at instant: Instant)
    /// It asks its driver, and sleeps at most until the deadline: in the distant past, it only asks.
    func asksDriver(until deadline: Instant?, at instant: Instant)
}
