import AsyncIOKernel
import AsyncIOLoop
import Synchronization

/// An instrument that remembers everything.
final class Recorder: Instrument, Sendable {
    private let recorded = Mutex<[LoopEvent]>([])
    func record(_ event: LoopEvent, at instant: Instant) { recorded.withLock { $0.append(event) } }
    var events: [LoopEvent] { recorded.withLock { $0 } }
}
