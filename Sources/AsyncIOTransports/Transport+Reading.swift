import AsyncIO
import AsyncIOKernel
import AsyncIOLoop

// The task of a connection: reads until the end, and then tells the protocol that there is one.
extension Transport {
    /// The most that one callback gets.
    private static let chunkSize = 65_536

    /// Begins: the protocol hears of the transport. The connection goes on in a task that the loop owns.
    ///
    /// Throws ``EventLoopError/closed(_:)`` if the loop takes no task any more; the protocol has heard that, too.
    func begin() throws {
        connect()
        let life = loop.spawn(name: description) { await self.live() }
        // Nil if the task has ended; it has not begun yet, so it never will.
        guard life.observe(.watches, { _ in }) == nil else { return }
        let failure = EventLoopError.closed(loop.name)
        end(failure)
        tellLost()
        throw failure
    }

    /// The whole life of a connection, as the calling task's.
    nonisolated func serve() async {
        await here { $0.connect() }
        await live()
    }

    /// The connection's life after ``connect()``, up to the last callback.
    nonisolated func live() async {
        do {
            while let step = await here({ $0.nextStep() }) {
                switch step {
                case .wait: try await attention.wait()
                case .read:
                    let bytes = try await stream.read(upTo: Self.chunkSize)
                    await here { $0.arrived(bytes.map(Arrival.bytes) ?? .end) }
                }
            }
        } catch {
            await here { $0.interrupted(error) }
        }
        await here { $0.tellLost() }
    }

    /// What the connection's task does next.
    private enum Step { case read, wait }

    /// Nil at the end.
    private func nextStep() -> Step? {
        while !isOver {
            guard mayRead else {
                attention.clear()
                return .wait
            }
            guard let arrival = held else { return .read }
            held = nil
            take(arrival)
        }
        return nil
    }

    private func arrived(_ arrival: Arrival) {
        if isOver { return }
        if mayRead { take(arrival) } else { held = arrival }
    }

    /// Also while what is buffered is sent to a peer that shall hear nothing else: it may have to be read before it
    /// reads.
    private var mayRead: Bool {
        switch reading {
        case .open: true
        case .paused: isEnding
        case .finished: false
        }
    }

    private func take(_ arrival: Arrival) {
        switch arrival {
        case .bytes(let bytes):
            if !isEnding { call { try $0.received(bytes) } }
        case .end:
            reading = .finished
            visible.withLock { $0.isReading = false }
            guard !isEnding else { return }
            var staysOpen = false
            call { staysOpen = try $0.finished() }
            if !staysOpen { closeInOrder() }
        }
    }

    /// The read, or the wait for one, has ended without a result.
    private func interrupted(_ error: any Error) {
        if isOver { return }
        switch error {
        case is CancellationError, EventLoopError.closed:
            // The loop ends, or the server.
            end(buffer.isEmpty ? nil : CancellationError())
        default:
            end(error)
        }
    }

    func stopReading() {
        guard reading == .open else { return }
        reading = .paused
        visible.withLock { $0.isReading = false }
    }

    func goOnReading() {
        guard reading == .paused else { return }
        reading = .open
        visible.withLock { $0.isReading = true }
        attention.set()
    }
}
