import AsyncIO
import AsyncIOKernel

/// Makes tasks take their steps in one order: 0, 1, 2, …, whoever takes them.
///
/// ```swift
/// let sequencer = Sequencer()
/// async let one: Void = { try await sequencer.step(0) { … }; try await sequencer.step(2) { … } }()
/// async let two: Void = { try await sequencer.step(1) { … } }()
/// ```
///
/// A step begins when the one before it has ended. So a test forces exactly the interleaving that it is about, instead
/// of hoping for it. For tasks on any thread. trio's `Sequencer`.
public final class Sequencer: Sendable {
    private struct State {
        /// The step that may begin, or has begun.
        var current = 0
        var taken: Set<Int> = []
        var waiting: [Int: AsyncEvent] = [:]
        /// The step that will never end, if one was given up.
        var lost: Int?
    }

    private enum Admission { case now, later(AsyncEvent), refused(SequenceError) }

    private let state = Condition(State())

    /// Makes a sequencer whose first step is 0.
    public init() {}

    /// The step that may begin next, or is under way.
    public var current: Int { state.withLock { $0.current } }

    /// Waits for the step's turn, runs the body, and lets the next step begin when it has ended, also by an error.
    ///
    /// Throws ``SequenceError`` if somebody has taken the step, or it can never come; `CancellationError` if the task
    /// is cancelled while it waits: then this step is lost, and the later ones are out of reach.
    public func step<Success>(
        _ number: Int, _ body: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        switch admission(of: number) {
        case .refused(let error): throw error
        case .now: break
        case .later(let event):
            do { try await event.wait() } catch {
                giveUp(number)
                throw error
            }
            // Woken either by its turn, or since it will not come.
            if let lost = state.withLock({ $0.lost }), lost < number {
                throw SequenceError.outOfReach(number, after: lost)
            }
        }
        defer { endStep(number) }
        return try await body()
    }

    /// Waits for the step's turn, which is over at once.
    public func step(_ number: Int) async throws { try await step(number) {} }

    private func admission(of number: Int) -> Admission {
        state.withLock { state in
            guard number >= state.current, state.taken.insert(number).inserted else {
                return .refused(.takenTwice(number))
            }
            if let lost = state.lost, lost < number { return .refused(.outOfReach(number, after: lost)) }
            if number == state.current { return .now }
            let event = AsyncEvent(name: "step \(number)")
            state.waiting[number] = event
            return .later(event)
        }
    }

    private func endStep(_ number: Int) {
        let next = state.withLock { state in
            state.current = number + 1
            return state.waiting.removeValue(forKey: number + 1)
        }
        next?.set()
    }

    private func giveUp(_ number: Int) {
        let stranded = state.withLock { state in
            state.lost = min(state.lost ?? number, number)
            state.waiting[number] = nil
            let later = state.waiting.filter { $0.key > number }
            for step in later.keys { state.waiting[step] = nil }
            return later.sorted { $0.key < $1.key }.map(\.value)
        }
        for event in stranded { event.set() }
    }
}

/// A step that a ``Sequencer`` cannot let anybody take.
public enum SequenceError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Somebody has taken the step already.
    case takenTwice(Int)
    /// An earlier step was given up by a task that was cancelled, so this one never comes.
    case outOfReach(Int, after: Int)

    /// One line.
    public var description: String {
        switch self {
        case .takenTwice(let step): "step \(step) was taken already: each step belongs to one task, once"
        case .outOfReach(let step, let lost):
            "step \(step) never comes: the task of step \(lost) was cancelled before it"
        }
    }
}
