import AsyncIOKernel

/// The choices by which a simulation makes life hard: which job runs first, which read is cut short, what is lost.
///
/// Each has a number, in the order in which the run comes to it. A run can be repeated with the same seed and without
/// some of them, each answered by the kind choice then, zero: so a failure is reduced to the choices that it needs.
struct Perturbations {
    /// A choice that was not the kind one.
    struct Choice: Sendable {
        let number: Int
        let time: Instant
        let verb: String
        let chosen: Int
    }

    private let seed: UInt64
    private var random: SimulatedRandom
    /// How many choices there were.
    private(set) var count = 0
    /// Those that a run may make; nil means all.
    private let allowed: Set<Int>?
    /// The unkind ones, if somebody wants to know.
    private(set) var unkind: [Choice] = []
    private let keepsThem: Bool

    init(seed: UInt64, only allowed: Set<Int>? = nil, keepsThem: Bool = false) {
        self.seed = seed
        random = SimulatedRandom(seed: seed)
        self.allowed = allowed
        self.keepsThem = keepsThem
    }

    /// A number below the count; 0 is the kind one.
    mutating func choose(_ verb: StaticString, among bound: Int, at time: Instant) -> Int {
        guard bound > 1 else { return 0 }
        count += 1
        return settle(random.below(bound), verb, time)
    }

    /// Whether something unkind happens.
    mutating func happens(_ verb: StaticString, _ probability: Double, at time: Instant) -> Bool {
        guard probability > 0 else { return false }
        count += 1
        return settle(random.fraction() < probability ? 1 : 0, verb, time) == 1
    }

    /// What the latest choice draws further: how short, how late. A sequence of its own, so that a run without that
    /// choice draws everything else as before.
    var details: SimulatedRandom {
        SimulatedRandom(seed: seed ^ (UInt64(truncatingIfNeeded: count) &* 0xd6e8_feb8_6659_fd93))
    }

    private mutating func settle(_ chosen: Int, _ verb: StaticString, _ time: Instant) -> Int {
        guard chosen != 0 else { return 0 }
        if let allowed, !allowed.contains(count) { return 0 }
        if keepsThem { unkind.append(Choice(number: count, time: time, verb: "\(verb)", chosen: chosen)) }
        return chosen
    }
}
