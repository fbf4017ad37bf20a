/// The value of a watch, which the watch and its subscriptions share.
final class WatchCell<Value: Sendable>: Sendable {
    let name: String
    let parking: Parking<WatchMachine>
    /// Under the lock of the parking.
    @safe @exclusivity(unchecked) nonisolated(unsafe) private(set) var latest: Value

    init(_ value: Value, name: String, sharing: Sharing) {
        self.name = name
        latest = value
        parking = Parking(WatchMachine(), sharing: sharing)
    }

    var value: Value { parking.read { _ in latest } }
    var valueAndVersion: (Value, UInt64) { parking.read { (latest, $0.version) } }

    /// Sets the value, provided that nobody has since that version.
    func set(_ value: Value, ifStill version: UInt64?) -> WatchMachine.Setting {
        // The old value ends here, outside of the lock: its end may come back to this watch.
        var value = value
        return parking.visit { machine, woken in
            let setting = machine.set(ifStill: version, waking: &woken)
            if setting == .done { swap(&latest, &value) }
            return setting
        }
    }

    func finish() {
        parking.visit { $0.finish(waking: &$1) }
    }

    /// Suspends until the version is another, or the watch has finished.
    func waitForChange(since version: UInt64) async throws {
        try await parking.wait { $0.wait($1, since: version) }
    }

    func wait(until condition: (Value) throws -> Bool) async throws -> Value {
        try await Visit.enter()
        while true {
            let (value, version, isFinished) = parking.read { (latest, $0.version, $0.isFinished) }
            if try condition(value) { return value }
            if isFinished { throw ClosedError(subject: name, reason: .finished) }
            try await waitForChange(since: version)
        }
    }
}

/// Decides who waits for a change of a watch: counts the changes. The value itself it never sees.
struct WatchMachine: WaitMachine, ~Copyable {
    private(set) var version: UInt64 = 0
    private(set) var isFinished = false
    private(set) var waiters = ParkingLot()
    private(set) var waits: UInt64 = 0

    enum Setting { case done, overtaken, finished }

    /// Counts a change, and lets all go on who wait for one. Not if there was one since that version.
    mutating func set(ifStill version: UInt64?, waking woken: inout WakeList) -> Setting {
        if isFinished { return .finished }
        if let version, version != self.version { return .overtaken }
        self.version += 1
        waiters.grantAll(waking: &woken)
        return .done
    }

    /// Waits until the version is another, or there will be none.
    mutating func wait(_ visitor: ParkedTask, since version: UInt64) -> Arrival {
        guard version == self.version, !isFinished else {
            visitor.grant()
            return .answered
        }
        waits &+= 1
        waiters.append(visitor)
        return .parked
    }

    /// Ends the waiting for good.
    mutating func finish(waking woken: inout WakeList) {
        isFinished = true
        waiters.grantAll(waking: &woken)
    }

    mutating func leave(_ waiter: ParkedTask, waking woken: inout WakeList) {
        waiters.remove(waiter)
    }
}
