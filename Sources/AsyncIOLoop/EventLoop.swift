public import AsyncIOKernel
import CAsyncIO
import Synchronization

/// An event loop: one thread that runs Swift's own tasks and waits for their input and output.
///
/// A task is taken from the ready queue and runs until it awaits something. If that is input or output, a timer or
/// another task, the loop remembers it and runs others; when the operating system reports, the task is queued again.
/// The whole of it is ``LoopCore/tick()``.
///
/// A program starts one with ``run(options:_:)``; see there for what happens at the end. More loops, each on its own
/// thread, come from ``LoopThread``. A loop is a `TaskExecutor`: `Task(executorPreference: loop)` runs on it, and so do
/// the children of such a task. Actors live on it if their `unownedExecutor` is ``unownedSerialExecutor``; see
/// ``LoopActor``.
///
/// Every method may be called from any thread, unless it says otherwise.
@safe
public final class EventLoop: TaskExecutor, CustomStringConvertible {
    /// What the loop is called in errors, thread lists and timelines.
    public let name: String
    /// What the loop was made with.
    public let options: Options

    let inbox: Inbox
    let background = BackgroundRegistry()
    let pool: BlockingPool<BlockingJob>
    /// The loop's thread alone may touch it.
    @safe nonisolated(unsafe) let core: LoopCore
    /// Whether the process's default executor leads here. Set on the loop's thread, around its run.
    var ownsDefaultExecutor: Bool {
        get { ownsDefault.load(ordering: .relaxed) }
        set { ownsDefault.store(newValue, ordering: .relaxed) }
    }
    private let ownsDefault = Atomic(false)
    /// Tasks that a timeout has left behind and that have not ended.
    let abandoned = Atomic(0)
    /// The executor of actors that live on this loop.
    let serial = SerialFacet()
    /// What a library with loops of its own takes this one for: made when it is first asked for, and let go at the
    /// loop's end, since it holds the loop.
    package let guise = Locked<(any AnyObject & Sendable)?>(nil)

    /// Makes a loop that does not run yet.
    init(options: Options, driver: (any Driver)? = nil) throws {
        Descriptor.fillStandardNumbers()
        casyncio_watch_forks()
        let driver = try driver ?? options.driver.make()
        inbox = Inbox()
        name = options.name
        self.options = options
        pool = BlockingPool(name: "\(options.name)-blocking", limit: options.blockingThreads)
        core = LoopCore(driver: driver, inbox: inbox, fairness: options.fairness)
        core.instrument = options.instrument
        unsafe serial.loop = self
        core.runner = JobRunner(loop: self)
        unsafe core.loop = UnsafeRawPointer(Unmanaged.passUnretained(self).toOpaque())
    }

    /// The loop that runs on the calling thread, if any.
    public static var current: EventLoop? {
        guard let pointer = unsafe casyncio_current_loop() else { return MainProgram.earlyLoop() }
        return unsafe Unmanaged<EventLoop>.fromOpaque(pointer).takeUnretainedValue()
    }

    /// Whether the caller runs on this loop's thread, inside its ``run(options:_:)``.
    @inline(__always)
    public var isCurrent: Bool {
        unsafe casyncio_current_loop() == Unmanaged.passUnretained(self).toOpaque()
    }

    /// Whether the caller runs where this loop's jobs run: on its thread, or, after its end, where they go on.
    @inline(__always)
    package var isHome: Bool { isCurrent || isClosed && Afterlife.isCurrent }

    /// The loop's time: monotonic, the base of all its timers.
    public var now: Instant { core.now }

    /// The driver that the loop runs on: `epoll`.
    public var driverName: String { core.driver.name }

    /// Whether the loop has ended for good.
    public var isClosed: Bool { inbox.isClosed }

    /// `EventLoop(main, epoll)`.
    public var description: String { "EventLoop(\(name), \(driverName))" }

    // MARK: TaskExecutor

    /// Queues a job of a task that prefers this loop. Called by Swift's runtime.
    public func enqueue(_ job: UnownedJob) { enqueue(ReadyWord(job, .preferred)) }

    /// Queues a job of a task that prefers this loop. Called by Swift's runtime.
    public func enqueue(_ job: consuming ExecutorJob) { enqueue(ReadyWord(UnownedJob(job), .preferred)) }

    /// The executor that actors on this loop return from their `unownedExecutor`.
    public var unownedSerialExecutor: UnownedSerialExecutor { unsafe serial.asUnownedSerialExecutor() }

    /// The same, as an object.
    package var serialExecutor: any SerialExecutor { serial }

    // MARK: The two ways in

    /// Puts a word into the ready queue, from whatever thread.
    @inline(__always)
    func enqueue(_ word: ReadyWord) {
        if isCurrent { core.enqueue(word) } else { enqueueFromOutside(word) }
    }

    /// Lets a task go on that was suspended without a continuation, from whatever thread.
    @inline(__always)
    func wake(_ word: ReadyWord) {
        if isCurrent { core.wake(word) } else { enqueueFromOutside(word) }
    }

    private func enqueueFromOutside(_ word: ReadyWord) {
        // A closed loop runs nothing, but a task must never be lost: somebody may wait for it.
        // Unless it was a simulation's: nothing of it may go on in the real world.
        guard !post(.ready(word)), core.simulator == nil else { return }
        if word.kind == .generic, let next = MainLoop.openLoop { next.enqueue(word) } else { Afterlife.run(word) }
    }

    /// Hands something to the loop's thread. False if the loop is closed.
    @discardableResult
    func post(_ entry: InboxEntry) -> Bool {
        return inbox.push(entry) { core.driver.wake() }
    }
}

/// An actor that lives on a loop: its code runs on the loop's thread, and calls between actors of one loop do not
/// suspend.
///
/// ```swift
/// actor Room: LoopActor {
///     nonisolated let loop: EventLoop
/// }
/// ```
public protocol LoopActor: Actor {
    /// The loop, for the actor's whole life.
    nonisolated var loop: EventLoop { get }
}

extension LoopActor {
    /// The loop's serial executor.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.unownedSerialExecutor }
}

/// The loop as an actor's executor.
///
/// A second object rather than a second face of ``EventLoop``: only jobs that come through this one run isolated, which
/// spares all the others a switch.
@safe
final class SerialFacet: SerialExecutor {
    /// The loop owns this object, and actors own their loop. Weak or strong references would cost a count for each job.
    nonisolated(unsafe) unowned(unsafe) var loop: EventLoop?

    func enqueue(_ job: UnownedJob) { unsafe loop?.enqueue(ReadyWord(job, .isolated)) }

    func enqueue(_ job: consuming ExecutorJob) { unsafe loop?.enqueue(ReadyWord(UnownedJob(job), .isolated)) }

    func isIsolatingCurrentContext() -> Bool? { isHome }

    private var isHome: Bool { unsafe loop?.isHome ?? false }

    func checkIsolated() {
        precondition(isHome, "this code must run on the loop that its actor lives on")
    }
}

/// Runs jobs of each kind the way Swift's runtime expects it.
@safe
struct JobRunner {
    private let preferred: UnownedTaskExecutor
    private let isolated: UnownedSerialExecutor

    init(loop: EventLoop) {
        unsafe preferred = loop.asUnownedTaskExecutor()
        unsafe isolated = loop.serial.asUnownedSerialExecutor()
    }

    @inline(__always)
    func run(_ word: ReadyWord) {
        switch word.kind {
        case .generic: unsafe word.job.runSynchronously(on: .generic)
        case .preferred: unsafe word.job.runSynchronously(on: preferred)
        case .isolated: unsafe word.job.runSynchronously(isolatedTo: isolated, taskExecutor: preferred)
        case .main: unsafe word.job.runSynchronously(on: Takeover.mainSerialExecutor)
        case .visiting: unsafe word.job.runSynchronously(on: Takeover.visitingMainExecutor)
        case .call: break
        }
    }
}

extension UnownedSerialExecutor {
    /// Nobody's executor: what the runtime itself passes on its global pool. All zeroes by its ABI.
    static var generic: UnownedSerialExecutor {
        unsafe unsafeBitCast((UInt(0), UInt(0)), to: UnownedSerialExecutor.self)
    }
}
