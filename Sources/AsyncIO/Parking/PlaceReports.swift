import AsyncIOLoop

// What the machines tell of themselves to the task tree.

extension LockMachine {
    static var kind: String { "lock" }

    func report(to visitor: Int) -> PlaceReport {
        PlaceReport(kind: Self.kind, standing: queue(waiters), holders: holder.map { [$0] } ?? [])
    }
}

extension ReadWriteMachine {
    static var kind: String { "read-write lock" }

    func report(to visitor: Int) -> PlaceReport {
        let wish = Access(rawValue: visitor) == .write ? "to write" : "to read"
        let now = isWritten ? "written" : "read by \(readers)"
        return PlaceReport(kind: Self.kind, standing: "\(wish), is \(now)", holders: holders)
    }
}

extension OnceMachine {
    static var kind: String { "once" }

    func report(to visitor: Int) -> PlaceReport {
        PlaceReport(kind: Self.kind, standing: "being made", holders: maker.map { [$0] } ?? [])
    }
}

extension SemaphoreMachine {
    static var kind: String { "semaphore" }

    func report(to visitor: Int) -> PlaceReport {
        let wish = visitor == 1 ? "" : "wants \(visitor), "
        return PlaceReport(kind: Self.kind, standing: "\(wish)\(available) of \(total) free")
    }
}

extension BarrierMachine {
    static var kind: String { "barrier" }

    func report(to visitor: Int) -> PlaceReport {
        PlaceReport(kind: Self.kind, standing: "\(waiters.count) of \(parties) have come")
    }
}

extension QueueMachine {
    static var kind: String { "queue" }

    func report(to visitor: Int) -> PlaceReport {
        let wish: String
        switch Wish(rawValue: visitor) {
        case .put: wish = "to put"
        case .get: wish = "to get"
        case .join: wish = "for \(unfinished) to be done"
        case nil: wish = "open"
        }
        let fill = capacity == .max ? "\(count) in it" : "\(count) of \(capacity) in it"
        return PlaceReport(kind: Self.kind, standing: "\(wish), \(fill)")
    }
}

extension ScopeMachine {
    static var kind: String { "scope" }

    func report(to visitor: Int) -> PlaceReport { PlaceReport(kind: Self.kind, standing: "\(running) running") }
}

extension TrackerMachine {
    static var kind: String { "tracker" }

    func report(to visitor: Int) -> PlaceReport { PlaceReport(kind: Self.kind, standing: "\(tasks.count) running") }
}

extension EventMachine { static var kind: String { "event" } }
extension ConditionMachine { static var kind: String { "condition" } }
extension PromiseMachine { static var kind: String { "promise" } }
extension WatchMachine { static var kind: String { "watch" } }
extension BroadcastMachine { static var kind: String { "broadcast" } }
extension RateMachine { static var kind: String { "rate limiter" } }
extension PipeMachine { static var kind: String { "pipe" } }
extension WriterMachine { static var kind: String { "writer" } }
extension TokenMachine { static var kind: String { "token" } }

/// How many stand in line, if it is more than the one who asks.
private func queue(_ lot: borrowing ParkingLot) -> String? { lot.count > 1 ? "\(lot.count) wait" : nil }
