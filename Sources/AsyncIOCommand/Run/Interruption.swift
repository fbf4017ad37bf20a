import AsyncIO
import Synchronization

/// Ctrl-C and its kin: what the first one does, what the second one does, and the third one ends the process.
final class Interruption: Sendable {
    private let state = Mutex(State())
    private let handlers = Mutex<[SignalHandler]>([])

    private struct State {
        var signals: [Signal] = []
        var first: @Sendable () -> Void = {}
        var second: @Sendable () -> Void = {}
    }

    init(on loop: EventLoop) throws {
        for signal in [Signal.interrupt, .terminate, .hangup] {
            let handler = try loop.onSignal(signal) { [weak self] in self?.hear(signal) }
            handlers.withLock { $0.append(handler) }
        }
    }

    /// The first signal that came.
    var signal: Signal? { state.withLock { $0.signals.first } }

    /// What the first signal does. If it has come already, that is done now.
    func first(_ body: @escaping @Sendable () -> Void) {
        let isLate = state.withLock { state in
            state.first = body
            return !state.signals.isEmpty
        }
        if isLate { body() }
    }

    /// What the second signal does.
    func second(_ body: @escaping @Sendable () -> Void) { state.withLock { $0.second = body } }

    private func hear(_ signal: Signal) {
        let body = state.withLock { state in
            state.signals.append(signal)
            return state.signals.count == 1 ? state.first : state.second
        }
        body()
        if state.withLock({ $0.signals.count }) > 1 { close() }
    }

    /// Listens no more.
    func close() { for handler in handlers.withLock(\.self) { handler.cancel() } }
}
