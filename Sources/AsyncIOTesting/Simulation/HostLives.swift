import AsyncIOKernel

/// The runs of hosts that may take turns, in the order in which they are looked at.
///
/// They are looked at for each step of a world: a retain for each look would cost more than the look.
@safe
struct HostLives {
    let all: [HostLife]
    // ``all`` keeps them.
    private let places: [Unmanaged<HostLife>]

    init(_ lives: [HostLife]) {
        all = lives
        unsafe places = lives.map { unsafe Unmanaged.passUnretained($0) }
    }

    /// How many have something to do now, and the place of the first of them.
    @inline(__always)
    func ready(at now: Instant) -> (count: Int, first: Int) {
        var (count, first) = (0, 0)
        for place in unsafe 0..<places.count where isReady(place, now) {
            if count == 0 { first = place }
            count += 1
        }
        return (count, first)
    }

    /// The one that has something to do now and comes so many after the first such one.
    @inline(__always)
    func ready(_ chosen: Int, after first: Int, at now: Instant) -> HostLife {
        var (place, left) = (first, chosen)
        while left > 0 {
            place += 1
            if isReady(place, now) { left -= 1 }
        }
        return all[place]
    }

    /// When the first of them has something to do, if nothing happens before.
    @inline(__always)
    var nextTime: Instant {
        var next = Instant.distantFuture
        for place in unsafe 0..<places.count {
            next = min(next, unsafe places[place]._withUnsafeGuaranteedRef { $0.nextTime })
        }
        return next
    }

    @inline(__always)
    private func isReady(_ place: Int, _ now: Instant) -> Bool {
        unsafe places[place]._withUnsafeGuaranteedRef { $0.isReady(at: now) }
    }
}
