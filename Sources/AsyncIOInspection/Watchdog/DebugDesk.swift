import AsyncIOKernel
import AsyncIOLoop
import CAsyncIOInspection
import Synchronization

/// Debug mode: takes findings from loops and from whoever lets go of things, and hands them on from a thread of its
/// own, where there is time to look up what functions are called. Twice a second it has each loop look at its tasks.
final class DebugDesk: ResourceObserver {
    /// A finding whose places are addresses yet.
    struct Finding: Sendable {
        var kind: DebugNotice.Kind
        var subject: String
        var finding: String
        var remedy: String
        var madeAt: [UInt] = []
        var stack: [UInt] = []
        let loop: EventLoop
    }

    private struct State {
        var findings: [Finding] = []
        var rounds: [ObjectIdentifier: @Sendable () -> Void] = [:]
        var open: [ResourceKey: [UInt]] = [:]
        /// Some have been taken, and are being handed on.
        var isHanding = false
        var isStopped = false
        var thread: SystemThread?
    }

    let options: Inspection.DebugOptions
    private let period: Duration
    private let state = Condition(State())

    init(_ options: Inspection.DebugOptions, period: Duration = .milliseconds(500)) {
        self.options = options
        self.period = period
    }

    func start() {
        // A process that may have no more threads does without.
        let thread = try? InspectionThread.start("asyncio-debug") { self.work() }
        state.withLock { $0.thread = thread }
        if options.unclosedResources { OpenResources.observer = self }
    }

    func stop() {
        if OpenResources.observer === self { OpenResources.observer = nil }
        let thread = state.withLock { state in
            state.isStopped = true
            return state.thread.take()
        }
        state.broadcast()
        thread?.join()
    }

    /// Has a loop looked at from now on, by what is called on its thread.
    func visit(_ loop: EventLoop, _ round: @escaping @Sendable () -> Void) {
        let isUnderWay = AtomicFlag()
        state.withLock { state in
            state.rounds[ObjectIdentifier(loop)] = {
                // A loop that is blocked gets one call, and not one for each round.
                guard isUnderWay.raise() else { return }
                loop.callSoon {
                    isUnderWay.lower()
                    round()
                }
            }
        }
    }

    /// The loop ends, and perhaps the process: waits a moment for those who are told of what has been found.
    func leave(_ loop: EventLoop) {
        _ = state.withLock { $0.rounds.removeValue(forKey: ObjectIdentifier(loop)) }
        _ = state.wait(until: Instant.monotonicNow.advanced(by: .seconds(1))) { state in
            state.findings.isEmpty && !state.isHanding || state.isStopped ? true : nil
        }
    }

    func report(_ finding: Finding) {
        state.withLock { $0.findings.append(finding) }
        state.broadcast()
    }

    /// The caller's place in the program.
    static func here() -> [UInt] {
        var addresses = [UInt64](repeating: 0, count: 32)
        let count = unsafe casyncio_here(&addresses, addresses.count)
        return addresses.prefix(count).map { UInt($0) }
    }

    // MARK: Resources

    func opened(_ key: ResourceKey) {
        let place = Self.here()
        state.withLock { $0.open[key] = place }
    }

    func closed(_ key: ResourceKey) { _ = state.withLock { $0.open.removeValue(forKey: key) } }

    func letGo(_ key: ResourceKey, _ what: String, on loop: EventLoop) {
        // The loop's end has closed everything; and where time is a test's, nothing comes from other threads.
        guard let place = state.withLock({ $0.open.removeValue(forKey: key) }), !loop.isClosed, !loop.hasOwnTime
        else { return }
        report(
            Finding(
                kind: .unclosedResource, subject: what, finding: "\(what) was let go without being closed",
                remedy: "It is closed now; call close() where it is done with, or let a with… function do so",
                madeAt: place, loop: loop))
    }

    // MARK: The thread

    private func work() {
        var next = Instant.monotonicNow.advanced(by: period)
        while true {
            let woken: (findings: [Finding], isStopped: Bool)? = state.wait(until: next) { state in
                guard !state.findings.isEmpty || state.isStopped else { return nil }
                state.isHanding = true
                defer { state.findings = [] }
                return (state.findings, state.isStopped)
            }
            for finding in woken?.findings ?? [] { hand(finding) }
            state.withLock { $0.isHanding = false }
            state.broadcast()
            if woken?.isStopped == true { return }
            if woken == nil {
                for round in state.withLock({ Array($0.rounds.values) }) { round() }
                next = Instant.monotonicNow.advanced(by: period)
            }
        }
    }

    private func hand(_ finding: Finding) {
        let notice = DebugNotice(
            kind: finding.kind, subject: finding.subject, finding: finding.finding, remedy: finding.remedy,
            madeAt: Self.place(finding.madeAt), stack: Symbols.frames(of: finding.stack))
        if let handler = options.handler { return handler(notice) }
        finding.loop.report(notice, context: "debug mode")
    }

    /// The program's part of a stack: without what this package has called meanwhile, and the runtime.
    static func place(_ addresses: [UInt]) -> [Frame] {
        let frames = Symbols.frames(of: addresses).filter { $0.function?.hasPrefix("swift") != true }
        let inner = frames.drop { $0.function.map(isOwn) ?? true }
        let ends = inner.lastIndex { $0.function.map(isOwn) == false } ?? inner.startIndex
        return inner.isEmpty ? [] : Array(inner[...ends].prefix(8))
    }

    private static func isOwn(_ function: String) -> Bool {
        let modules = ["AsyncIO.", "AsyncIOLoop.", "AsyncIOInspection.", "AsyncIOKernel.", "AsyncIOHTTP.", "Task."]
        // `closure #1 in AsyncIOLoop.EventLoop.runBody(_:)`.
        let outermost = function.split(separator: " ").last ?? ""
        return function.hasPrefix("casyncio_") || modules.contains { outermost.hasPrefix($0) }
    }
}

/// Raised by one, until somebody lowers it.
private final class AtomicFlag: Sendable {
    private let isRaised = Atomic(false)
    func raise() -> Bool { !isRaised.exchange(true, ordering: .acquiring) }
    func lower() { isRaised.store(false, ordering: .releasing) }
}
