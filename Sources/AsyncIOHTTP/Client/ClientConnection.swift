#if HTTP
import AsyncIO
import AsyncIOKernel
import AsyncIOLoop

/// A connection of a client: in use by one exchange, or idle and watched.
///
/// While it is idle, somebody reads from it: whatever comes, an end or bytes that nobody has asked for, it is not fit
/// for another request. That reading ends before the next exchange begins.
final class ClientConnection: Sendable {
    let stream: any ByteStream
    let place: ConnectionPlace
    private let loop: EventLoop
    private let state = Locked(State())

    private struct State {
        var exchanges = 0
        var watch: BackgroundTask<Bool>?
    }

    init(_ stream: any ByteStream, to place: ConnectionPlace, on loop: EventLoop) {
        self.stream = stream
        self.place = place
        self.loop = loop
    }

    /// Whether it has carried an exchange before.
    var isReused: Bool { state.withLock { $0.exchanges > 0 } }

    func exchangeEnded() { state.withLock { $0.exchanges += 1 } }

    /// Watches it for so long, or until it is woken; calls back when it has ended before, or has slept long enough.
    func sleep(for limit: Duration, whenOver: @escaping @Sendable (ClientConnection) -> Void) {
        let stream = stream
        let watch = loop.spawn(name: "idle connection") { [weak self] in
            let isQuiet: Bool
            do {
                _ = try await withTimeout(limit) { try await stream.read(upTo: 1) }
                isQuiet = false
            } catch is CancellationError {
                return true
            } catch {
                isQuiet = false
            }
            if let self { whenOver(self) }
            return isQuiet
        }
        state.withLock { $0.watch = watch }
    }

    /// Ends the watch, if it sleeps. False if the connection has ended meanwhile, and in a cancelled task.
    func wake() async -> Bool {
        guard let watch = state.withLock({ $0.watch.take() }) else { return true }
        watch.cancel()
        return (try? await watch.value) ?? false
    }

    /// Ends it in an orderly way.
    func close() {
        state.withLock { $0.watch.take() }?.cancel()
        stream.close()
    }

    /// Breaks it off: the peer sees that something was not read to its end.
    func abort() {
        state.withLock { $0.watch.take() }?.cancel()
        stream.abort()
    }
}
#endif
