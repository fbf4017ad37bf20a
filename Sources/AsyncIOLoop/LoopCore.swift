import AsyncIOKernel
import CAsyncIO
import SystemPackage

/// The part of a loop that belongs to its thread: the ready queue, the timers, the operations under way, the driver.
///
/// No other thread ever touches it; they have the ``Inbox``.
@safe
final class LoopCore {
    let driver: any Driver
    /// Whether its time is a test's; else it is the system's monotonic clock, which need not be asked for it.
    let hasOwnTime: Bool
    /// Where transfers are tried that need no slot: see ``EventLoop/sendAtOnce(_:_:)``.
    private let descriptors: Unmanaged<DescriptorCore>?
    let inbox: Inbox
    let fairness: Fairness
    /// The process that the loop was made in.
    let process = HomeProcess()

    // Touched by one thread, and never across a call that could touch them again: the dynamic checks for it, which cost
    // a quarter of the loop's own instructions, are off for exactly these fields.
    @safe @exclusivity(unchecked) var ready = ReadyRing()
    @safe @exclusivity(unchecked) var timers = TimerHeap()
    @safe @exclusivity(unchecked) var operations = OperationTable()
    @safe @exclusivity(unchecked) var completions = CompletionList()
    /// What takes the place of the completions while those are worked on, unless that is under way.
    @safe @exclusivity(unchecked) var spareCompletions: CompletionList? = CompletionList()
    /// Tasks that let the others go first.
    @safe @exclusivity(unchecked) var yielding: [Yielder] = []
    @safe @exclusivity(unchecked) var incoming: [InboxEntry] = []
    @safe @exclusivity(unchecked) var plainTasks = PlainTasks()
    /// Who watches, if anybody does.
    @safe @exclusivity(unchecked) private(set) var audience: Audience?
    @safe @exclusivity(unchecked) private var borrowedAudience: Unmanaged<Audience>?
    /// How many calls to them are under way, one within the other, and who has left meanwhile.
    @safe @exclusivity(unchecked) private var tellings = 0
    @safe @exclusivity(unchecked) private var leavers: [Audience] = []
    @safe @exclusivity(unchecked) private(set) var isWatched = false
    /// Whether there is an instrument among them.
    @safe @exclusivity(unchecked) private(set) var isRecorded = false
    /// The loop's clock when somebody who watches was last told the time. Reading it costs as much as the rest of their
    /// work, so that what follows at once is told the same.
    @safe @exclusivity(unchecked) private(set) var seen = Instant.distantPast
    /// Whether nothing has run since that nobody watched.
    @safe @exclusivity(unchecked) private var isSeenRecent = false
    /// What is queued just now is queued by completions that have come with the time last told.
    @safe @exclusivity(unchecked) var isCompleting = false
    @safe @exclusivity(unchecked) var counters = Counters()

    /// Jobs run since the driver was last asked.
    @safe @exclusivity(unchecked) var sincePoll = 0
    /// The body of the run has ended.
    @safe @exclusivity(unchecked) var bodyHasEnded = false
    /// Whoever calls ``tick()`` has something to look at: the next wait does not sleep.
    @safe @exclusivity(unchecked) var wantsAttention = false
    /// The loop is ending: every job may have been the one that was waited for.
    @safe @exclusivity(unchecked) var isEnding = false
    /// What runs, or has run last.
    @safe @exclusivity(unchecked) var running = ReadyWord.none
    /// The loop, as tasks prefer it.
    @safe @exclusivity(unchecked) var loop = unsafe UnsafeRawPointer?.none
    /// Whether tasks are suspended without continuations: see Suspension.swift.
    let suspendsTasks = Suspension.isPossible
    /// How jobs are run: as the loop's own, or as anybody's on a loop that has taken over.
    @safe @exclusivity(unchecked) var runner: JobRunner?
    /// Who draws what runs next, instead of the order in which it was queued.
    let simulator: (any LoopSimulator)?
    /// When the jobs of a simulation's turn began to run, by the real clock.
    @safe @exclusivity(unchecked) var jobsBegan = Instant.distantPast
    /// Who answers the system calls of a simulated loop's code.
    let standIn: StandInHolder?

    init(driver: any Driver, inbox: Inbox, fairness: Fairness) {
        self.driver = driver
        hasOwnTime = driver.hasOwnTime
        unsafe descriptors = driver.descriptors.map { unsafe Unmanaged.passUnretained($0) }
        self.inbox = inbox
        simulator = driver.simulator
        standIn = driver.simulator?.standIn
        self.fairness = Fairness(jobsPerPoll: fairness.jobsPerPoll, operationsPerJob: fairness.operationsPerJob)
        if let simulator { plainTasks.list(in: simulator.plainTaskHomes, of: self) }
    }

    var now: Instant { hasOwnTime ? driver.now : .monotonicNow }

    /// The time, for those who watch.
    func look() -> Instant {
        seen = now
        isSeenRecent = true
        return seen
    }

    /// Something has been done that nobody is told of, and may have taken its time.
    func hasBeenBusy() { isSeenRecent = false }

    /// The time when the last thing that was told of ended, and what comes now began.
    @inline(__always)
    var lately: Instant { isSeenRecent ? seen : look() }

    var instrument: (any Instrument)? {
        get { audience?.instrument }
        set { watched(by: newValue, watcher) }
    }

    /// Who sees the tasks behind the jobs.
    var watcher: (any JobWatcher)? {
        get { audience?.watcher }
        set { watched(by: instrument, newValue) }
    }

    /// From now on, these watch.
    private func watched(by instrument: (any Instrument)?, _ watcher: (any JobWatcher)?) {
        let former = audience
        audience = instrument == nil && watcher == nil ? nil : Audience(instrument, watcher)
        unsafe borrowedAudience = audience.map { unsafe Unmanaged.passUnretained($0) }
        isWatched = audience != nil
        isRecorded = instrument != nil
        ready.isTimed = isWatched
        // Who has begun to watch has not seen what runs just now, which may take long.
        isSeenRecent = false
        // Who is told something may be who begins or leaves, or may let go of somebody who does.
        if let former, tellings > 0 { leavers.append(former) }
    }

    /// Tells those who watch, without counting references to them, which would cost more than most of what they do.
    @inline(__always)
    func tell(_ body: (Audience) -> Void) {
        guard let audience = borrowedAudience else { return }
        tellings &+= 1
        unsafe audience._withUnsafeGuaranteedRef(body)
        tellings &-= 1
        if tellings == 0 && !leavers.isEmpty { letLeaversGo() }
    }

    @inline(never)
    private func letLeaversGo() {
        let gone = leavers
        leavers = []
        withExtendedLifetime(gone) {}
    }

    // MARK: Operations

    /// Asks the driver's calls on descriptors, if it has any, without counting a reference to them.
    @inline(__always)
    func withDescriptors<Result>(_ body: (DescriptorCore) -> Result) -> Result? {
        guard let descriptors = unsafe descriptors else { return nil }
        return unsafe descriptors._withUnsafeGuaranteedRef(body)
    }

    /// Tries an operation; a token for what goes on.
    @inline(__always)
    func start(_ operation: Operation) -> Started {
        let token = operations.open()
        let submission: Submission
        if case .sleep(let deadline) = operation {
            operations.setTimer(addTimer(at: deadline, .complete(token)), on: token)
            submission = .pending
        } else {
            submission = driver.submit(operation, token: token)
        }
        counters.operations &+= 1
        switch submission {
        case .completed(var outcome):
            if outcome.result == Errno.resourceBusy.negated { outcome.bytes = nameOfRival(of: operation) }
            counters.immediate &+= 1
            operations.endAtOnce(token)
            tell { $0.instrument?.record(.operation(operation.name, operation.descriptor, .completed), at: now) }
            return .completed(outcome)
        case .pending:
            if isWatched { tellPending(token, operation.name, operation.descriptor) }
            return .pending(token)
        }
    }

    /// Begins the first step of a read, if all that it could do now is to wait.
    @inline(__always)
    func awaitBytes(_ handle: Handle, limit: Int, lends: Bool) -> Token? {
        let token = withDescriptors { $0.awaitBytes(handle, limit: limit, lends: lends) { operations.open() } } ?? nil
        guard let token else { return nil }
        _ = casyncio_spend_share()
        counters.operations &+= 1
        if isWatched { tellPending(token, "read", handle.descriptor) }
        return token
    }

    /// Counts an operation that has ended without a slot, and tells of it.
    @inline(__always)
    func noteImmediate(_ name: String, _ descriptor: CInt) {
        _ = casyncio_spend_share()
        counters.operations &+= 1
        counters.immediate &+= 1
        if isRecorded { tellImmediate(name, descriptor) }
    }

    /// Who is under way in the place that an operation wanted: the task's name, or its id.
    private func nameOfRival(of operation: Operation) -> [UInt8]? {
        driver.rival(of: operation).flatMap(nameOfTask(of:)).map { Array($0.utf8) }
    }

    /// The name of the task that waits for an operation, or its id.
    func nameOfTask(of token: Token) -> String? {
        guard let task = unsafe operations.task(of: token) else { return nil }
        if casyncio_task_layout_is_known(), let name = unsafe casyncio_task_name(task) {
            return unsafe String(cString: name)
        }
        return unsafe "#\(swift_task_getJobTaskId(task))"
    }

    enum Started {
        case completed(Outcome)
        case pending(Token)
    }

    /// Frees the memory with bytes in it that nobody will come for: the loop has closed.
    func takeBackWhatNobodyGets() {
        guard let descriptors = driver.descriptors else { return }
        let rest = completions.takeAll() + descriptors.ended
        descriptors.ended = []
        for completion in rest {
            if let memory = unsafe completion.outcome.lent { unsafe descriptors.takeBack(memory) }
        }
        unsafe operations.takeKeptLent(ofSuspended: simulator != nil).forEach { unsafe descriptors.takeBack($0) }
    }

    /// Asks for an operation's early end. The completion comes with the next tick.
    func cancel(_ token: Token) {
        guard operations.contains(token) else { return }
        if let timer = operations.timer(of: token) {
            if removeTimer(timer) { completions.append(Completion(token, .cancelled)) }
        } else {
            driver.cancel(token)
        }
    }

    /// Ends an operation: the one place in the package where a task that waits for input or output goes on.
    func complete(_ completion: Completion) {
        guard let waiting = operations.end(completion.token, completion.outcome) else { return }
        counters.resumed &+= 1
        if isRecorded { tellResumed(completion) }
        switch waiting {
        case .word(let word): wake(word)
        case .continuation(let continuation):
            unsafe continuation.resume(returning: completion.outcome)
            // An executor of somebody else's may have run the task at once.
            hasBeenBusy()
        }
    }

    // MARK: Timers

    func addTimer(at deadline: Instant, _ action: TimerAction) -> TimerID {
        counters.timers &+= 1
        return timers.insert(at: deadline, action)
    }

    /// Takes a timer away. False if it has fired.
    @discardableResult
    func removeTimer(_ timer: TimerID) -> Bool {
        guard let action = timers.remove(timer) else { return false }
        counters.timersCancelled &+= 1
        // A callback's timer owns its call.
        if case .makeReady(let word) = action, word.kind == .call { _ = word.takeCall() }
        return true
    }

    // MARK: The inbox

    func handle(_ entry: InboxEntry) {
        switch entry {
        case .ready(let word): enqueue(word)
        case .start(let remote): start(remote)
        case .wait(let wait):
            guard let continuation = unsafe wait.continuation else { return }
            unsafe self.wait(continuation, wait.token, wait.task)
        case .letGo(let token): operations.letGo(token)
        case .cancel(let token): cancel(token)
        case .cancelInScope(let scope): scope.cancelWait()
        case .cancelRemote(let remote):
            remote.isCancelled = true
            if let token = remote.token { cancel(token) }
        case .cancelTimer(let timer): removeTimer(timer)
        case .arm(let deadline, let word, let call):
            let timer = addTimer(at: deadline, .makeReady(word))
            call?.armed(timer, in: self)
        case .close(let handle, let closing): _ = start(Operation.close(handle, closing))
        }
    }

    @inline(__always)
    func enqueue(_ word: ReadyWord) {
        if isWatched { queueWatched(word) } else { ready.push(word) }
    }

    /// Lets a task go on that was suspended without a continuation.
    @inline(__always)
    func wake(_ word: ReadyWord) {
        if isWatched { wakeWatched(word) } else { ready.push(word) }
    }

    private func start(_ remote: RemoteOperation) {
        guard let continuation = unsafe remote.continuation else { return }
        unsafe remote.continuation = nil
        let token: Token
        let isRefused = remote.isCancelled && !remote.operation.isSecondStep
        switch isRefused ? .completed(.cancelled) : start(remote.operation) {
        case .completed(let outcome):
            token = operations.open()
            completions.append(Completion(token, outcome))
        case .pending(let started):
            token = started
            remote.token = started
            if remote.isCancelled { cancel(started) }
        }
        unsafe wait(continuation, token, remote.task)
    }

    /// Lets a task on another thread wait for an operation.
    private func wait(
        _ continuation: UnsafeContinuation<Outcome, Never>, _ token: Token, _ task: UnsafeMutableRawPointer?
    ) {
        guard let early = unsafe operations.park(continuation, on: token, task: task) else { return }
        unsafe continuation.resume(returning: early)
    }
}

/// How much of something happens before it is somebody else's turn.
public struct Fairness: Sendable {
    /// How many jobs run before the driver is asked again, while jobs are ready. Tokio's is 61.
    public var jobsPerPoll: Int
    /// How many operations one job completes without suspending before it has to queue again.
    public var operationsPerJob: Int

    /// Creates a policy; numbers below one count as one.
    public init(jobsPerPoll: Int = 64, operationsPerJob: Int = 64) {
        self.jobsPerPoll = max(jobsPerPoll, 1)
        self.operationsPerJob = max(operationsPerJob, 1)
    }
}

/// What the loop counts on its thread.
struct Counters {
    var ticks: UInt64 = 0
    var polls: UInt64 = 0
    var jobs: UInt64 = 0
    var calls: UInt64 = 0
    var operations: UInt64 = 0
    var immediate: UInt64 = 0
    var resumed: UInt64 = 0
    var timers: UInt64 = 0
    var timersFired: UInt64 = 0
    var timersCancelled: UInt64 = 0
}

/// Who watches a loop. Held in one place that does not change, so that being told costs no counting.
final class Audience {
    let instrument: (any Instrument)?
    let watcher: (any JobWatcher)?

    init(_ instrument: (any Instrument)?, _ watcher: (any JobWatcher)?) {
        self.instrument = instrument
        self.watcher = watcher
    }
}
