import AsyncIO

/// The life of one task, or of the loop, as stretches of time: what a line of the timeline is drawn from.
struct Lane: Equatable {
    enum State: Equatable { case running, ready, waiting }

    struct Stretch: Equatable {
        var state: State
        var from: Instant
        var to: Instant
    }

    var name: String
    var due: Instant?
    var stretches: [Stretch] = []

    /// The lane of a task: in the queue, running, waiting, over and over until it ends.
    static func task(_ actor: Recording.Actor, in recording: Recording) -> Lane {
        var lane = Lane(name: actor.name, due: actor.due)
        var state: State?
        var since = recording.start
        // A continuation may be queued while the task still runs: it is ready then as soon as it stops.
        var isQueued = false
        func enter(_ next: State, at instant: Instant) {
            if let state, since < instant || state == .running {
                lane.stretches.append(Stretch(state: state, from: since, to: instant))
            }
            state = next
            since = instant
        }
        for entry in recording.entries {
            switch entry.moment {
            case .queued(actor.task):
                isQueued = true
                if state != .running { enter(.ready, at: entry.instant) }
            case .began(actor.task):
                isQueued = false
                enter(.running, at: entry.instant)
            case .paused(actor.task):
                enter(isQueued ? .ready : .waiting, at: entry.instant)
            default: break
            }
        }
        // After its last word a task waits for nothing any more.
        if state == .running { enter(.waiting, at: recording.end) }
        return lane
    }

    /// The lane of the loop itself: asleep in the driver, or at work.
    static func loop(in recording: Recording) -> Lane {
        var lane = Lane(name: "the loop")
        var since = recording.start
        for entry in recording.entries {
            switch entry.moment {
            case .sleeps:
                lane.stretches.append(Stretch(state: .running, from: since, to: entry.instant))
                since = entry.instant
            case .woke:
                lane.stretches.append(Stretch(state: .waiting, from: since, to: entry.instant))
                since = entry.instant
            default: break
            }
        }
        if since < recording.end {
            lane.stretches.append(Stretch(state: .running, from: since, to: recording.end))
        }
        return lane
    }

    /// How much of a stretch of time was spent in a state.
    func time(in state: State) -> Duration {
        stretches.filter { $0.state == state }.reduce(.zero) { $0 + $1.from.duration(to: $1.to) }
    }

    var begin: Instant? { stretches.first?.from }
    var end: Instant? { stretches.last?.to }
}
