import AsyncIO
import AsyncIOKernel
import AsyncIOLoop

/// The error of a timeline that is played: `#`.
public struct TimelineError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Creates the error.
    public init() {}
    /// One line.
    public var description: String { "the error that a timeline has drawn" }
}

extension Timeline {
    /// A timeline that is played: an asynchronous sequence of one-letter texts.
    ///
    /// Its time begins when it is made. An element that nobody has asked for at its tick is there as soon as somebody
    /// does; none is lost. For one reader.
    public final class Player: AsyncSequence, Sendable {
        private let timeline: Timeline
        private let loop: EventLoop
        private let start: Instant
        private let tick: Duration
        private let position = Condition(0)

        fileprivate init(_ timeline: Timeline, on time: VirtualTime, tick: Duration) {
            self.timeline = timeline
            loop = time.loop
            start = time.now
            self.tick = tick
        }

        /// The next element, at its tick. Throws ``TimelineError`` where one is drawn; `CancellationError` if the task
        /// is cancelled, and the element is not lost.
        public func next() async throws -> String? {
            let index = position.withLock { $0 }
            guard index < timeline.events.count else {
                if case .element? = timeline.events.last?.event { try await loop.sleep(until: .distantFuture) }
                if timeline.events.isEmpty { try await loop.sleep(until: .distantFuture) }
                return nil
            }
            let (moment, event) = timeline.events[index]
            let instant = start.advanced(by: tick * moment)
            if instant > loop.now { try await loop.sleep(until: instant) }
            try Task.checkCancellation()
            position.withLock { $0 = index + 1 }
            switch event {
            case .element(let character): return String(character)
            case .end: return nil
            case .error: throw TimelineError()
            }
        }

        /// Reads the timeline.
        public struct AsyncIterator: AsyncIteratorProtocol {
            fileprivate let player: Player
            /// See ``Player/next()``.
            public func next() async throws -> String? { try await player.next() }
            /// See ``Player/next()``.
            public func next(isolation actor: isolated (any Actor)?) async throws -> String? { try await player.next() }
        }

        /// Reads from where the last reader stopped.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(player: self) }
    }

    /// Plays the timeline from now on, a tick a second unless said otherwise.
    public func play(on time: VirtualTime, tick: Duration = .seconds(1)) -> Player {
        Player(self, on: time, tick: tick)
    }

    /// Reads a sequence to its end, and draws what came, and when.
    ///
    /// An element is drawn by the first character of its description; what comes between two ticks belongs to the
    /// earlier one. Reading stops after the limit, in ticks, where a sequence goes on for ever; the drawing has no end
    /// then.
    public static func record<Elements: AsyncSequence>(
        _ elements: Elements, on time: VirtualTime, tick: Duration = .seconds(1), limit: Int = 1_000
    ) async throws -> Timeline {
        let start = time.now
        var events: [(tick: Int, event: Event)] = []
        func note(_ event: Event) {
            let passed = start.duration(to: time.now).saturatedNanoseconds / max(tick.saturatedNanoseconds, 1)
            events.append((Int(passed), event))
        }
        do {
            try await withTimeout(tick * limit) {
                do {
                    for try await element in elements { note(.element("\(element)".first ?? "?")) }
                    note(.end)
                } catch let error where !(error is CancellationError) {
                    // Its own, be it that of a limit.
                    note(.error)
                }
            }
        } catch is TimeoutError {}
        return Timeline(events: events)
    }
}
