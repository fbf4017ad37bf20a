import AsyncIO
import AsyncIOKernel
import AsyncIOLoop

/// Where a body is cancelled: a loop in virtual time, or a host of a simulated world.
struct SweepGround {
    let loop: EventLoop
    /// Whether what the set-up has left counts as a leak, as far as the check has not ended it.
    let countsSetUp: Bool
    /// Lets everybody come as far as they can.
    let settle: () async throws -> Void
    /// Told of the instant that only a hung run reaches, and of nil when it has ended.
    var expectEnd: (Instant?) -> Void = { _ in }

    init(_ time: VirtualTime) {
        loop = time.loop
        countsSetUp = true
        settle = { try await time.waitUntilIdle() }
        expectEnd = { time.driver.lastResort = $0 }
    }

    /// A host, to be used on its loop.
    init(_ host: SimulatedHost) throws {
        loop = try host.loop
        countsSetUp = false
        settle = { [loop] in try await loop.sleep(for: .milliseconds(10)) }
    }
}

/// One run of a body that is cancelled at one point, on the loop of its clock.
struct SweptRun: Sendable {
    let run: CancellationSweep.Run
    let suspensions: Int
    /// What was wrong.
    let faults: [String]

    static func perform<Subject: Sendable>(
        _ point: CancellationPoint, _ ground: SweepGround, _ limit: Duration, _ accepting: (any Error) -> Bool,
        _ setUp: () async throws -> Subject,
        _ body: @escaping @concurrent @Sendable (Subject) async throws -> Void,
        _ check: @escaping @concurrent @Sendable (Subject, CancellationSweep.Run) async throws -> Void
    ) async throws -> SweptRun {
        var earlyCheck: LeakCheck?
        if ground.countsSetUp { earlyCheck = await LeakCheck.begin(on: ground.loop) }
        let subject = try await setUp()
        // What has been started for the body is in its place when it begins.
        try await ground.settle()
        let leakCheck =
            if let earlyCheck { earlyCheck } else { await LeakCheck.begin(on: ground.loop, [.loop, .descriptors]) }

        let trigger = Trigger(point)
        let census = leakCheck.census
        let bodyEnd = await guarded("body", ground, limit, census, hearing: trigger.hear) {
            trigger.bodyBegins()
            defer { trigger.bodyEnds() }
            try await body(subject)
        } started: {
            trigger.task = $0
        }
        let run = CancellationSweep.Run(point: point, wasCancelled: trigger.hasFired, ending: bodyEnd)

        var faults: [String] = []
        if let fault = fault(of: run, accepting) { faults.append(fault) }
        switch bodyEnd {
        case .hung, .spins: return SweptRun(run: run, suspensions: trigger.suspensions, faults: faults)
        case .returned, .cancelled, .threw: break
        }
        let checkEnd = await guarded("check", ground, limit, census, hearing: { _ in }) {
            try await check(subject, run)
        } started: { _ in
        }
        switch checkEnd {
        case .returned: break
        case .cancelled: faults.append("the check threw CancellationError")
        case .threw(let error): faults.append("afterwards: \(error)")
        case .hung: faults.append("afterwards, the check hangs")
        case .spins: faults.append("afterwards, the check spins")
        }
        let leaks = await leakCheck.end()
        if !leaks.isEmpty { faults.append("\(leaks)") }
        return SweptRun(run: run, suspensions: trigger.suspensions, faults: faults)
    }

    private static func fault(of run: CancellationSweep.Run, _ accepting: (any Error) -> Bool) -> String? {
        switch run.ending {
        case .returned: nil
        case .cancelled: run.wasCancelled ? nil : "threw CancellationError, and nobody has cancelled it"
        case .threw(let error): run.wasCancelled && accepting(error) ? nil : "threw \(error)"
        case .hung: "hangs: nothing is left that it could wait for"
        case .spins: "spins: the loop has run \(mostJobs) jobs, and it has not ended"
        }
    }

    /// How many jobs a run may take: tasks that are always ready let no time pass.
    private static let mostJobs = 200_000

    /// Runs a body in a task of its own, and gives it up when the limit has passed.
    private static func guarded(
        _ name: String, _ ground: SweepGround, _ limit: Duration, _ census: TaskCensus,
        hearing hear: @escaping (LoopEvent) -> Void, _ body: @escaping @Sendable () async throws -> Void,
        started: (Task<Void, Never>) -> Void
    ) async -> CancellationSweep.Ending {
        let ending = Condition<CancellationSweep.Ending?>(nil)
        let hasEnded = AsyncEvent(name: "end of the \(name)")
        let end = ground.loop.now.advanced(by: limit)
        ground.expectEnd(end)
        let watchdog = ground.loop.callAt(end) {
            ending.withLock { $0 = .hung }
            hasEnded.set()
        }
        var jobs = 0
        census.listener = { event in
            hear(event)
            guard case .jobDidRun = event else { return }
            jobs += 1
            guard jobs == mostJobs else { return }
            ending.withLock { if $0 == nil { $0 = .spins } }
            hasEnded.set()
        }
        let task = Task(name: name, executorPreference: ground.loop) {
            let result: CancellationSweep.Ending
            do {
                try await body()
                result = .returned
            } catch is CancellationError { result = .cancelled } catch { result = .threw(error) }
            ending.withLock { if $0 == nil { $0 = result } }
            hasEnded.set()
        }
        started(task)
        let wait = Task(executorPreference: ground.loop) { try? await hasEnded.wait() }
        await wait.value
        census.listener = nil
        watchdog.cancel()
        ground.expectEnd(nil)
        task.cancel()
        return ending.withLock { $0 } ?? .hung
    }
}

/// Cancels the body's task at one point. Used on the loop's thread, between and inside its jobs.
private final class Trigger: @unchecked Sendable {
    private let point: CancellationPoint
    var task: Task<Void, Never>?
    private var id: TaskID?
    private var hasEnded = false
    /// How often the body has suspended.
    private(set) var suspensions = 0
    private var jobs = 0
    private(set) var hasFired = false

    init(_ point: CancellationPoint) { self.point = point }

    func bodyBegins() { id = TaskID.current }
    func bodyEnds() { hasEnded = true }

    func hear(_ event: LoopEvent) {
        guard let id, !hasEnded else { return }
        switch event {
        case .jobWillRun(id):
            if point.moment == .answered && suspensions == point.number { fire() }
        case .jobDidRun(let task):
            jobs += 1
            if task == id {
                suspensions += 1
                if point.moment == .waiting && suspensions == point.number { fire() }
            }
            if point.moment == .betweenJobs && jobs == point.number { fire() }
        default: break
        }
    }

    private func fire() {
        guard !hasFired, point.number > 0, let task else { return }
        hasFired = true
        task.cancel()
    }
}
