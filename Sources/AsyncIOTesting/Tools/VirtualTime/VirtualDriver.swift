import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import SystemPackage

/// A driver without a network, whose time passes only when nothing else can happen.
///
/// Hours pass in no time, and two runs see the same instants. Time stands still while a task is ready, while blocking
/// work of the loop is under way on its threads, and beyond the horizon that the test has set. Files are worked on for
/// real, by the loop's threads; every other operation is refused by name.
final class VirtualDriver: Driver, Sendable {
    /// Somebody who waits until the loop has nothing to do, at an instant or as soon as may be.
    private struct Idler {
        let instant: Instant
        let event: AsyncEvent
    }

    private struct State {
        var now = Instant(nanoseconds: 1_000_000_000)
        var isWoken = false
        /// How far time may go by itself.
        var horizon = Instant.distantFuture
        /// An instant that only a hung test reaches.
        var lastResort: Instant?
        var idlers: [Idler] = []
        /// Whether blocking work is under way.
        var isBusyElsewhere: @Sendable () -> Bool = { false }
        /// Whether the loop ends.
        var isLoopEnding: @Sendable () -> Bool = { false }
        /// The loop ends: nothing is held up any more. When it was last looked at whether blocking work has ended.
        var endingSince: Instant?
        /// How often the loop has asked in a row and had jobs ready.
        var polls = 0

        /// At the loop's end somebody may never stop: blocking work, whose time is real, or a task that spins.
        mutating func creep(isBusy: Bool, hasJobs: Bool) {
            guard let last = endingSince else { return }
            let real = Instant.monotonicNow
            if isBusy { now = now.advanced(by: last.duration(to: real)) }
            endingSince = real
            polls = hasJobs ? polls + 1 : 0
            if polls > 1_000 { now = now.advanced(by: .milliseconds(1)) }
        }
    }

    /// What a look at the state has led to.
    private enum Step { case goOn, wake([AsyncEvent]), lookAgain }

    let name = "virtual"
    let hasOwnTime = true
    /// How long a hung test may be silent, in real time: another thread may be about to wake it.
    private static let patience = Duration.seconds(2)
    private static let glance = Duration.microseconds(500)
    private let state = Condition(State())

    init() {}

    var now: Instant { state.withLock { $0.now } }

    func submit(_ operation: Operation, token: Token) -> Submission {
        if case .file = operation { return .completed(.needsThread) }
        return .completed(Outcome(Errno.notSupported.negated))
    }

    func cancel(_ token: Token) {}
    func rival(of operation: Operation) -> Token? { nil }
    func close() {}

    nonisolated func wake() { change { $0.isWoken = true } }

    func wait(until deadline: Instant?, into completions: inout CompletionList) {
        let deadline = deadline ?? .distantFuture
        while true {
            let isBusy = state.withLock { $0.isBusyElsewhere }()
            noteEnding()
            let end = realEnd(of: deadline, isBusy: isBusy)
            let step = state.wait(until: end) { Self.look(at: &$0, deadline, isBusy: isBusy) }
            switch step {
            case .goOn: return
            case .wake(let events):
                for event in events { event.set() }
                return
            case .lookAgain: break
            case nil where isBusy: break
            case nil:
                state.withLock { if $0.now < deadline && deadline != .distantFuture { $0.now = deadline } }
                return
            }
        }
    }

    /// From the moment when the loop has cancelled what is left on it, and not before, time goes wherever it is asked
    /// to.
    private func noteEnding() {
        guard state.withLock({ $0.isLoopEnding })() else { return }
        state.withLock { if $0.endingSince == nil { $0.endingSince = .monotonicNow } }
    }

    /// When a wait ends by the real clock: nil if only somebody else can end it.
    private func realEnd(of deadline: Instant, isBusy: Bool) -> Instant? {
        if isBusy { return Instant.monotonicNow.advanced(by: Self.glance) }
        return state.withLock { state in
            let isLast = state.lastResort.map { $0 <= deadline } ?? false
            return isLast && state.endingSince == nil ? Instant.monotonicNow.advanced(by: Self.patience) : nil
        }
    }

    private static func look(at state: inout State, _ deadline: Instant, isBusy: Bool) -> Step? {
        state.creep(isBusy: isBusy, hasJobs: deadline <= state.now)
        if state.isWoken || deadline <= state.now {
            state.isWoken = false
            return .goOn
        }
        if isBusy { return nil }
        if state.endingSince != nil {
            if deadline != .distantFuture { state.now = deadline }
            return .goOn
        }
        let now = state.now
        let due = state.idlers.filter { $0.instant <= now }
        if !due.isEmpty {
            state.idlers.removeAll { $0.instant <= now }
            return .wake(due.map(\.event))
        }
        let next = min(deadline, state.idlers.map(\.instant).min() ?? .distantFuture)
        guard next <= state.horizon, next != .distantFuture, next < state.lastResort ?? .distantFuture else {
            return nil
        }
        state.now = next
        return next == deadline ? .goOn : .lookAgain
    }

    // MARK: What a test asks for

    private nonisolated func change(_ body: (inout State) -> Void) {
        state.withLock { body(&$0) }
        state.broadcast()
    }

    /// Sets the event when the loop has nothing to do, at the instant or later. Time may go as far as that.
    func setWhenIdle(_ event: AsyncEvent, at instant: Instant) {
        change { state in
            state.horizon = max(state.horizon, instant)
            state.idlers.append(Idler(instant: instant, event: event))
        }
    }

    /// Forgets an event whose task has gone.
    func forget(_ event: AsyncEvent) {
        change { $0.idlers.removeAll { $0.event === event } }
    }

    /// Whether time passes by itself, or only as far as it is told to.
    var jumps: Bool {
        get { state.withLock { $0.horizon == .distantFuture } }
        set { change { $0.horizon = newValue ? .distantFuture : $0.now } }
    }

    /// An instant that comes only when the loop has been silent for two real seconds before it.
    var lastResort: Instant? {
        get { state.withLock { $0.lastResort } }
        set { change { $0.lastResort = newValue } }
    }

    /// Lets time stand still while the closure says so: blocking work is under way. Called on the loop's thread.
    func standStill(while isBusy: @escaping @Sendable () -> Bool) { change { $0.isBusyElsewhere = isBusy } }

    /// Lets time go freely once the loop ends. Asked on the loop's thread.
    func letGo(when isEnding: @escaping @Sendable () -> Bool) { change { $0.isLoopEnding = isEnding } }

    /// The test is over: nothing happens any more until the loop ends.
    func freeze() { change { $0.horizon = $0.now } }
}
