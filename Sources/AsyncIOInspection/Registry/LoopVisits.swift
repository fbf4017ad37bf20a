import AsyncIOKernel
import AsyncIOLoop
import Synchronization

/// Visits to all loops of a process: something is done at each of them where nothing of it runs, step by step.
///
/// A loop that is on its thread does it itself, in callbacks between which it goes on with its work; for one that is
/// not, whoever visits does it. A loop whose time is a test's is left alone but on its own thread, since a callback
/// from outside would change what happens on it.
final class LoopVisits: Sendable {
    /// Does one step at a loop; true if it was the last one. The loop may be away from its thread.
    typealias Step = @Sendable (_ inspector: LoopInspector, _ isAway: Bool) -> Bool

    /// Who was not visited.
    struct Outcome {
        /// Those that have not come to it in time.
        var late: [EventLoop] = []
        /// Those whose time is a test's.
        var untouched: [EventLoop] = []
    }

    /// How often it is looked whether a loop has left its thread, or has ended.
    private static let slice = Duration.milliseconds(10)

    private let inspector: ProcessInspector
    private let visits: [Visit]
    private let left: Condition<Int>

    /// The visits begin with the first call of ``run(until:)``.
    init(_ inspector: ProcessInspector, _ step: @escaping Step) {
        self.inspector = inspector
        let left = Condition(0)
        visits = inspector.loops.map { Visit($0, inspector, left, step) }
        left.withLock { [count = visits.count] in $0 = count }
        self.left = left
    }

    /// Begins, and waits until all are over or the time is. Blocks the calling thread, but for a deadline in the past.
    func run(until deadline: Instant) -> Outcome {
        var outcome = Outcome()
        for visit in visits where !visit.begin() { outcome.untouched.append(visit.loop) }
        while true {
            let slice = min(Instant.monotonicNow.advanced(by: Self.slice), deadline)
            if left.wait(until: slice, { $0 == 0 ? true : nil }) == true || slice >= deadline { break }
            for visit in visits { visit.goOnIfAway() }
        }
        let untouched = Set(outcome.untouched.map(ObjectIdentifier.init))
        for visit in visits where !visit.isOver && !untouched.contains(ObjectIdentifier(visit.loop)) {
            if !visit.loop.isClosed { outcome.late.append(visit.loop) }
        }
        return outcome
    }

    /// One loop's. Its steps never overlap: the loop takes them, or somebody else while it is away.
    private final class Visit: Sendable {
        let loop: EventLoop
        private let home: ProcessInspector
        private let left: Condition<Int>
        private let step: Step
        private let hasEnded = Atomic(false)

        init(_ loop: EventLoop, _ home: ProcessInspector, _ left: Condition<Int>, _ step: @escaping Step) {
            self.loop = loop
            self.home = home
            self.left = left
            self.step = step
        }

        var isOver: Bool { hasEnded.load(ordering: .acquiring) }

        /// False if the loop is to be left alone.
        func begin() -> Bool {
            if loop.isCurrent {
                while !isOver { take(isAway: false) }
            } else {
                goOnIfAway()
                guard !isOver else { return true }
                guard !loop.hasOwnTime else {
                    // Nobody waits for it.
                    left.withLock { $0 -= 1 }
                    return false
                }
                loop.callSoon { self.goOnHere() }
            }
            return true
        }

        /// On the loop's thread.
        private func goOnHere() {
            guard !isOver, loop.isCurrent else { return }
            take(isAway: false)
            if !isOver { loop.callSoon { self.goOnHere() } }
        }

        func goOnIfAway() {
            guard !isOver else { return }
            // It has ended, and what was to be found at it is found elsewhere.
            guard let inspector = home.inspector(of: loop) else { return end() }
            // In pieces: it may want to come back.
            while !isOver, inspector.presence.whileAway({ take(isAway: true) }) != nil {}
        }

        private func take(isAway: Bool) {
            guard !isOver else { return }
            guard let inspector = home.inspector(of: loop) else { return end() }
            if step(inspector, isAway) { end() }
        }

        private func end() {
            guard !hasEnded.exchange(true, ordering: .acquiringAndReleasing) else { return }
            left.withLock { $0 -= 1 }
            left.broadcast()
        }
    }
}
