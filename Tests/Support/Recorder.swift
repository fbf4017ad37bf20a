package import AsyncIOKernel
package import AsyncIOLoop

/// An instrument that remembers everything.
package final class Recorder: Instrument, Sendable {
    private let recorded = Condition<[LoopEvent]>([])
    package init() {}
    package func record(_ event: LoopEvent, at instant: Instant) { recorded.withLock { $0.append(event) } }
    package var events: [LoopEvent] { recorded.withLock { $0 } }
}
