#if TLS
import AsyncIO
import AsyncIOLoop

// What becomes of the memory of a connection that has had much to carry, and rests.
extension TLSCore {
    /// How long a connection has to rest until its memory is given back: so long that none pays for it that works.
    private static let restTime = Duration.seconds(1)
    /// How much has to be there to be worth it.
    private static let muchMemory = 8_192

    /// Whether somebody has to watch the connection from now on. Under the lock, by whoever has nothing to do.
    func rests() -> Bool {
        guard !isWatched, phase == .open, engine.usedMemory >= Self.muchMemory else { return false }
        isWatched = true
        return true
    }

    /// Looks after the connection until it has rested.
    func watch() { watch(since: locked { engine.turns }) }

    private func watch(since turns: UInt) {
        let call = loop.callLater(Self.restTime) { self.lookAfter(turns) }
        let isNeeded = locked {
            if phase == .open { restTimer = call }
            return phase == .open
        }
        if !isNeeded { call.cancel() }
    }

    private func lookAfter(_ turns: UInt) {
        let now = locked { () -> UInt? in
            if engine.turns != turns { return engine.turns }
            engine.giveBackMemory()
            (restTimer, isWatched) = (nil, false)
            return nil
        }
        if let now { watch(since: now) }
    }

    /// The connection has been closed, and goes with all that it has.
    func endWatch() { locked { restTimer.take() }?.cancel() }
}
#endif
