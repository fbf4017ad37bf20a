package import AsyncIOKernel

/// The loop's whole contact with the outside world: input and output, time, and being woken.
///
/// Timers, tokens, tables, fairness and cancellation of tasks are the loop's. A driver turns operations into
/// completions, each exactly once, and owns the only place where the loop's thread sleeps; so a simulated driver is a
/// virtual clock. Everything but ``wake()`` is called on the loop's thread.
package protocol Driver: AnyObject {
    /// What the driver is called in statistics and notices.
    var name: String { get }
    /// The time: the system's monotonic clock, or a test's where ``hasOwnTime``. A loop asks only for the latter.
    var now: Instant { get }
    /// Starts an operation, or does it at once.
    func submit(_ operation: Operation, token: Token) -> Submission
    /// Asks for an early end. The completion still comes, once, and may report success.
    func cancel(_ token: Token)
    /// The operation under way in the place that another one found taken.
    func rival(of operation: Operation) -> Token?
    /// Sleeps until something completes, someone wakes the loop, or the instant has come; nil means no end.
    func wait(until deadline: Instant?, into completions: inout CompletionList)
    /// Ends a sleep, or the next one. The only call that other threads may make.
    nonisolated func wake()
    /// Closes every adopted descriptor and the driver's own. Nothing is called afterwards.
    func close()
    /// What an operation under way waits for, for people.
    func describe(_ token: Token) -> String?
    /// Who turns the loop, if it does not turn by itself, and draws what a simulation leaves to chance.
    var simulator: (any LoopSimulator)? { get }
    /// Where a transfer that need not wait may be tried without an operation's slot; nil where everything is one.
    var descriptors: DescriptorCore? { get }
    /// Whether time is a test's: it goes by what happens on the loop, and nobody from outside may add to that.
    var hasOwnTime: Bool { get }
}

extension Driver {
    package func describe(_ token: Token) -> String? { nil }
    package var simulator: (any LoopSimulator)? { nil }
    package var descriptors: DescriptorCore? { nil }
    package var hasOwnTime: Bool { simulator != nil }
}

/// A simulation, as one of its loops sees it.
///
/// Such a loop does not turn by itself: several of them share a thread and a clock, and the simulation turns one after
/// the other, ``EventLoop/turn()``. A loop that has to wait for something, at its end, lets the simulation go on.
package protocol LoopSimulator: AnyObject {
    /// Lets the whole simulation go one step: a turn of some loop, or a move of the clock.
    func step()
    /// Which of so many jobs that are ready runs next.
    func choose(among count: Int) -> Int
    /// Whether blocking work is done by threads, and not at once, on the loop's own.
    var offloadsToThreads: Bool { get }
    /// How long blocking work that is done at once takes by the simulation's clock.
    func timeForBlockingWork(_ name: String) -> Duration
    /// Where plain tasks that have begun to run are at home.
    var plainTaskHomes: PlainTaskHomes { get }
    /// A task suspends at a lock, a queue or the like, of this type; nil: it goes on. Told so that a simulation can say
    /// what those wait for who wait for ever.
    func note(_ task: TaskID, waitsAt place: Any.Type?)
    /// Who answers the system calls of this loop's turns.
    var standIn: StandInHolder? { get }
}
