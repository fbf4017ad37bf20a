import AsyncIOKernel
import AsyncIOLoop
import Glibc

/// A trace that is being recorded: a ring on each loop of the process, also on those that begin meanwhile.
///
/// Each ring is put in place, and taken away, on its loop's thread, between two jobs.
final class TraceSession: Sendable {
    let capacity: Int
    private let began = Instant.monotonicNow
    /// What loops have left that have ended meanwhile.
    private let left: Locked<EndedLoops>

    private static let session = Locked<TraceSession?>(nil)

    private init(capacity: Int) {
        self.capacity = capacity
        left = Locked(EndedLoops(mostEvents: max(capacity, 1 << 16) * 4))
    }

    /// The trace that is being recorded.
    static var current: TraceSession? { session.withLock { $0 } }

    /// Begins a trace. Nil if one is being recorded already.
    static func begin(capacity: Int) -> TraceSession? {
        let new = TraceSession(capacity: capacity)
        let isFirst = session.withLock { session in
            guard session == nil else { return false }
            session = new
            return true
        }
        guard isFirst else { return nil }
        let visits = LoopVisits(.shared) { inspector, _ in
            new.join(inspector)
            return true
        }
        // Nobody waits for those that come to it later.
        _ = visits.run(until: .distantPast)
        return new
    }

    /// Lets a trace of the parent alone, in a child that was forked.
    static func forget() { session.withLock { $0 = nil } }

    /// Nobody may begin to record for this trace any more. False if somebody has said so already.
    private func retire() -> Bool {
        Self.session.withLock { session in
            guard session === self else { return false }
            session = nil
            return true
        }
    }

    // MARK: On a loop's thread

    /// Records what the loop does from here on.
    func join(_ inspector: LoopInspector) {
        guard Self.current === self, inspector.ring?.session !== self else { return }
        inspector.beginTrace(TraceRing(capacity: capacity, session: self))
    }

    /// A loop ends that was recorded.
    func leave(_ inspector: LoopInspector) {
        guard let part = part(of: inspector, last: true) else { return }
        let loop = part.loop
        left.withLock { $0.add(loop) }
    }

    private func part(of inspector: LoopInspector, last isLast: Bool) -> Part? {
        guard let ring = inspector.ring, ring.session === self else { return nil }
        let part = Part(ring, inspector, copiesEvents: !isLast)
        if isLast { inspector.endTrace() }
        return part
    }

    /// A loop's part, on its way from the loop's thread. A ring that is still written to is copied there.
    @safe
    private struct Part: @unchecked Sendable {
        private let ring: TraceRing
        private let copy: [TraceEvent]?
        private let facts: TraceRecording.Loop

        init(_ ring: TraceRing, _ inspector: LoopInspector, copiesEvents: Bool) {
            self.ring = ring
            copy = copiesEvents ? ring.events : nil
            facts = TraceRecording.Loop(
                number: inspector.number, name: inspector.loop.name, driver: inspector.loop.driverName,
                thread: inspector.thread, events: [], names: ring.names, places: ring.places,
                descriptors: ring.descriptors.all, tasks: ring.endedTasks + inspector.livingTasks, lost: ring.lost)
        }

        var loop: TraceRecording.Loop {
            var loop = facts
            loop.events = copy ?? ring.events
            return loop
        }
    }

    // MARK: Gathering

    /// What has been recorded up to now, of the loops that answer in time; the trace is over then, or goes on.
    ///
    /// Blocks the calling thread, which must not be a loop's that has anything else to do.
    func gather(timeout: Duration, isOver: Bool) -> TraceRecording {
        if isOver && !retire() { return finished([], LoopVisits.Outcome()) }
        // A loop that ends instead has left its part before.
        let parts = Locked<[Part]>([])
        let visits = LoopVisits(.shared) { inspector, _ in
            if let part = self.part(of: inspector, last: isOver) { parts.withLock { $0.append(part) } }
            return true
        }
        let outcome = visits.run(until: .monotonicNow.advanced(by: timeout))
        return finished(parts.withLock { $0 }.map(\.loop), outcome)
    }

    private func finished(_ loops: [TraceRecording.Loop], _ outcome: LoopVisits.Outcome) -> TraceRecording {
        let left = left.withLock { $0 }
        let all = (left.loops + loops).sorted { $0.number < $1.number }
        // Loops of simulations have clocks of their own.
        let times = all.flatMap { [$0.events.first?.time, $0.events.last?.time] }.compactMap { $0 }
        let isSimulated = times.min().map { $0 < began.nanoseconds } ?? false
        let now = Instant.monotonicNow
        var recording = TraceRecording(
            process: getpid(), program: Self.program,
            start: isSimulated ? times.min().map(Instant.init(nanoseconds:)) ?? began : began,
            end: isSimulated ? times.max().map(Instant.init(nanoseconds:)) ?? now : now, loops: all)
        if recording.lostEventCount > 0, let first = times.min() {
            // What lies before is not known.
            recording.start = max(recording.start, Instant(nanoseconds: first))
        }
        recording.nameOrigins()
        recording.notes = outcome.late.map { "The loop \($0.name) has not answered: what it did is missing." }
        for loop in outcome.untouched {
            recording.notes.append(
                "The time of loop \(loop.name) is a test's, and nobody asks it from outside: what it did is missing.")
        }
        if let note = left.note { recording.notes.append(note) }
        return recording
    }

    private static var program: String {
        let path = CommandLine.arguments.first ?? "?"
        return String(path.split(separator: "/").last ?? "?")
    }
}
